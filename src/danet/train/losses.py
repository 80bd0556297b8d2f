"""The losses of the paper: of the discriminator, the denoiser and the generator.

"Dual Adversarial Network" (ECCV 2020), with the gradient penalty of WGAN-GP.  x is a clean
patch, y its noisy one, z the latent noise, and every mean is over the batch or, for an absolute
value, over all values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from danet.filters import TAPS_3, TAPS_5, TAPS_7, smooth
from danet.networks import Discriminator

__all__ = [
    "correlation_match",
    "critic_losses",
    "denoiser_losses",
    "generator_losses",
    "generator_start_losses",
    "gradient_penalty",
]

_LEVEL = 1 / 255
_LAGS = 5
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
        N penalties, which can be differentiated in the critic's weights alone.
    """
    clean, noisy = (mix * a + (1 - mix) * b for a, b in zip(real, fake, strict=True))
    gradients = discriminator.gradient(clean, noisy).to(clean.dtype)
    norm = (gradients.square().sum(dim=(1, 2, 3)) + 1e-12).sqrt()
    return (norm - 1).square()


def critic_losses(
    discriminator: Discriminator,
    real: tuple[Tensor, Tensor],
    denoised: Tensor | None,
    generated: Tensor | None,
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
        denoised: R(y), N x 3 x H x W, without gradient; None leaves its part out.
        generated: G(x, z), N x 3 x H x W, without gradient; None leaves its part out.
        mixes: of the gradient penalties, for the denoiser's and the generator's fakes, each
            N x 1 x 1 x 1 in [0, 1].
        alpha: weight of the generator's part; the denoiser's has 1 - alpha.
        penalty: weight lambda of the gradient penalties.

    Returns:
        Numbers without axes: ``"loss"``, to be minimised; and, for those that there are, the
        differences ``"denoiser"`` and ``"generator"``, and lambda times the penalties,
        ``"denoiser_penalty"`` and ``"generator_penalty"``.
    """
    clean, noisy = real
    games = []
    if denoised is not None:
        games.append(("denoiser", 1 - alpha, (denoised, noisy), mixes[0]))
    if generated is not None:
        games.append(("generator", alpha, (clean, generated), mixes[1]))
    count = len(games)
    # The critic treats each pair by itself, so that pairs of every kind go through it at once.
    fakes = [torch.cat(parts) for parts in zip(*(fake for _, _, fake, _ in games), strict=True)]
    scores = _score(discriminator, torch.cat([clean, fakes[0]]), torch.cat([noisy, fakes[1]]))
    truth, *judged = scores.chunk(1 + count)
    penalties = gradient_penalty(
        discriminator,
        (torch.cat([clean] * count), torch.cat([noisy] * count)),
        (fakes[0], fakes[1]),
        torch.cat([mix for _, _, _, mix in games]),
    ).chunk(count)
    terms = {"loss": truth.new_zeros(())}
    for (name, weight, _, _), score, slope in zip(games, judged, penalties, strict=True):
        terms[name] = (score - truth).mean()
        terms[f"{name}_penalty"] = penalty * slope.mean()
        terms["loss"] = terms["loss"] + weight * (terms[name] + terms[f"{name}_penalty"])
    return terms


def _score(discriminator: Discriminator, clean: Tensor, noisy: Tensor) -> Tensor:
    """The critic's numbers in the precision of the pictures, whatever it computes in."""
    score: Tensor = discriminator(clean, noisy)
    return score.to(clean.dtype)


def denoiser_losses(
    discriminator: Discriminator | None,
    clean: Tensor,
    noisy: Tensor,
    denoised: Tensor,
    *,
    judged: int | None = None,
    alpha: float = 0.5,
    tau: float = 1000.0,
    measure: Literal["absolute", "root-mean-square"] = "absolute",
    reduction: Literal["mean", "sum"] = "mean",
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
        measure: of the error; ``"root-mean-square"`` takes the mean over the pictures of
            ``sqrt(mean (R(y) - x)^2 + (1/255)^2)`` in place of the absolute error, so that a
            patch with little noise counts for more than in the mean square.
        reduction: of the error without a critic: ``"sum"`` adds up the values of a
            picture.

    Returns:
        Numbers without axes: ``"loss"``, to be minimised; the mean absolute ``"error"``,
        without its weight; and, if there is a critic, the ``"adversarial"`` term.
    """
    if measure == "absolute":
        error = (denoised - clean).abs().mean()
    else:
        square = (denoised - clean).square().mean(dim=(1, 2, 3))
        error = (square + _LEVEL**2).sqrt().mean()
    if discriminator is None:
        return {"loss": error * (clean[0].numel() if reduction == "sum" else 1), "error": error}
    adversarial = -(1 - alpha) * _score(discriminator, denoised[:judged], noisy[:judged]).mean()
    return {"loss": adversarial + tau * error, "adversarial": adversarial, "error": error}


def generator_losses(
    discriminator: Discriminator | None,
    clean: Tensor,
    noisy: Tensor,
    generated: Tensor,
    *,
    alpha: float = 0.5,
    tau: float = 10.0,
    again: Tensor | None = None,
    tau_correlation: float = 0.0,
) -> dict[str, Tensor]:
    """What the generator minimises on one batch.

    ``-alpha mean D(x, G(x, z)) + tau2 mean |F(G(x, z) - x) - F(y - x)|``, where F smooths by
    ``danet.filters.TAPS_5``.

    With ``again``, `correlation_match` is added, which is not in the paper.

    Args:
        discriminator: the critic D, for patches of H = W = ``discriminator.patch_size``; None
            leaves the difference of the smoothed noise alone, as with tau2 = inf.
        clean: x, N x 3 x H x W.
        noisy: y, N x 3 x H x W.
        generated: G(x, z), N x 3 x H x W.
        alpha: weight of the generator's part in the critic.
        tau: weight tau2 of the difference of the smoothed noise.
        again: G(x, z') of another z', N x 3 x H x W.
        tau_correlation: weight of `correlation_match`.

    Returns:
        Numbers without axes: ``"loss"``, to be minimised; ``"mean_match"``, the difference of
        the smoothed noise without its weight; if there is a critic, the ``"adversarial"`` term;
        and with ``again`` ``"correlation_match"`` without its weight.
    """
    difference = smooth(generated - clean, TAPS_5) - smooth(noisy - clean, TAPS_5)
    terms = {"mean_match": difference.abs().mean()}
    loss = terms["mean_match"]
    if discriminator is not None:
        terms["adversarial"] = -alpha * _score(discriminator, clean, generated).mean()
        loss = terms["adversarial"] + tau * loss
    if again is not None:
        terms["correlation_match"] = correlation_match(clean, noisy, generated, again)
        loss = loss + tau_correlation * terms["correlation_match"]
    return {"loss": loss, **terms}


def correlation_match(clean: Tensor, noisy: Tensor, generated: Tensor, again: Tensor) -> Tensor:
    """How far the colours and the grain of generated noise are from those of the real noise.

    ``mean <c(G(x, z) - x) - c(y - x), c(G(x, z') - x) - c(y - x)>``, where c has the correlations
    of a patch's noise between each two channels at lags of up to 5 pixels.  As z and z' are
    independent, the expected value over them is the square of the expected difference: that
    generated noise varies by chance costs nothing.  Not in the paper.

    Args:
        clean: x, N x 3 x H x W.
        noisy: y, N x 3 x H x W.
        generated: G(x, z), N x 3 x H x W.
        again: G(x, z') of another z', N x 3 x H x W.

    Returns:
        A number without axes, of the lags' sum and the mean over pairs of channels; it can be
        negative by chance.

    Example:
        >>> clean = torch.zeros(64, 3, 16, 16)
        >>> fine = torch.randn(3, 64, 3, 16, 16)
        >>> coarse = smooth(fine.flatten(0, 1), TAPS_3).view_as(fine)
        >>> matched = correlation_match(clean, coarse[0], coarse[1], coarse[2])
        >>> (matched < correlation_match(clean, coarse[0], fine[1], fine[2])).item()
        True
    """
    real, first, second = (_correlations(side - clean) for side in (noisy, generated, again))
    return ((first - real) * (second - real)).sum(dim=(2, 3)).mean()


def _correlations(noise: Tensor) -> Tensor:
    """N x 9 x (2 L + 1) x (2 L + 1): of each two channels, by dy and dx, lag 0 in the middle."""
    centred = noise - noise.mean(dim=(2, 3), keepdim=True)
    # A patch that has no noise has no correlations.
    deviation = (centred.square().mean(dim=(2, 3), keepdim=True) + _LEVEL**2 / 12).sqrt()
    height, width = noise.shape[-2:]
    spectrum = torch.fft.rfft2(centred / deviation, s=(2 * height, 2 * width))
    power = spectrum.unsqueeze(2) * spectrum.conj().unsqueeze(1)
    covariance = torch.fft.irfft2(power.flatten(1, 2), s=(2 * height, 2 * width))
    steps = torch.arange(-_LAGS, _LAGS + 1, device=noise.device)
    correlations: Tensor = covariance[..., steps[:, None], steps] / (height * width)
    return correlations


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
        latent: z, N x latent_channels x H x W, of which the first channel counts.

    Returns:
        A number without axes, ``"loss"``.
    """
    deviation = smooth((noisy - clean).square(), TAPS_7).sqrt()
    shared, own = (_unit_noise(latent[:, :1], taps) for taps in (TAPS_3, TAPS_7))
    coloured = torch.cat([own.roll(shift, dims=(2, 3)) for shift in _SHIFTS], dim=1)
    pattern = 0.6**0.5 * shared + 0.4**0.5 * coloured
    return {"loss": (generated - clean - deviation * pattern).abs().mean()}


def _unit_noise(latent: Tensor, taps: Sequence[float]) -> Tensor:
    # Smoothing white noise takes its deviation down to the filter's norm.
    return smooth(latent, taps) / sum(tap**2 for tap in taps)
