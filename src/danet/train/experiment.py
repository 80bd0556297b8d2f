"""A denoiser trained on given pairs, as an experiment that can be repeated."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from danet import __version__
from danet.data import fingerprint
from danet.devices import hardware, usable_device
from danet.errors import ConfigError
from danet.metrics.gap import PixelPairs, TrainedDenoiser
from danet.pretrained import Denoiser
from danet.train.config_file import make_config
from danet.train.loop import train

__all__ = ["PRESETS", "DenoiserTraining"]

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # A few minutes on one core.  Real noise is weak, and a denoiser that sees no other does nothing
    # for long: half of each batch has its noise made stronger.
    "quick": {
        "recipe": "denoiser-l1",
        "updates": 1000,
        "batch_size": 8,
        "extra_size": 8,
        "patch_size": 32,
        "denoiser": {"width": 16, "depth": 3},
        "data": {"extra": [{"real": {}}]},
        "optimizer": {
            "denoiser": 1e-3,
            "schedule": "cosine",
            "warmup": 50,
            "average": 0.99,
            "clip": 0.1,
        },
        "validation": {"every": 100, "crop": 128},
        "channels_last": True,
        "workers": 0,
    },
    # The paper's denoiser by its absolute error alone, in as many updates.
    "paper": {"recipe": "denoiser-l1", "validation": {"every": 5000}},
}
"""Settings of the trainings by name."""


class DenoiserTraining:
    """The training of `danet.metrics.pgap`: a denoiser by a recipe, its last weights taken.

    Args:
        preset: a name of ``PRESETS``, or settings as `make_config` takes them.
        cache: a folder to keep every training in; None keeps none.

    Raises:
        ConfigError: there is no such preset, a setting is wrong, or no denoiser would be trained.

    Example:
        >>> DenoiserTraining("quick").about["settings"]["denoiser"]
        {'width': 16, 'depth': 3}
    """

    def __init__(
        self,
        preset: str | Mapping[str, Any] = "quick",
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        if isinstance(preset, str):
            if preset not in PRESETS:
                raise ConfigError(f"the preset is {preset!r}, and must be one of {set(PRESETS)}")
            preset = PRESETS[preset]
        self._settings = dict(preset)
        self._cache = None if cache is None else Path(cache)
        config = make_config(**self._given(Path(), seed=0))
        if "denoiser" not in config.networks:
            raise ConfigError(f"mode is {config.mode!r}, which trains no denoiser")
        self._device = usable_device(config.device)

    @property
    def about(self) -> Mapping[str, Any]:
        """The settings, the rule which weights are taken, and what computes."""
        return {
            "settings": self._settings,
            "weights": "the last, the running average where the settings keep one",
            "danet": __version__,
            "torch": str(torch.__version__),
            "hardware": hardware(self._device),
        }

    def __call__(self, pairs: PixelPairs, test_pairs: PixelPairs, seed: int) -> TrainedDenoiser:
        """Train, or take what an equal training left in the cache.

        Args:
            pairs: (clean, noisy), each H x W x 3, uint8 or uint16.
            test_pairs: pairs of the same form, for the curve.
            seed: fixes the random weights and every patch.

        Raises:
            DanetError: as `danet.train.train`.
        """
        with self._folder(pairs, test_pairs, seed) as run:
            model = run / "model"
            if not model.exists():
                _write(pairs, run / "pairs")
                _write(test_pairs, run / "test")
                train(make_config(**self._given(run, seed)))
                for name in ("pairs", "test"):
                    shutil.rmtree(run / name)
            return TrainedDenoiser(Denoiser(model), tuple(_curve(run / "log.jsonl")))

    def _given(self, run: Path, seed: int) -> dict[str, Any]:
        settings = self._settings
        return {
            **settings,
            "output": run,
            "seed": seed,
            "data": {**settings.get("data", {}), "root": run / "pairs"},
            "validation": {**settings.get("validation", {}), "root": run / "test"},
        }

    @contextmanager
    def _folder(self, pairs: PixelPairs, test_pairs: PixelPairs, seed: int) -> Iterator[Path]:
        """Where a training is kept: in the cache, by all that it depends on."""
        if self._cache is None:
            with tempfile.TemporaryDirectory() as folder:
                yield Path(folder)
            return
        depends = [self.about, seed, *map(fingerprint, (pairs, test_pairs))]
        name = hashlib.sha256(json.dumps(depends, default=str).encode()).hexdigest()
        yield self._cache / name[:24]


def _write(pairs: PixelPairs, root: Path) -> None:
    """Lay pairs out as `danet.data.folder_pairs` finds them."""
    for side, index in (("clean", 0), ("noisy", 1)):
        (root / side).mkdir(parents=True, exist_ok=True)
        for number, pair in enumerate(pairs):
            np.save(root / side / f"{number:06d}.npy", pair[index])


def _curve(log: Path) -> Iterator[tuple[int, float]]:
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "validation/psnr" in entry:
            yield entry["update"], entry["validation/psnr"]
