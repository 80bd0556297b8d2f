"""The losses of the paper: of the discriminator, the denoiser and the generator.

"Dual Adversarial Network" (ECCV 2020), equations 5 to 9, with the gradient penalty of
WGAN-GP.  Each function returns every term that was computed, by name; ``"loss"`` is the one
to minimise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from danet.filters import TAPS_5, smooth
from danet.networks import Discriminator

__all__ = ["critic_losses", "denoiser_losses", "generator_losses", "gradient_penalty"]


def gradient_penalty(
    discriminator: Discriminator,
    real: tuple[Tensor, Tensor],
    fake: tuple[Tensor, Tensor],
    mix: Tensor,
) -> Tensor:
    """Mean over the batch of (norm of the critic's gradient - 1)^2 between real and fake pairs.

    Args:
        discriminator: the critic D.
        real: clean and noisy, each N x 3 x H x W.
        fake: a pair of the same shapes.
        mix: N x 1 x 1 x 1 in [0, 1], the share of ``real`` in the point between.
    """
    points = [(mix * a + (1 - mix) * b).requires_grad_() for a, b in zip(real, fake, strict=True)]
    score = discriminator(points[0], points[1]).sum()
    gradients = torch.cat(torch.autograd.grad(score, points, create_graph=True), dim=1)
    norm = (gradients.square().sum(dim=(1, 2, 3)) + 1e-12).sqrt()
    return (norm - 1).square().mean()


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

    Args:
        discriminator: the critic D.
        real: clean x and noisy y, each N x 3 x H x W.
        denoised: R(y), without gradient.
        generated: G(x, z), without gradient.
        mixes: of the gradient penalties, for the denoiser's and the generator's fakes.
        alpha: weight of the generator's part; the denoiser's has 1 - alpha.
        penalty: weight lambda of the gradient penalties.
    """
    clean, noisy = real
    truth = discriminator(clean, noisy).mean()
    denoiser = discriminator(denoised, noisy).mean() - truth
    generator = discriminator(clean, generated).mean() - truth
    denoiser_penalty = penalty * gradient_penalty(discriminator, real, (denoised, noisy), mixes[0])
    generator_penalty = penalty * gradient_penalty(
        discriminator, real, (clean, generated), mixes[1]
    )
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

    Args:
        discriminator: the critic D; None leaves the absolute error alone, as with tau1 = inf.
        clean: x, N x 3 x H x W.
        noisy: y.
        denoised: R(y).
        judged: how many pairs, from the first, the critic judges; all by default.
        alpha: weight of the generator's part in the critic.
        tau: weight tau1 of the absolute error.
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

    Args:
        discriminator: the critic D.
        clean: x, N x 3 x H x W.
        noisy: y.
        generated: G(x, z).
        alpha: weight of the generator's part in the critic.
        tau: weight tau2 of the difference of the smoothed noise.
    """
    adversarial = -alpha * discriminator(clean, generated).mean()
    difference = smooth(generated - clean, TAPS_5) - smooth(noisy - clean, TAPS_5)
    mean_match = difference.abs().mean()
    return {
        "loss": adversarial + tau * mean_match,
        "adversarial": adversarial,
        "mean_match": mean_match,
    }
