"""Algorithm 1 of the paper: one iteration of the dual adversarial training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from danet.networks import Discriminator, UNetDenoiser, UNetGenerator
from danet.train.config import LossConfig, TrainConfig
from danet.train.losses import (
    critic_losses,
    denoiser_losses,
    generator_losses,
    generator_start_losses,
)

__all__ = ["Learner", "Pairs", "TrainState", "learning_rate_factor", "train_step"]

Pairs = tuple[Tensor, Tensor]
"""Clean and noisy patches, each N x 3 x H x W."""
Losses = dict[str, Tensor]
Betas = tuple[float, float]


_NetworkT = TypeVar("_NetworkT", UNetDenoiser, UNetGenerator, Discriminator)


@dataclass
class Learner(Generic[_NetworkT]):
    """A network, its optimiser and, if wanted, the running average of its weights."""

    network: _NetworkT
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None = None

    def descend(self, loss: Tensor, clip: float = 0.0) -> None:
        """One step down the gradient of ``loss``."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.network)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Start from these weights."""
        self.network.load_state_dict(weights)
        if self.average is not None:
            self.average.module.load_state_dict(weights)

    @property
    def averaged(self) -> _NetworkT:
        """The network with the averaged weights; the network itself where no average is kept."""
        return self.network if self.average is None else cast(_NetworkT, self.average.module)


@dataclass
class TrainState:
    """All that changes while training: three learners and the number of updates done."""

    denoiser: Learner[UNetDenoiser]
    generator: Learner[UNetGenerator] | None = None
    discriminator: Learner[Discriminator] | None = None
    update: int = 0

    @classmethod
    def start(cls, config: TrainConfig, device: torch.device | str = "cpu") -> TrainState:
        """Begin a run with random networks, the same for the same seed.

        Args:
            config: the run.
            device: where the networks shall lie.
        """
        shape, rates = (config.width, config.depth), config.optimizer
        average = rates.average

        def learner(
            network: _NetworkT, rate: float, betas: Betas, average: float
        ) -> Learner[_NetworkT]:
            # The stubs of torch lack the form of `to` that lays out modules.
            network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            ema = get_ema_multi_avg_fn(average)
            return Learner(
                network,
                torch.optim.Adam(network.parameters(), rate, betas, fused=True),
                AveragedModel(network, multi_avg_fn=ema) if average else None,
            )

        # The weights are drawn on the CPU; the caller's random numbers stay as they are.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(config.seed)
            denoiser = UNetDenoiser(*shape)
            state = cls(learner(denoiser, rates.denoiser, (0.9, 0.999), average))
            if config.mode == "joint":
                critic, betas = Discriminator(config.critic_width, config.patch_size), (0.5, 0.9)
                generator = UNetGenerator(*shape)
                state.generator = learner(generator, rates.generator, betas, average)
                state.discriminator = learner(critic, rates.discriminator, betas, 0.0)
        return state

    def learners(self) -> dict[str, Learner[Any]]:
        """The learners there are, by name."""
        named = {
            "denoiser": self.denoiser,
            "generator": self.generator,
            "discriminator": self.discriminator,
        }
        return {name: learner for name, learner in named.items() if learner is not None}


def learning_rate_factor(config: TrainConfig, update: int) -> float:
    """What the learning rates are multiplied by at one update."""
    rates = config.optimizer
    rise = min(1.0, (update + 1) / rates.warmup) if rates.warmup else 1.0
    if rates.schedule == "constant":
        return rise
    return float(rise * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * update / config.updates))))


@contextmanager
def _frozen(learner: Learner[Any]) -> Iterator[None]:
    """Gradients pass through the network, but none are computed for its weights."""
    learner.network.requires_grad_(False)
    try:
        yield
    finally:
        learner.network.requires_grad_(True)


class _Draws:
    """The random draws of one update, fixed by seed and update on every device."""

    def __init__(self, seed: int, update: int) -> None:
        words = np.random.SeedSequence([seed, update]).generate_state(2)
        self.source = torch.Generator().manual_seed(int(words[0]) << 32 | int(words[1]))

    def latent(self, clean: Tensor) -> Tensor:
        shape = (clean.shape[0], 1, *clean.shape[2:])
        return torch.randn(shape, generator=self.source).to(clean.device)

    def mix(self, clean: Tensor) -> Tensor:
        return torch.rand((clean.shape[0], 1, 1, 1), generator=self.source).to(clean.device)


