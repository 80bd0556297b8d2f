from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet import data, metrics
from danet.data import Pixels
from danet.errors import ConfigError
from danet.networks import build
from danet.train import DenoiserTraining, TrainConfig, experiment
from danet.train.experiment import PRESETS
from danet.weights import save_network

TINY: dict[str, Any] = {
    **PRESETS["quick"],
    "updates": 3,
    "batch_size": 2,
    "extra_size": 2,
    "patch_size": 16,
    "optimizer": {"denoiser": 1e-2},
    "denoiser": {"width": 2, "depth": 2},
    "validation": {"every": 2, "crop": 16},
    "device": "cpu",
}


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than the rest, and are tested elsewhere."""
    monkeypatch.setattr("danet.train.loop.write_curves", lambda folder: None)


@pytest.fixture
def pairs(pairs_folder: Path) -> list[tuple[Pixels, Pixels]]:
    return [data.read_pair(pair) for pair in data.folder_pairs(pairs_folder)]


def test_equal_pairs_and_seeds_give_equal_denoisers(pairs: list[tuple[Pixels, Pixels]]) -> None:
    training = DenoiserTraining(TINY)
    noisy = pairs[0][1]
    first, second, other = (training(pairs, pairs, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.denoise(noisy), second.denoise(noisy))
    assert first.curve == second.curve != other.curve
    assert [update for update, _ in first.curve] == [2, 3]


def test_a_training_in_the_cache_is_not_done_again(
    pairs: list[tuple[Pixels, Pixels]], tmp_path: Path
) -> None:
    training = DenoiserTraining(TINY, tmp_path)
    first = training(pairs, pairs, 0)
    (run,) = tmp_path.iterdir()
    assert sorted(path.name for path in run.iterdir() if path.is_dir()) == ["model"]
    os.utime(run / "checkpoint.safetensors", (0, 0))
    again = DenoiserTraining(TINY, tmp_path)(pairs, pairs, 0)
    assert (run / "checkpoint.safetensors").stat().st_mtime == 0
    assert again.curve == first.curve
    np.testing.assert_array_equal(again.denoise(pairs[0][1]), first.denoise(pairs[0][1]))


def test_the_cache_tells_pairs_and_settings_apart(
    pairs: list[tuple[Pixels, Pixels]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_trained(config: TrainConfig) -> Path:
        save_network(
            build("denoiser", "unet", width=2, depth=2), config.output / "model" / "denoiser", ""
        )
        (config.output / "log.jsonl").touch()
        return config.output / "model"

    monkeypatch.setattr(experiment, "train", not_trained)
    for changes, given, tests, seed in (
        ({}, pairs, pairs, 0),
        ({}, pairs[1:], pairs, 0),
        ({}, pairs, pairs[1:], 0),
        ({}, pairs, pairs, 1),
        ({"batch_size": 1}, pairs, pairs, 0),
    ):
        DenoiserTraining({**TINY, **changes}, tmp_path)(given, tests, seed)
    assert len(list(tmp_path.iterdir())) == 5


def test_pgap_trains_by_it(pairs: list[tuple[Pixels, Pixels]], tmp_path: Path) -> None:
    def identity(clean: Any) -> Any:
        return clean

    gap = metrics.pgap(identity, pairs, pairs[:1], preset=TINY, seeds=(0,), cache=tmp_path)
    assert gap.value == gap.real[0] - gap.generated[0] != 0
    assert gap.about["training"]["settings"]["denoiser"] == {"width": 2, "depth": 2}
    assert len(list(tmp_path.iterdir())) == 2
    again = metrics.pgap(identity, pairs, pairs[:1], preset=TINY, seeds=(0,), cache=tmp_path)
    assert again == gap


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_presets_are_settings(preset: str) -> None:
    assert DenoiserTraining(preset).about["settings"] == PRESETS[preset]


@pytest.mark.parametrize(
    ("preset", "message"),
    [("swift", "swift"), ({"batchsize": 3}, "batch_size"), ({"mode": "generator"}, "no denoiser")],
)
def test_wrong_presets(preset: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DenoiserTraining(preset)
