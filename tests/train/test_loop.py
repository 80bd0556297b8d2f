from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

import danet
from danet.cli import main
from danet.errors import ConfigError, DanetError, DataError, WeightsError
from danet.files import locked
from danet.metrics import noise_level
from danet.networks import DenoiserNetwork, GeneratorNetwork
from danet.networks.backbone import OfBackbone
from danet.noise import DevelopedNoise
from danet.pretrained import NoiseGenerator
from danet.train import (
    ExtraConfig,
    FakesConfig,
    LossConfig,
    NetworkConfig,
    OptimizerConfig,
    TrainConfig,
    TrainState,
    loop,
    train,
    train_step,
)
from danet.train.config import Mode


def logged(config: TrainConfig) -> list[int]:
    lines = (config.output / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["update"] for line in lines]


def same(network: OfBackbone, weights: Mapping[str, Tensor]) -> bool:
    own = network.backbone.state_dict()
    return own.keys() == weights.keys() and all(torch.equal(own[key], weights[key]) for key in own)


def started(config: TrainConfig, source: Path) -> tuple[DenoiserNetwork, GeneratorNetwork]:
    """The networks of a joint run that starts from ``source`` with random ones of another seed."""
    state = TrainState.start(config)
    loop._load_initial(state, str(source))
    assert state.denoiser
    assert state.generator
    return state.denoiser.averaged, state.generator.averaged


def test_a_run_leaves_a_model_that_loads(config: TrainConfig) -> None:
    folder = train(config)
    picture = np.full((20, 30, 3), 90, dtype=np.uint8)
    assert danet.Denoiser.from_pretrained(folder)(picture).shape == picture.shape
    noisy = danet.NoiseGenerator.from_pretrained(folder).sample(picture, n=2, seed=0)
    assert noisy.shape == (2, 20, 30, 3)
    assert logged(config) == [1, 2, 3, 4]
    assert json.loads((config.output / "config.json").read_text())["pairs"] == 3


def variants(config: TrainConfig, weights: Path) -> dict[str, TrainConfig]:
    """A short run of every mode, and of DANet+."""
    fakes = FakesConfig(str(weights), ratio=1.0)
    rates = replace(config.optimizer, clip="adaptive", epoch=1)
    plus = replace(config, mode="denoiser", extra_size=0, fakes=fakes, optimizer=rates)
    modes = {mode: replace(config, mode=mode) for mode in get_args(Mode)}
    muon = replace(
        config,
        data=replace(config.data, extra=(ExtraConfig(developed=DevelopedNoise()),)),
        loss=LossConfig(error="root-mean-square"),
        optimizer=replace(config.optimizer, rule="muon"),
    )
    return {**modes, "danet-plus": plus, "muon": muon}


VARIANTS = (*get_args(Mode), "danet-plus", "muon")


def same_checkpoints(first: TrainConfig, second: TrainConfig) -> bool:
    one, other = (load_file(c.output / "checkpoint.safetensors") for c in (first, second))
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("variant", VARIANTS)
def test_resumed_equals_uninterrupted(
    config: TrainConfig,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variant: str,
) -> None:
    config = variants(config, tiny_weights)[variant]
    whole = replace(config, output=tmp_path / "whole")
    train(whole)

    step = train_step
    done: list[int] = []

    def interrupted(*arguments: Any) -> dict[str, float]:
        if len(done) == 3:  # one update after the checkpoint
            raise RuntimeError("as if the power failed")
        done.append(1)
        return step(*arguments)

    monkeypatch.setattr(loop, "train_step", interrupted)
    with pytest.raises(RuntimeError, match="power"):
        train(config)
    monkeypatch.undo()
    train(config)
    assert same_checkpoints(whole, config)
    assert logged(config) == logged(whole) == [1, 2, 3, 4]


