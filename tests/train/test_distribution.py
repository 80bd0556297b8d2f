from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from danet.errors import ConfigError
from danet.train import OptimizerConfig, TrainConfig, TrainState, train, train_step
from danet.train.batches import Sources, batches
from danet.train.distribution import Team

STEP = """
import pickle, sys, torch
from danet.train.distribution import join_team
from test_distribution import gradients_of_a_step
config, folder = pickle.loads(bytes.fromhex(sys.stdin.read()))
team, device = join_team(torch.device("cpu"))
gradients, losses = gradients_of_a_step(config, team)
torch.save((gradients, losses), folder / f"{team.rank}.pt")
"""
RUN = """
import pickle, sys
from danet.train import train
train(pickle.loads(bytes.fromhex(sys.stdin.read())))
"""


def gradients_of_a_step(
    config: TrainConfig, team: Team
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """What every network's last step went along, and the losses."""
    state = TrainState.start(config, "cpu", team)
    # The slope of an absolute value jumps at 0, where rounding to float32 makes much of nothing.
    for learner in state.learners().values():
        learner.network.double()
    real, extra = next(batches(config, Sources(config), team, start=0))
    assert extra is not None
    exact = [(clean.double(), noisy.double()) for clean, noisy in (*real, extra)]
    losses = train_step(state, exact[:-1], exact[-1], config)
    found = {
        f"{name}.{key}": parameter.grad
        for name, learner in state.learners().items()
        for key, parameter in learner.network.named_parameters()
        if parameter.grad is not None
    }
    return found, losses


def run_two(program: str, content: object) -> None:
    """A program in two processes that know of each other, as ``torchrun`` starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ,
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    text = pickle.dumps(content).hex()
    children = []
    for rank in ("0", "1"):
        variables = {**shared, "RANK": rank, "LOCAL_RANK": rank}
        command = [sys.executable, "-c", program]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, env=variables, text=True)
        assert child.stdin
        child.stdin.write(text)
        child.stdin.close()
        children.append(child)
    assert [child.wait() for child in children] == [0, 0]


@pytest.fixture
def shared(config: TrainConfig) -> TrainConfig:
    return replace(config, batch_size=4, extra_size=4, optimizer=OptimizerConfig(average=0.9))


def test_two_processes_have_the_gradients_of_one(shared: TrainConfig, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    shared = replace(shared, optimizer=OptimizerConfig())
    expected, losses = gradients_of_a_step(shared, Team())
    run_two(STEP, (shared, tmp_path))
    assert {name.split(".")[0] for name in expected} == {"denoiser", "generator", "discriminator"}
    for rank in range(2):
        gradients, found = torch.load(tmp_path / f"{rank}.pt")
        assert gradients.keys() == expected.keys()
        for network in ("denoiser", "generator", "discriminator"):
            one, other = (
                torch.cat([v.flatten() for k, v in g.items() if k.startswith(network)])
                for g in (expected, gradients)
            )
            assert float((one - other).norm()) < 1e-5 * float(one.norm())
        assert found == pytest.approx(losses, rel=1e-4, abs=1e-7)


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on_with_one(shared: TrainConfig, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    alone = replace(shared, output=tmp_path / "alone")
    train(alone)
    run_two(RUN, replace(shared, updates=2, workers=1))
    train(shared)
    first, second = (load_file(c.output / "checkpoint.safetensors") for c in (alone, shared))
    assert first.keys() == second.keys()
    for name, value in first.items():
        if "network" in name:
            torch.testing.assert_close(second[name], value, rtol=1e-3, atol=1e-5)
    assert len((shared.output / "log.jsonl").read_text().splitlines()) == shared.updates


def test_batches_that_cannot_be_shared(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("danet.train.loop.join_team", lambda device: (Team(0, 4), device))
    with pytest.raises(ConfigError, match=r"batch_size gives 2 pairs .* multiple of 4 processes"):
        train(config)


def test_own_rows() -> None:
    rows = torch.arange(12)
    parts = [Team(rank, 3).own(rows) for rank in range(3)]
    assert torch.equal(torch.cat(parts), rows)
    assert [len(part) for part in parts] == [4, 4, 4]
