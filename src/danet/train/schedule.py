"""The learning rates over a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from danet.train.config import Schedule, TrainConfig
from danet.train.state import Learner

__all__ = ["learning_rate_factor", "set_learning_rates"]

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


def set_learning_rates(
    learners: Mapping[str, Learner[Any]], config: TrainConfig, update: int
) -> dict[str, float]:
    """Give the optimisers their learning rates for one update; for the log, the rates by name."""
    factor = learning_rate_factor(config, update)
    for learner in learners.values():
        for group in learner.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
    return {f"{name}/learning_rate": getattr(config.optimizer, name) * factor for name in learners}