KILLED = """
import os, pickle, signal, sys, torch
from danet.train import loop
torch.set_num_threads(int(sys.argv[1]))
config = pickle.loads(bytes.fromhex(sys.stdin.read()))
step, done = loop.train_step, []
def killed(*arguments):
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(1)
    return step(*arguments)
loop.train_step = killed
loop.train(config)
"""


@pytest.mark.parametrize(
    "variant",
    [
        "joint",
        *(pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS if name != "joint"),
    ],
)
def test_killed_and_resumed_equals_uninterrupted(
    config: TrainConfig, tiny_weights: Path, tmp_path: Path, variant: str
) -> None:
    config = variants(config, tiny_weights)[variant]
    whole = replace(config, output=tmp_path / "whole")
    train(whole)
    text = pickle.dumps(config).hex()
    # Bit for bit needs the same number of threads.
    command = [sys.executable, "-c", KILLED, str(torch.get_num_threads())]
    child = subprocess.run(command, input=text, text=True, check=False)
    assert child.returncode == -signal.SIGKILL
    # As a kill leaves them that comes while a file is written.
    for place in (".", "model/denoiser"):
        (config.output / place).mkdir(parents=True, exist_ok=True)
        (config.output / place / f".danet-{8 * '0a'}.safetensors").touch()
    train(config)
    assert same_checkpoints(whole, config)
    assert [*config.output.rglob(".*")] == []


