"""The learning rates over a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from danet.train.config import Schedule, TrainConfig

__all__ = ["learning_rate_factor"]

# The epochs after which the rates are halved.
_HALVINGS: dict[Schedule, Sequence[int]] = {
    "paper": range(10, 70, 10),
    "program": (20, 30, 40, 50, 60, 65, 70),
    "program-plus": (20, 30, 40, 50, 55, 60, 65),
}


def learning_rate_factor(config: TrainConfig, update: int) -> float:
    """What the learning rates are multiplied by at one update."""
    rates = config.optimizer
    rise = min(1.0, (update + 1) / rates.warmup) if rates.warmup else 1.0
    if rates.schedule == "cosine":
        return float(rise * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * update / config.updates))))
    epochs = _HALVINGS.get(rates.schedule, ())
    return float(rise * 0.5 ** sum(update >= epoch * rates.epoch for epoch in epochs))
