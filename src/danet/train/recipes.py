"""The recipes of the paper, as settings of ``danet.train.TrainConfig``.

Source: "Dual Adversarial Network" (ECCV 2020), its supplement and the authors' program.  What a
recipe does not name has the default of ``TrainConfig``, which is that of the recipe ``danet``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["RECIPES"]

_EPOCHS = 70
# Draws from SIDD-Medium, RENOIR and PolyU: the order in which data.root must name them.
_GENERAL_DATA = {"weights": (5000, 2000, 1000)}
_DANET: dict[str, Any] = {
    "updates": _EPOCHS * 5000,
    "optimizer": {"schedule": "program", "epoch": 5000},
}
# An epoch has 8,000 batches' worth of real pairs.
_DANET_PLUS: dict[str, Any] = {
    "mode": "denoiser",
    "updates": _EPOCHS * 10_000,
    "batch_size": 32,
    "fakes": {"ratio": 0.25},
    "loss": {"reduction": "sum"},
    "optimizer": {
        "denoiser": 2e-4,
        "schedule": "program-plus",
        "epoch": 10_000,
        "clip": "adaptive",
    },
}

RECIPES: Mapping[str, Mapping[str, Any]] = {
    # Algorithm 1 on SIDD-Medium.
    "danet": _DANET,
    # The denoiser afresh, with the absolute error alone, on real pairs and the generator's.
    "danet-plus": _DANET_PLUS,
    # The same two on three data sets.
    "gdanet": {**_DANET, "data": _GENERAL_DATA},
    "gdanet-plus": {**_DANET_PLUS, "data": _GENERAL_DATA},
    # One of the two games: the denoiser's and the generator's.
    "base-d": {**_DANET, "mode": "base-d", "loss": {"alpha": 0.0}},
    "base-g": {**_DANET, "mode": "base-g", "loss": {"alpha": 1.0}},
    # Without the critic: tau1 = inf and tau2 = inf.
    "denoiser-l1": {**_DANET, "mode": "denoiser"},
    "generator-mean": {**_DANET, "mode": "generator"},
}
"""Settings by the name of a recipe."""
