from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import danet
from danet.errors import DanetError, DataError, WeightsError
from danet.train import LossConfig, TrainConfig, loop, train, train_step


def test_a_run_leaves_a_model_that_loads(config: TrainConfig) -> None:
    folder = train(config)
    picture = np.full((20, 30, 3), 90, dtype=np.uint8)
    assert danet.Denoiser.from_pretrained(folder)(picture).shape == picture.shape
    noisy = danet.NoiseGenerator.from_pretrained(folder).sample(picture, n=2, seed=0)
    assert noisy.shape == (2, 20, 30, 3)
    lines = [json.loads(line) for line in (config.output / "log.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines] == [1, 2, 3, 4]
    described = json.loads((config.output / "config.json").read_text())
    assert described["config"]["seed"] == config.seed
    assert described["versions"]["danet"] == danet.__version__


@pytest.mark.parametrize("mode", ["joint", "denoiser"])
def test_resumed_equals_uninterrupted(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    config = replace(config, mode=mode)  # type: ignore[arg-type]
    whole = replace(config, output=tmp_path / "whole")
    train(whole)

    step = train_step
    done: list[int] = []

    def interrupted(*arguments: object) -> dict[str, float]:
        if len(done) == 3:  # one update after the checkpoint
            raise KeyboardInterrupt
        done.append(1)
        return step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    monkeypatch.undo()
    train(config)
    first, second = (load_file(c.output / "checkpoint.safetensors") for c in (whole, config))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on fewer cores
def test_the_workers_change_nothing(config: TrainConfig, tmp_path: Path) -> None:
    results = []
    for workers in (0, 2):
        run = replace(config, output=tmp_path / str(workers), workers=workers, mode="denoiser")
        results.append(load_file(train(run) / "denoiser" / "model.safetensors"))
    assert all(torch.equal(results[0][key], results[1][key]) for key in results[0])


def test_starting_from_a_model(config: TrainConfig, tmp_path: Path) -> None:
    model = train(replace(config, mode="denoiser"))
    follow = replace(config, output=tmp_path / "next", init_from=str(model), updates=1)
    before = load_file(model / "denoiser" / "model.safetensors")
    after = load_file(train(follow) / "denoiser" / "model.safetensors")
    assert all((before[key] - after[key]).abs().max() < 1e-3 for key in before)


def test_starting_from_nowhere(config: TrainConfig) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        train(replace(config, init_from="nowhere"))


def test_a_loss_that_is_not_finite_stops_the_run(config: TrainConfig) -> None:
    train(replace(config, updates=2))
    checkpoint = config.output / "checkpoint.safetensors"
    before = checkpoint.read_bytes()
    broken = replace(config, loss=LossConfig(tau_denoiser=float("nan")))
    with pytest.raises(DanetError, match="denoiser/loss is no longer finite at update 3"):
        train(broken)
    assert checkpoint.read_bytes() == before


def test_pictures_smaller_than_a_patch(config: TrainConfig) -> None:
    with pytest.raises(DataError, match="48 pixels"):
        train(replace(config, patch_size=64))