@pytest.mark.parametrize(
    ("number", "ending"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_saves_and_ends(
    config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    ending: type[BaseException],
) -> None:
    config = replace(config, checkpoint_every=100)
    whole = replace(config, output=tmp_path / "whole")
    train(whole)
    step = train_step
    handler = signal.getsignal(number)

    def signalled(state: TrainState, *arguments: Any) -> dict[str, float]:
        losses = step(state, *arguments)
        if state.update == 2:
            signal.raise_signal(number)
        return losses

    monkeypatch.setattr(loop, "train_step", signalled)
    with pytest.raises(ending):
        train(config)
    monkeypatch.undo()
    assert signal.getsignal(number) is handler
    assert int(load_file(config.output / "checkpoint.safetensors")["update"]) == 2
    train(config)
    assert same_checkpoints(whole, config)


LONG_RUN = """
import pickle, sys
from danet.train import train
train(pickle.loads(bytes.fromhex(sys.stdin.read())))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it has no process groups")
def test_a_signal_to_all_processes_saves_and_ends(config: TrainConfig) -> None:
    config = replace(config, updates=10**6, checkpoint_every=10**6, workers=1)
    command = [sys.executable, "-c", LONG_RUN]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, start_new_session=True, **pipes) as child:  # type: ignore[call-overload]
        child.stdin.write(pickle.dumps(config).hex())
        child.stdin.close()
        log = config.output / "log.jsonl"
        while child.poll() is None and not (log.exists() and log.stat().st_size):
            time.sleep(0.05)
        os.killpg(child.pid, signal.SIGTERM)
        errors = child.stderr.read()
    assert child.returncode == 128 + signal.SIGTERM, errors
    assert "Traceback" not in errors
    assert int(load_file(config.output / "checkpoint.safetensors")["update"]) >= 1


def test_two_trainings_in_one_folder(config: TrainConfig) -> None:
    endless = replace(config, updates=10**6, checkpoint_every=10**6)
    command = [sys.executable, "-c", LONG_RUN]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE) as child:
        assert child.stdin
        child.stdin.write(pickle.dumps(endless).hex())
        child.stdin.close()
        log = config.output / "log.jsonl"
        while child.poll() is None and not (log.exists() and log.stat().st_size):
            time.sleep(0.05)
        message = r"^output is \S+run, where another training runs; wait for its end, or .*$"
        with pytest.raises(ConfigError, match=message):
            train(config)
        assert child.poll() is None
        child.kill()
    train(config)
    assert logged(config) == [1, 2, 3, 4]
    with locked(config.output / "train.lock", wait=False) as free:
        assert free


def test_other_settings_are_refused_before_anything_is_written(config: TrainConfig) -> None:
    train(replace(config, updates=2))
    before = {path: path.read_bytes() for path in config.output.glob("*.*")}
    with pytest.raises(
        ConfigError, match=r"critic_width is 4, but the run in \S+ was begun with 2"
    ):
        train(replace(config, critic_width=4))
    assert {path: path.read_bytes() for path in config.output.glob("*.*")} == before
    (config.output / "config.json").write_text("{")
    train(replace(config, updates=3))
    assert logged(config) == [1, 2, 3]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on fewer cores
def test_the_workers_change_nothing(config: TrainConfig, tmp_path: Path) -> None:
    results = []
    for workers in (0, 2):
        run = replace(config, output=tmp_path / str(workers), workers=workers, mode="denoiser")
        results.append(load_file(train(run) / "denoiser" / "model.safetensors"))
    assert all(torch.equal(results[0][key], results[1][key]) for key in results[0])


@pytest.mark.parametrize("mode", ["joint", "denoiser"])
def test_starting_from_a_model(
    config: TrainConfig, tiny_weights: Path, mode: Literal["joint", "denoiser"]
) -> None:
    still = OptimizerConfig(denoiser=0, generator=0, average=0.9)
    run = replace(config, mode=mode, init_from=str(tiny_weights), updates=2, optimizer=still)
    model = train(run)
    kinds = ["denoiser", "generator"] if mode == "joint" else ["denoiser"]
    assert sorted(path.name for path in model.iterdir()) == kinds
    for kind in kinds:
        first, last = (
            load_file(folder / kind / "model.safetensors") for folder in (tiny_weights, model)
        )
        assert all(torch.equal(first[key], last[key]) for key in first)


def test_a_generator_is_taken_only_from_what_was_named(
    config: TrainConfig, tiny_weights: Path, tmp_path: Path
) -> None:
    r, g = (
        load_file(tiny_weights / kind / "model.safetensors") for kind in ("denoiser", "generator")
    )
    first = TrainState.start(config).generator
    assert first
    at_random = first.network.backbone.state_dict()
    torch.save({"D": r, "G": g}, tmp_path / "joint.pt")
    torch.save({"D": r}, tmp_path / "half.pt")
    torch.save(r, tmp_path / "alone.pt")
    save_file(r, tmp_path / "alone.safetensors")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "denoiser").symlink_to(tiny_weights / "denoiser")
    for source, generator in (
        (tiny_weights, g),
        (tmp_path / "joint.pt", g),
        (tmp_path / "half.pt", at_random),
        (tmp_path / "alone.pt", at_random),
        (tmp_path / "alone.safetensors", at_random),
        (tmp_path / "model", at_random),
        (tiny_weights / "denoiser", at_random),
    ):
        networks = started(config, source)
        assert same(networks[0], r), source
        assert same(networks[1], generator), source


def test_a_damaged_generator_is_not_taken_for_none(
    config: TrainConfig, tiny_weights: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_weights, tmp_path / "model")
    (tmp_path / "model" / "generator" / "model.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match="damaged"):
        started(config, tmp_path / "model")


def test_starting_from_a_model_of_another_size(config: TrainConfig, tiny_weights: Path) -> None:
    for shape, right in (
        (NetworkConfig(width=4, depth=4), "UNet denoiser of width 4 and depth 4"),
        (NetworkConfig("dncnn", width=2, depth=5), "DnCNN denoiser of width 2 and depth 5"),
    ):
        message = f"is a UNet denoiser of width 2 and depth 5, but the run has a {right}: see"
        with pytest.raises(ConfigError, match=message):
            train(replace(config, init_from=str(tiny_weights), denoiser=shape))


def test_starting_from_nowhere(config: TrainConfig) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        train(replace(config, init_from="nowhere"))


def test_a_loss_that_is_not_finite_stops_the_run(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(replace(config, updates=2))
    checkpoint = config.output / "checkpoint.safetensors"
    before = checkpoint.read_bytes()

    def diverging(*arguments: Any) -> dict[str, float]:
        return train_step(*arguments) | {"denoiser/loss": math.nan}

    monkeypatch.setattr(loop, "train_step", diverging)
    with pytest.raises(DanetError, match="denoiser/loss is no longer finite at update 3"):
        train(config)
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_not_saved(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    train(replace(config, updates=2))
    checkpoint = config.output / "checkpoint.safetensors"
    before = checkpoint.read_bytes()

    def diverging(state: TrainState, *arguments: Any) -> dict[str, float]:
        losses = train_step(state, *arguments)
        assert state.generator
        with torch.no_grad():
            next(state.generator.network.parameters())[0, 0, 0, 0] = value
        return losses

    monkeypatch.setattr(loop, "train_step", diverging)
    message = "the largest weight of the generator is no longer finite at update 3"
    with pytest.raises(DanetError, match=message):
        train(replace(config, checkpoint_every=1))
    assert checkpoint.read_bytes() == before


def test_a_full_disk_leaves_the_last_checkpoint(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    whole = replace(config, output=tmp_path / "whole")
    train(whole)
    size = (whole.output / "checkpoint.safetensors").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def filling(state: TrainState, *arguments: Any) -> dict[str, float]:
        losses = train_step(state, *arguments)
        if state.update == 3:  # one checkpoint is there
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))
        return losses

    monkeypatch.setattr(loop, "train_step", filling)
    try:
        with pytest.raises(
            DanetError, match=r"checkpoint\.safetensors: cannot be written: File too"
        ):
            train(config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    monkeypatch.undo()
    assert int(load_file(config.output / "checkpoint.safetensors")["update"]) == 2
    assert not list(config.output.glob(".danet-*"))
    train(config)
    assert same_checkpoints(whole, config)


def test_pictures_smaller_than_a_patch(config: TrainConfig) -> None:
    with pytest.raises(DataError, match="48 pixels"):
        train(replace(config, patch_size=64))


@pytest.mark.parametrize(
    ("damage", "message"), [("missing", "not a folder"), ("broken", "0.png"), ("sizes", "9 x 5")]
)
def test_the_command_reports_faulty_data_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, message: str
) -> None:
    pairs = tmp_path / "pairs"
    for side in ("noisy", "clean") if damage != "missing" else ():
        (pairs / side).mkdir(parents=True)
        Image.fromarray(np.zeros((128, 128, 3), np.uint8)).save(pairs / side / "0.png")
    if damage == "broken":
        whole = (pairs / "noisy" / "0.png").read_bytes()
        (pairs / "noisy" / "0.png").write_bytes(whole[: len(whole) // 2])
    if damage == "sizes":
        Image.new("RGB", (9, 5)).save(pairs / "noisy" / "0.png")
    file = tmp_path / "config.toml"
    file.write_text(
        f"output = '{tmp_path / 'run'}'\ncritic_width = 2\ndevice = 'cpu'\n"
        f"[data]\nroot = '{pairs}'\n[denoiser]\nwidth = 2\n[generator]\nwidth = 2\n"
    )
    assert main(["train", str(file)]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    (line,) = written.err.splitlines()
    assert line.startswith("danet: error: ")
    assert message in line
    assert not (tmp_path / "run").exists()


def test_by_level_noise_of_a_level_has_that_level(config: TrainConfig) -> None:
    network = NetworkConfig("modulated", width=2, depth=2)
    config = replace(config, mode="base-g", extra_size=0, by_level=True, generator=network)
    generator = NoiseGenerator(train(config))
    grey = np.full((64, 64, 3), 0.5, np.float32)
    noisy = generator.sample(grey, n=1, seed=1, level=0.02)[0]
    assert noise_level(noisy, noisy - grey).channels.mean() == pytest.approx(0.02, rel=0.3)