def _update_discriminator(
    state: TrainState, batches: Sequence[Pairs], draws: _Draws, config: LossConfig
) -> Losses:
    assert state.discriminator and state.generator
    clean, noisy = (torch.cat(parts) for parts in zip(*batches, strict=True))
    with torch.no_grad():
        denoised = state.denoiser.network(noisy)
        generated = state.generator.network(clean, draws.latent(clean))
    sizes = [len(x) for x, _ in batches]
    fakes = zip(denoised.split(sizes), generated.split(sizes), strict=True)
    for batch, (restored, made) in zip(batches, fakes, strict=True):
        losses = critic_losses(
            state.discriminator.network,
            batch,
            restored,
            made,
            (draws.mix(restored), draws.mix(restored)),
            alpha=config.alpha,
            penalty=config.penalty,
        )
        state.discriminator.descend(losses["loss"])
    return losses


def _update_denoiser(
    state: TrainState, batch: Pairs, extra: Pairs | None, config: TrainConfig
) -> Losses:
    clean, noisy = batch
    if extra is not None:
        clean, noisy = torch.cat([clean, extra[0]]), torch.cat([noisy, extra[1]])
    critic = state.discriminator
    with _frozen(critic) if critic else nullcontext():
        losses = denoiser_losses(
            critic.network if critic else None,
            clean,
            noisy,
            state.denoiser.network(noisy),
            judged=len(batch[0]),
            alpha=config.loss.alpha,
            tau=config.loss.tau_denoiser,
        )
        state.denoiser.descend(losses["loss"], config.optimizer.clip)
    return losses


def _update_generator(
    state: TrainState, batch: Pairs, draws: _Draws, config: TrainConfig
) -> Losses:
    assert state.discriminator and state.generator
    clean, noisy = batch
    with _frozen(state.discriminator):
        losses = generator_losses(
            state.discriminator.network,
            clean,
            noisy,
            state.generator.network(clean, draws.latent(clean)),
            alpha=config.loss.alpha,
            tau=config.loss.tau_generator,
        )
        state.generator.descend(losses["loss"], config.optimizer.clip)
    return losses


def _start_generator(
    state: TrainState, batches: Sequence[Pairs], draws: _Draws, config: TrainConfig
) -> Losses:
    assert state.generator
    clean, noisy = (torch.cat(parts) for parts in zip(*batches, strict=True))
    latent = draws.latent(clean)
    generated = state.generator.network(clean, latent)
    losses = generator_start_losses(clean, noisy, generated, latent)
    state.generator.descend(losses["loss"], config.optimizer.clip)
    return losses


def train_step(
    state: TrainState, batches: Sequence[Pairs], extra: Pairs | None, config: TrainConfig
) -> dict[str, float]:
    """One update of R and G, after one of D for each batch: the body of Algorithm 1.

    In the first ``config.generator_start`` updates of joint training, G learns towards noise of
    the real strength instead of from D, which by then knows real noise.

    Args:
        state: changed in place.
        batches: pairs from the camera, one batch for each update of D; the last one also
            serves R and G.  One batch if R trains alone.
        extra: further pairs for R's absolute error, or None.
        config: weights of the losses, rates and seed.

    Returns:
        Every term of the losses, named by the network that minimises it.
    """
    factor = learning_rate_factor(config, state.update)
    for name, learner in state.learners().items():
        for group in learner.optimizer.param_groups:
            group["lr"] = getattr(config.optimizer, name) * factor

    draws = _Draws(config.seed, state.update)
    report: dict[str, Losses] = {}
    if state.generator:
        report["discriminator"] = _update_discriminator(state, batches, draws, config.loss)
    report["denoiser"] = _update_denoiser(state, batches[-1], extra, config)
    if state.generator and state.update < config.generator_start:
        report["generator"] = _start_generator(state, batches, draws, config)
    elif state.generator:
        report["generator"] = _update_generator(state, batches[-1], draws, config)
    state.update += 1
    return {
        f"{network}/{term}": float(value.detach())
        for network, losses in report.items()
        for term, value in losses.items()
    }
