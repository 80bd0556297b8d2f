"""Trainings whose files may not grow, each ended in one line and then gone on with."""

from __future__ import annotations

import resource
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from danet.errors import DanetError
from danet.train import TrainConfig, ValidationConfig
from danet.train.loop import train
from tests.train.conftest import config, pairs_folder  # noqa: F401  # fixtures

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
