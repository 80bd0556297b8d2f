"""Algorithm 1 of the paper: one iteration of the dual adversarial training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import starmap
from typing import Any

import numpy as np
import torch
from torch import Tensor

from danet.train.config import Schedule, TrainConfig
from danet.train.distribution import Team
from danet.train.losses import (
    critic_losses,
    denoiser_losses,
    generator_losses,
    generator_start_losses,
)
from danet.train.state import Learner, Losses, Pairs, TrainState

__all__ = ["learning_rate_factor", "train_step"]

# The epochs after which the rates are halved.
_HALVINGS: dict[Schedule, Sequence[int]] = {
    "paper": range(10, 70, 10),
    "program": (20, 30, 40, 50, 60, 65, 70),
    "program-plus": (20, 30, 40, 50, 55, 60, 65),
}
_LARGEST_ADAPTIVE_CLIP = 1e4


def learning_rate_factor(config: TrainConfig, update: int) -> float:
    """What the learning rates are multiplied by at one update."""
    rates = config.optimizer
    rise = min(1.0, (update + 1) / rates.warmup) if rates.warmup else 1.0
    if rates.schedule == "cosine":
        return float(rise * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * update / config.updates))))
    epochs = _HALVINGS.get(rates.schedule, ())
    return float(rise * 0.5 ** sum(update >= epoch * rates.epoch for epoch in epochs))


@contextmanager
def _frozen(learner: Learner[Any]) -> Iterator[None]:
    """Gradients pass through the network, but none are computed for its weights."""
    learner.network.requires_grad_(False)
    try:
        yield
    finally:
        learner.network.requires_grad_(True)


class _Draws:
    """The random draws of one update, fixed by seed and update on every device.

    They are drawn for the whole batch, of which a process of a team takes its own rows.
    """

    def __init__(self, seed: int, update: int, team: Team) -> None:
        words = np.random.SeedSequence([seed, update]).generate_state(2)
        self.source = torch.Generator().manual_seed(int(words[0]) << 32 | int(words[1]))
        self.team = team

    def latent(self, clean: Tensor) -> Tensor:
        shape = (clean.shape[0] * self.team.size, 1, *clean.shape[2:])
        return self.team.own(torch.randn(shape, generator=self.source)).to(clean.device)

    def mix(self, clean: Tensor) -> Tensor:
        shape = (clean.shape[0] * self.team.size, 1, 1, 1)
        return self.team.own(torch.rand(shape, generator=self.source)).to(clean.device)


def _computing(config: TrainConfig, device: torch.device) -> torch.autocast:
    """The precision that networks are computed in."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")


def _parts(config: TrainConfig, *tensors: Tensor | None) -> Iterator[Sequence[Any]]:
    """The parts of a batch that are computed one after the other."""
    count = config.accumulate
    return zip(*([None] * count if t is None else t.chunk(count) for t in tensors), strict=True)


def _update_discriminator(
    state: TrainState, batches: Sequence[Pairs], draws: _Draws, config: TrainConfig
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


def _update_generator(
    state: TrainState, batch: Pairs, draws: _Draws, config: TrainConfig
) -> Losses:
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
    state: TrainState, batches: Sequence[Pairs], draws: _Draws, config: TrainConfig
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


def _make_fakes(state: TrainState, clean: Tensor, draws: _Draws, config: TrainConfig) -> Pairs:
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

    draws = _Draws(config.seed, state.update, state.team)
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
