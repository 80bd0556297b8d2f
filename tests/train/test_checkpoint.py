from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from danet.errors import WeightsError
from danet.train import TrainConfig, TrainState, train_step
from danet.train.checkpoint import load_checkpoint, save_checkpoint


def trained(config: TrainConfig) -> TrainState:
    state = TrainState.start(config)
    clean = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    train_step(state, [(clean, clean + 0.1)], None, config)
    return state


def test_everything_comes_back_bit_for_bit(config: TrainConfig, tmp_path: Path) -> None:
    state = trained(config)
    save_checkpoint(state, tmp_path / "checkpoint.safetensors")
    other = TrainState.start(replace(config, seed=5))
    load_checkpoint(other, tmp_path / "checkpoint.safetensors")
    assert other.update == 1
    for name, learner in state.learners().items():
        twin = other.learners()[name]
        assert learner.optimizer.state_dict()["state"], name
        for mine, its in (
            (learner.network.state_dict(), twin.network.state_dict()),
            (learner.best.state_dict(), twin.best.state_dict()),
        ):
            assert all(torch.equal(mine[key], its[key]) for key in mine)
        for index, slots in learner.optimizer.state_dict()["state"].items():
            for key, value in slots.items():
                assert torch.equal(value, twin.optimizer.state_dict()["state"][index][key])


@pytest.mark.parametrize(
    "change", [{"width": 4}, {"mode": "denoiser"}, {"depth": 4}, {"critic_width": 4}]
)
def test_another_configuration_is_refused(
    config: TrainConfig, tmp_path: Path, change: dict[str, object]
) -> None:
    save_checkpoint(trained(config), tmp_path / "checkpoint.safetensors")
    other = TrainState.start(replace(config, **change))  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match="cannot resume"):
        load_checkpoint(other, tmp_path / "checkpoint.safetensors")


def test_a_damaged_file_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(trained(config), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="cannot resume"):
        load_checkpoint(TrainState.start(config), path)
