"""A learner's step on a batch: part by part, in the precision of the run, gradients clipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from danet.train.config import TrainConfig
from danet.train.state import Learner, Losses, TrainState

__all__ = ["computing", "descend"]

_LARGEST_ADAPTIVE_CLIP = 1e4


def computing(config: TrainConfig, device: torch.device) -> torch.autocast:
    """The precision that networks are computed in."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")


def descend(
    state: TrainState,
    learner: Learner[Any],
    losses: Callable[..., Losses],
    tensors: Sequence[Tensor | None],
    config: TrainConfig,
) -> Losses:
    """One step of a learner down the gradient of its losses on a batch.

    The discriminator is held by its gradient penalty.  The others' gradients are clipped, and
    pass through it without changing it.

    Args:
        state: the learner and the others.
        learner: what is changed.
        losses: the terms of the loss, from the rows of ``tensors`` in one part of the batch.
        tensors: of the batch; None is passed on.
        config: precision, parts and clipping.
    """

    def computed() -> Iterator[Losses]:
        count, device = config.accumulate, learner.norms.device
        rows = ([None] * count if whole is None else whole.chunk(count) for whole in tensors)
        for part in zip(*rows, strict=True):
            with computing(config, device):
                terms = losses(*part)
            yield terms

    critic = state.discriminator
    if learner is critic:
        return learner.descend(computed(), state.team)
    rates, norms = config.optimizer, learner.norms
    clip = norms[1].clamp(max=_LARGEST_ADAPTIVE_CLIP) if rates.clip == "adaptive" else rates.clip
    with _frozen(critic.network) if critic else nullcontext():
        report = learner.descend(computed(), state.team, clip)
    norms[0] += report["gradient_norm"]
    if (state.update + 1) % rates.epoch == 0:
        norms[1] = torch.minimum(norms[1], norms[0] / rates.epoch)
        norms[0] = 0
    return report


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Gradients pass through the network, but none are computed for its weights."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
