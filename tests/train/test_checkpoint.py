from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from danet.errors import WeightsError
from danet.train import NetworkConfig, OptimizerConfig, TrainConfig, TrainState, train_step
from danet.train.checkpoint import read_checkpoint, resume, save_checkpoint


def trained(config: TrainConfig) -> TrainState:
    state = TrainState.start(config)
    clean = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    train_step(state, [(clean, clean + 0.1)], None, config)
    return state


def test_everything_comes_back_bit_for_bit(config: TrainConfig, tmp_path: Path) -> None:
    state = trained(config)
    save_checkpoint(state, tmp_path / "checkpoint.safetensors")
    other = TrainState.start(replace(config, seed=5))
    resume(other, read_checkpoint(tmp_path / "checkpoint.safetensors"))
    assert other.update == 1
    for name, learner in state.learners().items():
        twin = other.learners()[name]
        assert learner.optimizer.state_dict()["state"], name
        for mine, its in (
            (learner.network.state_dict(), twin.network.state_dict()),
            (learner.averaged.state_dict(), twin.averaged.state_dict()),
        ):
            assert all(torch.equal(mine[key], its[key]) for key in mine)
        for index, slots in learner.optimizer.state_dict()["state"].items():
            for key, value in slots.items():
                assert torch.equal(value, twin.optimizer.state_dict()["state"][index][key])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            {"denoiser": NetworkConfig(width=4)},
            r"denoiser/network/\S+ has the shape \(2, 3, 3, 3\), and must have \(4, ",
        ),
        (
            {"denoiser": NetworkConfig(width=2, depth=6), "patch_size": 64},
            r"it lacks denoiser/network/\S+",
        ),
        ({"critic_width": 4}, r"discriminator/network/\S+ has the shape"),
        ({"mode": "denoiser"}, r"it also holds discriminator/\S+"),
        ({"denoiser": NetworkConfig(width=2, depth=4)}, r"denoiser/\S+ has the shape"),
        ({"optimizer": OptimizerConfig()}, r"it also holds denoiser/average/\S+"),
    ],
)
def test_another_configuration_is_refused_in_one_line(
    config: TrainConfig, tmp_path: Path, change: dict[str, object], fault: str
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(trained(config), path)
    other = TrainState.start(replace(config, **change))  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match=f"cannot resume from {path}: {fault}") as refused:
        resume(other, read_checkpoint(path))
    assert len(str(refused.value).replace(str(path), "").splitlines()) == 1
    assert len(str(refused.value).replace(str(path), "")) < 150


def test_a_damaged_file_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(trained(config), path, "a record")
    assert read_checkpoint(path).record == "a record"
    whole = path.read_bytes()
    source = np.random.default_rng(0)
    header = int.from_bytes(whole[:8], "little")
    places = [
        *range(8),
        *source.integers(8, 8 + header, 60),
        *source.integers(header, len(whole), 40),
    ]
    damaged = [whole[:-100], whole[:-100] + bytes(100)]
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << source.integers(8)
        damaged.append(bytes(flipped))
    for number, content in enumerate(damaged):
        if content == whole:
            continue
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="cannot resume") as refused:
            read_checkpoint(path)
        assert "\n" not in str(refused.value), number
