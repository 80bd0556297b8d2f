from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import danet
from danet.errors import ConfigError
from danet.train import FakesConfig, OptimizerConfig, TrainConfig, ValidationConfig
from danet.train.record import check_same_run, describe
from danet.train.report import trim_log

DATA = {"pairs": 3, "fingerprint": "ab12"}


@pytest.fixture
def written(config: TrainConfig) -> str:
    return describe(config, data=DATA, device=torch.device("cpu"))


def test_what_is_written(config: TrainConfig, written: str) -> None:
    record = json.loads(written)
    assert record["config"]["seed"] == config.seed
    assert record["config"]["data"]["root"] == str(config.data.root)
    assert record["pairs"] == 3
    assert record["versions"]["danet"] == danet.__version__


@pytest.mark.parametrize(
    "change",
    [
        {"updates": 9},
        {"device": "auto"},
        {"workers": 1},
        {"checkpoint_every": 7},
        {"log_every": 7},
        {"output": Path("elsewhere")},
        {"validation": ValidationConfig(Path("pairs"))},
        {"tensorboard": True},
    ],
)
def test_what_may_change(config: TrainConfig, written: str, change: dict[str, object]) -> None:
    check_same_run(config, written, DATA)
    check_same_run(replace(config, **change), written, DATA)  # type: ignore[arg-type]


def test_the_pairs_may_move_but_not_change(config: TrainConfig, written: str) -> None:
    moved = replace(config, data=replace(config.data, root=(Path("a"), Path("b"))))
    check_same_run(moved, written, DATA)
    with pytest.raises(ConfigError, match=r"fingerprint is cd34, but the run in .* with ab12"):
        check_same_run(config, written, {**DATA, "fingerprint": "cd34"})


def test_what_may_not(config: TrainConfig, written: str) -> None:
    with pytest.raises(ConfigError, match=r"seed is 5, but the run in \S+ was begun with 1"):
        check_same_run(replace(config, seed=5), written, DATA)
    other = replace(config, data=replace(config.data, weights=(2.0,)))
    with pytest.raises(ConfigError, match=r"data\.weights is \[2\.0\]"):
        check_same_run(other, written, DATA)
    with pytest.raises(ConfigError, match=r"optimizer\.schedule is constant"):
        check_same_run(replace(config, optimizer=OptimizerConfig()), written, DATA)
    plus = replace(config, mode="denoiser", extra_size=0)
    written = describe(plus, data=DATA, device=torch.device("cpu"))
    with pytest.raises(ConfigError, match=r"fakes is \{.*\}, but .* was begun with None"):
        check_same_run(replace(plus, fakes=FakesConfig("photo")), written, DATA)


def test_what_another_version_wrote(config: TrainConfig, written: str) -> None:
    record = json.loads(written)
    del record["fingerprint"], record["config"]["accumulate"]
    record["config"]["dropped"] = 1
    written = json.dumps(record)
    check_same_run(config, written, DATA)
    with pytest.raises(ConfigError, match="seed is 5"):
        check_same_run(replace(config, seed=5), written, DATA)


def test_the_log_ends_where_the_checkpoint_is(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    trim_log(log, 5)
    assert not log.exists()
    lines = [json.dumps({"update": update, "loss": 0.5}) + "\n" for update in (2, 4, 6)]
    odd = ["[]\n", "{}\n", "3\n", '{"update": null}\n', '{"update": 1e999}\n', "[" * 99999 + "\n"]
    log.write_bytes("".join([*odd, *lines, '{"update": 8, "lo']).encode() + b"\xff\xfe")
    trim_log(log, 5)
    assert log.read_text() == "".join(lines[:2])
