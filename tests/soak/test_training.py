"""Trainings that are killed, or whose files may not grow, and are then gone on with."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import time
from collections import Counter
from dataclasses import replace
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from danet.errors import DanetError
from danet.train import TrainConfig, ValidationConfig
from danet.train.loop import train
from tests.train.conftest import config, pairs_folder  # noqa: F401  # fixtures
from tests.train.test_loop import VARIANTS, same_checkpoints, variants

KILLS = 108
TRAININGS = 32
LARGEST = 300_000  # bytes that a file may have


def files(run: Path) -> set[str]:
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith("tensorboard/")}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_training_that_cannot_write_ends_in_one_line_and_goes_on(
    config: TrainConfig,  # noqa: F811
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (root,) = config.data.roots
    validation = ValidationConfig(root=root, every=2, pictures=1, crop=32, fakes=2)
    config = replace(config, validation=validation)
    whole = train(replace(config, output=tmp_path / "whole")).parent
    expected = load_file(whole / "checkpoint.safetensors")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    named: Counter[str] = Counter()
    for number, size in enumerate(np.geomspace(1000, LARGEST, TRAININGS)):
        run = replace(config, output=tmp_path / f"run{number}", tensorboard=number % 2 == 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), before[1]))
        try:
            train(run)
            named["none"] += 1
        except DanetError as error:
            message = str(error)
            place, _, reason = message.partition(": ")
            assert message.isprintable() and reason == "cannot be written: File too large"
            name = Path(place).relative_to(run.output).parts[0]
            named[name] += 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert [*run.output.rglob(".*")] == []
        train(run)
        assert files(run.output) == files(whole)
        found = load_file(run.output / "checkpoint.safetensors")
        assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert capfd.readouterr() == ("", "")
    with capfd.disabled():
        print(f"\n\n| the file that {TRAININGS} trainings named | times |\n| --- | --- |")
        for name, times in named.most_common():
            print(f"| {name} | {times} |")
    assert {"config.json", "tensorboard", "checkpoint.safetensors"} <= named.keys()


def run(config: TrainConfig, threads: int) -> None:  # noqa: F811
    """A training in a process of its own."""
    torch.set_num_threads(threads)  # bit for bit needs the same number
    train(config)


def tried(
    processes: ForkServerContext,
    config: TrainConfig,  # noqa: F811
    until: float | None = None,
) -> tuple[bool, float]:
    """Whether a training ended before it was killed, and after how many seconds."""
    child = processes.Process(target=run, args=(config, torch.get_num_threads()))
    started = time.monotonic()
    child.start()
    child.join(until)
    seconds = time.monotonic() - started
    child.kill()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode == 0, seconds


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_training_that_is_killed_at_any_moment_goes_on_to_the_same_weights(
    config: TrainConfig,  # noqa: F811
    tiny_weights: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """SIGKILL as soon as the process starts, while it ends, and at every moment between."""
    (root,) = config.data.roots
    validation = ValidationConfig(root=root, every=2, pictures=1, crop=32, fakes=2)
    config = replace(config, checkpoint_every=1, validation=validation, tensorboard=True)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["danet.train.loop"])
    rng = np.random.default_rng(24)
    rows = []
    for name, kind in variants(config, tiny_weights).items():
        whole = replace(kind, output=tmp_path / name / "whole")
        _, length = tried(processes, whole)
        runs = kills = resumed = 0
        while kills < KILLS // len(VARIANTS):
            broken = replace(kind, output=tmp_path / name / f"run{runs}")
            for _ in range(3):
                ended, seconds = tried(processes, broken, rng.uniform(0, length))
                if ended:  # on a machine with less to do than before
                    length = min(length, seconds)
                    break
                kills += 1
                resumed += (broken.output / "checkpoint.safetensors").exists()
            train(broken)
            assert same_checkpoints(whole, broken)
            assert files(broken.output) == files(whole.output)
            assert [*broken.output.rglob(".*")] == []
            runs += 1
        rows.append(f"| {name} | {kills} | {resumed} | {runs} |")
    assert capfd.readouterr() == ("", "")
    with capfd.disabled():
        print("\n\n| training | killed | of these with a checkpoint | runs, all as never stopped |")
        print("| --- | --- | --- | --- |", *rows, sep="\n")
