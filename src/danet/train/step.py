"""Algorithm 1 of the paper: one iteration of the dual adversarial training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import starmap
from typing import Any

import torch
from torch import Tensor

from danet.train.config import TrainConfig
from danet.train.draws import Draws
from danet.train.losses import (
    critic_losses,
    denoiser_losses,
    generator_losses,
    generator_start_losses,
)
from danet.train.schedule import learning_rate_factor
from danet.train.state import Learner, Losses, Pairs, TrainState

__all__ = ["train_step"]

_LARGEST_ADAPTIVE_CLIP = 1e4


@contextmanager
def _frozen(learner: Learner[Any]) -> Iterator[None]:
    """Gradients pass through the network, but none are computed for its weights."""
    learner.network.requires_grad_(False)
    try:
        yield
    finally:
        learner.network.requires_grad_(True)


def _computing(config: TrainConfig, device: torch.device) -> torch.autocast:
    """The precision that networks are computed in."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")


def _parts(config: TrainConfig, *tensors: Tensor | None) -> Iterator[Sequence[Any]]:
    """The parts of a batch that are computed one after the other."""
    count = config.accumulate
    return zip(*([None] * count if t is None else t.chunk(count) for t in tensors), strict=True)


def _update_discriminator(
    state: TrainState, batches: Sequence[Pairs], draws: Draws, config: TrainConfig
) -> Losses:
    assert state.discriminator
    learner = state.discriminator

    def losses(
        clean: Tensor, noisy: Tensor, denoised: Tensor, generated: Tensor, *mixes: Tensor
    ) -> Losses:
        with _computing(config, clean.device):
            return critic_losses(
                learner.network,
                (clean, noisy),
                denoised,
                generated,
                (mixes[0], mixes[1]),
                alpha=config.loss.alpha,
                penalty=config.loss.penalty,
            )

    # R and G do not change in between, so that one pass makes the fakes of all the batches.
    clean, noisy = (torch.cat(parts) for parts in zip(*batches, strict=True))
    sizes = [len(x) for x, _ in batches]
    denoised: Sequence[Tensor | None] = [None] * len(batches)
    generated: Sequence[Tensor | None] = [None] * len(batches)
    with torch.no_grad(), _computing(config, clean.device):
        if state.denoiser:
            denoised = state.denoiser.network(noisy).split(sizes)
        if state.generator:
            latent = torch.cat([draws.latent(x) for x, _ in batches])
            generated = state.generator.network(clean, latent).split(sizes)
    report: Losses = {}
    for (x, y), restored, made in zip(batches, denoised, generated, strict=True):
        parts = _parts(config, x, y, restored, made, draws.mix(x), draws.mix(x))
        report = learner.descend(starmap(losses, parts), state.team)
    return report


def _update_denoiser(
    state: TrainState, batch: Pairs, extra: Pairs | None, config: TrainConfig
) -> Losses:
    assert state.denoiser
    learner, critic, (clean, noisy) = state.denoiser, state.discriminator, batch

    def losses(clean: Tensor, noisy: Tensor, more_clean: Tensor, more_noisy: Tensor) -> Losses:
        judged = len(clean)
        if more_clean is not None:
            clean, noisy = torch.cat([clean, more_clean]), torch.cat([noisy, more_noisy])
        with _computing(config, clean.device):
            return denoiser_losses(
                critic.network if critic else None,
                clean,
                noisy,
                learner.network(noisy),
                judged=judged,
                alpha=config.loss.alpha,
                tau=config.loss.tau_denoiser,
                measure=config.loss.error,
                reduction=config.loss.reduction,
            )

    parts = _parts(config, clean, noisy, *(extra or (None, None)))
    with _frozen(critic) if critic else nullcontext():
        return _descend_clipped(learner, starmap(losses, parts), state, config)


def _descend_clipped(
    learner: Learner[Any], parts: Iterable[Losses], state: TrainState, config: TrainConfig
) -> Losses:
    """A step with the gradient's norm held by ``config.optimizer.clip``."""
    rates, norms = config.optimizer, learner.norms
    adaptive = norms[1].clamp(max=_LARGEST_ADAPTIVE_CLIP)
    clip = adaptive if rates.clip == "adaptive" else rates.clip
    report = learner.descend(parts, state.team, clip)
    norms[0] += report["gradient_norm"]
    if (state.update + 1) % rates.epoch == 0:
        norms[1] = norms[0] / rates.epoch
        norms[0] = 0
    return report


def _update_generator(state: TrainState, batch: Pairs, draws: Draws, config: TrainConfig) -> Losses:
    assert state.generator
    learner, critic = state.generator, state.discriminator

    def losses(clean: Tensor, noisy: Tensor, latent: Tensor) -> Losses:
        with _computing(config, clean.device):
            return generator_losses(
                critic.network if critic else None,
                clean,
                noisy,
                learner.network(clean, latent),
                alpha=config.loss.alpha,
                tau=config.loss.tau_generator,
            )

    parts = _parts(config, *batch, draws.latent(batch[0]))
    with _frozen(critic) if critic else nullcontext():
        return _descend_clipped(learner, starmap(losses, parts), state, config)


def _start_generator(
    state: TrainState, batches: Sequence[Pairs], draws: Draws, config: TrainConfig
) -> Losses:
    assert state.generator
    learner = state.generator

    def losses(clean: Tensor, noisy: Tensor, latent: Tensor) -> Losses:
        with _computing(config, clean.device):
            generated = learner.network(clean, latent)
            return generator_start_losses(clean, noisy, generated, latent)

    clean, noisy = (torch.cat(parts) for parts in zip(*batches, strict=True))
    latent = torch.cat([draws.latent(x) for x, _ in batches])
    parts = _parts(config, clean, noisy, latent)
    return _descend_clipped(learner, starmap(losses, parts), state, config)


def _make_fakes(state: TrainState, clean: Tensor, draws: Draws, config: TrainConfig) -> Pairs:
    """Pairs of DANet+: noise that a trained generator makes for clean patches."""
    assert state.fakes
    with torch.no_grad(), _computing(config, clean.device):
        return clean, state.fakes(clean, draws.latent(clean)).clamp(0, 1)


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
    factor = learning_rate_factor(config, state.update)
    report: dict[str, Losses] = {}
    rates: dict[str, float] = {}
    for name, learner in state.learners().items():
        rates[f"{name}/learning_rate"] = getattr(config.optimizer, name) * factor
        for group in learner.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    draws = Draws(config.seed, state.update, state.team)
    if state.discriminator:
        report["discriminator"] = _update_discriminator(state, batches, draws, config)
    if state.denoiser:
        if state.fakes and extra:
            extra = _make_fakes(state, extra[0], draws, config)
        report["denoiser"] = _update_denoiser(state, batches[-1], extra, config)
    if state.generator and state.update < config.generator_start:
        report["generator"] = _start_generator(state, batches, draws, config)
    elif state.generator:
        report["generator"] = _update_generator(state, batches[-1], draws, config)
    state.update += 1
    named = {
        f"{network}/{term}": value
        for network, losses in report.items()
        for term, value in losses.items()
    }
    return state.team.average(named) | rates
