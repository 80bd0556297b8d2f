"""The losses of the paper: of the discriminator, the denoiser and the generator.

"Dual Adversarial Network" (ECCV 2020), with the gradient penalty of WGAN-GP.  x is a clean
patch, y its noisy one, z the latent noise, and every mean is over the batch or, for an absolute
value, over all values.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from danet.filters import TAPS_3, TAPS_5, TAPS_7, smooth
from danet.networks import Discriminator

__all__ = [
    "critic_losses",
    "denoiser_losses",
    "generator_losses",
    "generator_start_losses",
    "gradient_penalty",
]

# Down and to the right, for red, green and blue: far enough apart to be different noise.
_SHIFTS = ((0, 6), (5, -3), (-5, -3))


def gradient_penalty(
    discriminator: Discriminator,
    real: tuple[Tensor, Tensor],
    fake: tuple[Tensor, Tensor],
    mix: Tensor,
) -> Tensor:
    """How far the critic's slope is from 1 between each real pair and its fake.

    ``(|grad D(mix * real + (1 - mix) * fake)| - 1)^2``, the norm over all six channels.

    Args:
        discriminator: the critic D, for patches of H = W = ``discriminator.patch_size``.
        real: clean and noisy, each N x 3 x H x W.
        fake: N fake pairs of the same shapes.
        mix: N x 1 x 1 x 1 in [0, 1], the share of ``real`` in the point between.

    Returns:
        N penalties.
    """
    points = [(mix * a + (1 - mix) * b).requires_grad_() for a, b in zip(real, fake, strict=True)]
    score = discriminator(points[0], points[1]).sum()
    gradients = torch.cat(torch.autograd.grad(score, points, create_graph=True), dim=1)
    norm = (gradients.square().sum(dim=(1, 2, 3)) + 1e-12).sqrt()
    return (norm - 1).square()


def critic_losses(
    discriminator: Discriminator,
    real: tuple[Tensor, Tensor],
    denoised: Tensor,
    generated: Tensor,
    mixes: tuple[Tensor, Tensor],
    *,
    alpha: float = 0.5,
    penalty: float = 10.0,
) -> dict[str, Tensor]:
    """What the discriminator minimises on one batch.

    ``alpha (mean D(x, G(x, z)) - mean D(x, y) + lambda P_G)
    + (1 - alpha) (mean D(R(y), y) - mean D(x, y) + lambda P_R)``, where P_G and P_R are the
    gradient penalties between (x, y) and the fakes of G and of R.

    Args:
        discriminator: the critic D, for patches of H = W = ``discriminator.patch_size``.
        real: clean x and noisy y, each N x 3 x H x W.
        denoised: R(y), N x 3 x H x W, without gradient.
        generated: G(x, z), N x 3 x H x W, without gradient.
        mixes: of the gradient penalties, for the denoiser's and the generator's fakes, each
            N x 1 x 1 x 1 in [0, 1].
        alpha: weight of the generator's part; the denoiser's has 1 - alpha.
        penalty: weight lambda of the gradient penalties.

    Returns:
        Numbers without axes: ``"loss"``, to be minimised; the differences ``"denoiser"`` and
        ``"generator"``; and lambda times the penalties, ``"denoiser_penalty"`` and
        ``"generator_penalty"``.
    """
    clean, noisy = real
    # The critic treats each pair by itself, so that pairs of every kind go through it at once.
    fakes = torch.cat([denoised, clean]), torch.cat([noisy, generated])
    scores = discriminator(torch.cat([clean, fakes[0]]), torch.cat([noisy, fakes[1]]))
    truth, on_denoised, on_generated = scores.chunk(3)
    twice = torch.cat([clean, clean]), torch.cat([noisy, noisy])
    penalties = penalty * gradient_penalty(discriminator, twice, fakes, torch.cat(mixes))
    denoiser, generator = (on_denoised - truth).mean(), (on_generated - truth).mean()
    denoiser_penalty, generator_penalty = (part.mean() for part in penalties.chunk(2))
    loss = alpha * (generator + generator_penalty) + (1 - alpha) * (denoiser + denoiser_penalty)
    return {
        "loss": loss,
        "denoiser": denoiser,
        "generator": generator,
        "denoiser_penalty": denoiser_penalty,
        "generator_penalty": generator_penalty,
    }


def denoiser_losses(
    discriminator: Discriminator | None,
    clean: Tensor,
    noisy: Tensor,
    denoised: Tensor,
    *,
    judged: int | None = None,
    alpha: float = 0.5,
    tau: float = 1000.0,
) -> dict[str, Tensor]:
    """What the denoiser minimises on one batch.

    ``-(1 - alpha) mean D(R(y), y) + tau1 mean |R(y) - x|``

    Args:
        discriminator: the critic D, for patches of H = W = ``discriminator.patch_size``; None
            leaves the absolute error alone, as with tau1 = inf.
        clean: x, N x 3 x H x W.
        noisy: y, N x 3 x H x W.
        denoised: R(y), N x 3 x H x W.
        judged: how many pairs, from the first, the critic judges; all by default.
        alpha: weight of the generator's part in the critic.
        tau: weight tau1 of the absolute error.

    Returns:
        Numbers without axes: ``"loss"``, to be minimised; the mean absolute ``"error"``,
        without its weight; and, if there is a critic, the ``"adversarial"`` term.
    """
    error = (denoised - clean).abs().mean()
    if discriminator is None:
        return {"loss": error, "error": error}
    adversarial = -(1 - alpha) * discriminator(denoised[:judged], noisy[:judged]).mean()
    return {"loss": adversarial + tau * error, "adversarial": adversarial, "error": error}


def generator_losses(
    discriminator: Discriminator,
    clean: Tensor,
    noisy: Tensor,
    generated: Tensor,
    *,
    alpha: float = 0.5,
    tau: float = 10.0,
) -> dict[str, Tensor]:
    """What the generator minimises on one batch.

    ``-alpha mean D(x, G(x, z)) + tau2 mean |F(G(x, z) - x) - F(y - x)|``, where F smooths by
    ``danet.filters.TAPS_5``.

    Args:
        discriminator: the critic D, for patches of H = W = ``discriminator.patch_size``.
        clean: x, N x 3 x H x W.
        noisy: y, N x 3 x H x W.
        generated: G(x, z), N x 3 x H x W.
        alpha: weight of the generator's part in the critic.
        tau: weight tau2 of the difference of the smoothed noise.

    Returns:
        Numbers without axes: ``"loss"``, to be minimised; the ``"adversarial"`` term; and
        ``"mean_match"``, the difference of the smoothed noise without its weight.
    """
    adversarial = -alpha * discriminator(clean, generated).mean()
    difference = smooth(generated - clean, TAPS_5) - smooth(noisy - clean, TAPS_5)
    mean_match = difference.abs().mean()
    return {
        "loss": adversarial + tau * mean_match,
        "adversarial": adversarial,
        "mean_match": mean_match,
    }


def generator_start_losses(
    clean: Tensor, noisy: Tensor, generated: Tensor, latent: Tensor
) -> dict[str, Tensor]:
    """What the generator minimises before the critic guides it; not in the paper.

    ``mean |(G(x, z) - x) - sqrt(V(y - x)) s(z)|``, V the local variance of the noise in 7 x 7
    pixels.  s(z) has variance 1, is somewhat coarse, and has a correlation of 0.6 between the
    channels: the latent smoothed over 3 x 3 pixels, plus, for each channel, what the latent
    smoothed over 7 x 7 pixels is a few pixels away.

    Args:
        clean: x, N x 3 x H x W.
        noisy: y, N x 3 x H x W.
        generated: G(x, z), N x 3 x H x W.
        latent: z, N x 1 x H x W.

    Returns:
        A number without axes, ``"loss"``.
    """
    deviation = smooth((noisy - clean).square(), TAPS_7).sqrt()
    shared, own = (_unit_noise(latent, taps) for taps in (TAPS_3, TAPS_7))
    coloured = torch.cat([own.roll(shift, dims=(2, 3)) for shift in _SHIFTS], dim=1)
    pattern = 0.6**0.5 * shared + 0.4**0.5 * coloured
    return {"loss": (generated - clean - deviation * pattern).abs().mean()}


def _unit_noise(latent: Tensor, taps: Sequence[float]) -> Tensor:
    # Smoothing white noise takes its deviation down to the filter's norm.
    return smooth(latent, taps) / sum(tap**2 for tap in taps)
