"""Algorithm 1 of the paper: one iteration of the dual adversarial training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from danet.networks import GeneratorNetwork
from danet.train.accumulation import computing, descend
from danet.train.config import TrainConfig
from danet.train.draws import Draws
from danet.train.losses import (
    critic_losses,
    denoiser_losses,
    generator_losses,
    generator_start_losses,
)
from danet.train.schedule import set_learning_rates
from danet.train.state import Losses, Pairs, TrainState

__all__ = ["train_step"]


def train_step(
    state: TrainState, batches: Sequence[Pairs], extra: Pairs | None, config: TrainConfig
) -> dict[str, float]:
    """One update of R and G, after one of D for each batch: the body of Algorithm 1.

    In the first ``config.generator_start`` updates of joint training, G learns towards noise of
    the real strength instead of from D, which by then knows real noise.  Networks that the
    mode leaves out are skipped.

    Args:
        state: changed in place.
        batches: pairs from the camera, one batch for each update of D; the last one also
            serves R and G.  One batch where there is no D.
        extra: further pairs for R's absolute error, or None; with ``config.fakes`` only the
            clean patches count.
        config: weights of the losses, rates and seed.

    Returns:
        Every term of the losses, the norm of the gradient and the learning rate, named by the
        network that they belong to.
    """
    rates = set_learning_rates(state.learners(), config, state.update)
    draws = Draws(config.seed, state.update, state.team)
    report: dict[str, Losses] = {}
    if state.discriminator:
        report["discriminator"] = _update_discriminator(state, batches, draws, config)
    if state.denoiser:
        if state.fakes and extra:
            extra = _make_fakes(state, extra[0], draws, config)
        report["denoiser"] = _update_denoiser(state, batches[-1], extra, config)
    if state.generator:
        report["generator"] = _update_generator(state, batches, draws, config)
    state.update += 1
    named = {
        f"{network}/{term}": value
        for network, losses in report.items()
        for term, value in losses.items()
    }
    return state.team.average(named) | rates


def _update_discriminator(
    state: TrainState, batches: Sequence[Pairs], draws: Draws, config: TrainConfig
) -> Losses:
    """D learns to tell (x, y) from (R(y), y) and (x, G(x, z)), once from each batch."""
    assert state.discriminator
    learner, weights = state.discriminator, config.loss

    def losses(
        clean: Tensor, noisy: Tensor, denoised: Tensor, generated: Tensor, *mixes: Tensor
    ) -> Losses:
        return critic_losses(
            learner.network,
            (clean, noisy),
            denoised,
            generated,
            (mixes[0], mixes[1]),
            alpha=weights.alpha,
            penalty=weights.penalty,
        )

    report: Losses = {}
    denoised, generated = _critic_fakes(state, batches, draws, config)
    for (x, y, *_), restored, made in zip(batches, denoised, generated, strict=True):
        tensors = x, y, restored, made, draws.mix(x), draws.mix(x)
        report = descend(state, learner, losses, tensors, config)
    return report


def _update_denoiser(
    state: TrainState, batch: Pairs, extra: Pairs | None, config: TrainConfig
) -> Losses:
    """R learns from |R(y) - x|, and from what D says of (R(y), y)."""
    assert state.denoiser
    learner, weights = state.denoiser, config.loss
    critic = state.discriminator.network if state.discriminator else None

    def losses(clean: Tensor, noisy: Tensor, more_clean: Tensor, more_noisy: Tensor) -> Losses:
        judged = len(clean)
        if more_clean is not None:
            clean, noisy = torch.cat([clean, more_clean]), torch.cat([noisy, more_noisy])
        return denoiser_losses(
            critic,
            clean,
            noisy,
            learner.network(noisy),
            judged=judged,
            alpha=weights.alpha,
            tau=weights.tau_denoiser,
            measure=weights.error,
            reduction=weights.reduction,
        )

    return descend(state, learner, losses, (*batch[:2], *(extra or (None, None))), config)


def _update_generator(
    state: TrainState, batches: Sequence[Pairs], draws: Draws, config: TrainConfig
) -> Losses:
    """G learns from its smoothed noise against the real one, and from D's view of (x, G(x, z)).

    At the start, from the local variance of the noise of all batches instead.
    """
    assert state.generator
    learner, weights = state.generator, config.loss
    critic = state.discriminator.network if state.discriminator else None
    starts = state.update < config.generator_start

    def losses(clean: Tensor, noisy: Tensor, latent: Tensor, another: Tensor | None) -> Losses:
        generated = learner.network(clean, latent)
        if starts:
            return generator_start_losses(clean, noisy, generated, latent)
        return generator_losses(
            critic,
            clean,
            noisy,
            generated,
            alpha=weights.alpha,
            tau=weights.tau_generator,
            again=None if another is None else learner.network(clean, another),
            tau_correlation=weights.tau_correlation,
        )

    used = batches if starts else batches[-1:]
    clean, noisy, *_ = (torch.cat(sides) for sides in zip(*used, strict=True))
    latent = torch.cat([_latent(learner.network, draws, *batch) for batch in used])
    another = None
    if weights.tau_correlation and not starts:
        another = _latent(learner.network, draws, *batches[-1])
    return descend(state, learner, losses, (clean, noisy, latent, another), config)


def _critic_fakes(
    state: TrainState, batches: Sequence[Pairs], draws: Draws, config: TrainConfig
) -> tuple[Sequence[Tensor | None], Sequence[Tensor | None]]:
    """R(y) and G(x, z) of each batch, without gradients; None of a network that is not there.

    R and G do not change while D learns, so that one pass makes those of all the batches.
    """
    clean, noisy, *_ = (torch.cat(sides) for sides in zip(*batches, strict=True))
    sizes = [len(x) for x, *_ in batches]
    denoised: Sequence[Tensor | None] = [None] * len(batches)
    generated: Sequence[Tensor | None] = [None] * len(batches)
    with torch.no_grad(), computing(config, clean.device):
        if state.denoiser:
            denoised = state.denoiser.network(noisy).split(sizes)
        if state.generator:
            generator = state.generator.network
            latent = torch.cat([_latent(generator, draws, *batch) for batch in batches])
            generated = generator(clean, latent).split(sizes)
    return denoised, generated


def _latent(
    generator: GeneratorNetwork, draws: Draws, clean: Tensor, noisy: Tensor, *levels: Tensor
) -> Tensor:
    """The z of a batch, by level as strong as the noise of each pair's picture."""
    latent = draws.latent(clean, generator.latent_channels)
    for level in levels:
        latent = latent * (level / generator.unit_level)[:, None, None, None]
    return latent


def _make_fakes(state: TrainState, clean: Tensor, draws: Draws, config: TrainConfig) -> Pairs:
    """Pairs of DANet+: noise that a trained generator makes for clean patches."""
    assert state.fakes
    latent = draws.latent(clean, state.fakes.latent_channels)
    if state.fakes.levels:
        latent = latent * state.fakes.scales(draws.mix(clean))
    with torch.no_grad(), computing(config, clean.device):
        return clean, state.fakes(clean, latent).clamp(0, 1)
