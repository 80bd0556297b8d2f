from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from danet.errors import ConfigError, DanetError
from danet.train.report import Report


def lines(run: Path) -> list[dict[str, float | None]]:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is not JSON")

    text = (run / "log.jsonl").read_text()
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def write(run: Path, updates: range, start: int = 0, tensorboard: bool = False) -> None:
    with Report(run, update=start, tensorboard=tensorboard) as report:
        for update in updates:
            report.write_numbers(update, {"denoiser/loss": 1 / update, "generator/loss": start})
            if update % 2 == 0:
                report.write_numbers(update, {"validation/psnr": 30.0 + update})
                report.write_picture(update, "validation/pictures", np.full((4, 6, 3), 9, np.uint8))


def test_the_log_is_lines_of_json(tmp_path: Path) -> None:
    write(tmp_path / "run", range(1, 4))
    first, _, validation, third = lines(tmp_path / "run")
    seconds = first.pop("seconds")
    assert seconds is not None
    assert 0 <= seconds < 60
    assert first == {"update": 1, "denoiser/loss": 1.0, "generator/loss": 0}
    assert validation.keys() == {"update", "seconds", "validation/psnr"}
    assert (validation["update"], validation["validation/psnr"]) == (2, 32.0)
    assert third["update"] == 3
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["log.jsonl"]


def test_a_line_is_on_the_disk_at_once(tmp_path: Path) -> None:
    with Report(tmp_path) as report:
        report.write_numbers(1, {"denoiser/loss": 0.5})
        assert len(lines(tmp_path)) == 1


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    with Report(tmp_path) as report:
        report.write_numbers(1, {"a": float("nan"), "b": float("inf"), "c": 2.5})
    (line,) = lines(tmp_path)
    assert (line["a"], line["b"], line["c"]) == (None, None, 2.5)


def test_a_resumed_log_has_each_update_once(tmp_path: Path) -> None:
    write(tmp_path, range(1, 6))
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"update": 6, "den')  # killed
    write(tmp_path, range(3, 8), start=2)
    losses = [line for line in lines(tmp_path) if "denoiser/loss" in line]
    assert [line["update"] for line in losses] == list(range(1, 8))
    assert [line["generator/loss"] for line in losses] == [0, 0, 2, 2, 2, 2, 2]
    checks = [line["update"] for line in lines(tmp_path) if "validation/psnr" in line]
    assert checks == [2, 4, 6]


def test_tensorboard_holds_the_same_and_no_point_twice(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    write(tmp_path, range(1, 6), tensorboard=True)
    write(tmp_path, range(3, 8), start=2, tensorboard=True)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    written: dict[str, list[tuple[float | None, float | None]]] = {}
    for line in lines(tmp_path):
        for name in line.keys() - {"update", "seconds"}:
            written.setdefault(name, []).append((line["update"], line[name]))
    assert set(events.Tags()["scalars"]) == set(written)
    for name, points in written.items():
        scalars = [(event.step, event.value) for event in events.Scalars(name)]
        assert scalars == [(step, pytest.approx(value)) for step, value in points]
    pictures = events.Images("validation/pictures")
    assert [(event.step, event.height, event.width) for event in pictures] == [
        (2, 4, 6),
        (4, 4, 6),
        (6, 4, 6),
    ]


def test_what_cannot_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DanetError, match="cannot be written"):
        Report(tmp_path / "file").write_numbers(1, {})
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    write(tmp_path / "run", range(1, 3))
    assert len(lines(tmp_path / "run")) == 3
    with pytest.raises(ConfigError, match=r"pip install 'danet\[train\]'"):
        Report(tmp_path / "other", tensorboard=True)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("tensorboard", "file"), [(False, r"log\.jsonl"), (True, r"tensorboard/events\..*")]
)
def test_a_full_disk_is_one_line_that_names_the_file(
    tmp_path: Path, tensorboard: bool, file: str, capfd: pytest.CaptureFixture[str]
) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(DanetError, match=rf"{file}: cannot be written: File too large"):
            write(tmp_path, range(1, 99), tensorboard=tensorboard)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert capfd.readouterr() == ("", "")
