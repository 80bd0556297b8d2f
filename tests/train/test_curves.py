from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from danet.errors import ConfigError, DataError
from danet.train import curves
from danet.train.curves import write_curves
from danet.train.report import Report

DENOISER = {"denoiser/loss": 0.01, "denoiser/error": 0.01}
START = {"generator/loss": 0.02, "generator/gradient_norm": 0.3}
JOINT = {
    "discriminator/loss": -0.1,
    "discriminator/denoiser": -0.2,
    "discriminator/generator": -0.3,
    "discriminator/denoiser_penalty": 0.1,
    "discriminator/generator_penalty": 0.2,
    "denoiser/loss": 12.0,
    "denoiser/adversarial": 2.0,
    "denoiser/error": 0.01,
    "generator/loss": 3.0,
    "generator/adversarial": 2.9,
    "generator/mean_match": 0.01,
    "generator/correlation_match": 0.4,
}
RATES = {
    f"{network}/{term}": value
    for network in ("denoiser", "generator", "discriminator")
    for term, value in (("gradient_norm", 0.5), ("learning_rate", 1e-4))
}
VALIDATION = {
    "validation/psnr": 37.0,
    "validation/ssim": 0.95,
    "validation/noisy_psnr": 35.0,
    "validation/noisy_ssim": 0.9,
    "validation/akld": 0.2,
}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The axes that are drawn, by title; the picture itself takes seconds."""
    figures: dict[str, Any] = {}

    def save(figure: Any, path: Path) -> None:
        figures.update((axes.get_title(), axes) for axes in figure.axes)
        path.touch()

    figure = pytest.importorskip("matplotlib.figure").Figure
    monkeypatch.setattr(figure, "savefig", save)
    return figures


def labels(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def line(axes: Any, label: str) -> tuple[list[Any], list[Any]]:
    (found,) = (line for line in axes.get_lines() if line.get_label().startswith(label))
    return list(found.get_xdata()), list(found.get_ydata())


def test_the_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with Report(tmp_path) as report:
        for update in range(10, 610, 10):
            wild = {name: value * rng.lognormal() for name, value in JOINT.items()}
            report.write_numbers(update, START if update < 200 else wild | RATES)
            if update % 100 == 0:
                report.write_numbers(update, VALIDATION)
    assert write_curves(tmp_path) == tmp_path / "curves.png"
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (1560, 1690)
        colors = picture.convert("RGB").getcolors(2**20)
    assert colors is not None
    assert len(colors) > 100
    assert max(colors)[1] == (255, 255, 255)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "log.jsonl"]


def test_a_joint_run(tmp_path: Path, drawn: dict[str, Any]) -> None:
    with Report(tmp_path) as report:
        for update in range(1, 4):
            report.write_numbers(update, START)
        for update in range(4, 9):
            report.write_numbers(update, JOINT | RATES)
            report.write_numbers(update, VALIDATION)
    write_curves(tmp_path)
    assert set(drawn) == {panel.title for panel in curves._PANELS}
    keys = {key for panel in curves._PANELS for key in panel.curves}
    assert keys == {*JOINT, *RATES, *VALIDATION, "generator/start"}
    # The two losses of the generator are different ones.
    assert line(drawn["Generator: loss with the critic's part"], "loss")[0] == [4, 5, 6, 7, 8]
    updates, values = line(drawn["Generator: distance to the real noise"], "start")
    assert updates == [1, 2, 3]
    assert values == pytest.approx([0.02] * 3)
    distances = drawn["Critic: estimated distances"]
    assert line(distances, "of generated")[1] == pytest.approx([0.3] * 5)
    assert labels(drawn["Validation: PSNR"]) == ["denoised: 37", "noisy: 35"]
    for axes in drawn.values():
        assert axes.get_xlabel() == "update"
        assert axes.get_ylabel()


def test_a_denoiser_alone(tmp_path: Path, drawn: dict[str, Any]) -> None:
    with Report(tmp_path) as report:
        for update in (50, 100):
            report.write_numbers(update, DENOISER)
    write_curves(tmp_path)
    assert list(drawn) == ["Denoiser: absolute error"]


def test_a_generator_alone(tmp_path: Path, drawn: dict[str, Any]) -> None:
    with Report(tmp_path) as report:
        for update in (50, 100):
            report.write_numbers(update, {"generator/loss": 0.02, "generator/mean_match": 0.02})
    write_curves(tmp_path)
    assert list(drawn) == ["Generator: distance to the real noise"]
    assert labels(drawn["Generator: distance to the real noise"]) == ["smoothed noise: 0.02"]


BROKEN = [
    b'{"update": 1, "denoiser/err',
    b"\xff\xfe",
    b'{"update": 1, "denoiser/\xff": 1}',
    b"[1]",
    b"1",
    b'"update"',
    b"null",
    b"{}",
    b'{"update": null}',
    b'{"update": 1e999}',
    b'{"update": 1, "denoiser/error": [1]}',
    b'{"update": 1, "denoiser/error": 1' + b"0" * 400 + b"}",
    b"[" * 200_000,
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda line: str(line[:40]))
def test_a_broken_line(tmp_path: Path, drawn: dict[str, Any], broken: bytes) -> None:
    log = tmp_path / "log.jsonl"
    whole = json.dumps({"update": 1, **DENOISER}).encode() + b"\n"
    log.write_bytes(whole + broken)
    write_curves(tmp_path)
    assert line(drawn["Denoiser: absolute error"], "error") == ([1], [pytest.approx(0.01)])
    log.write_bytes(broken + b"\n" + whole)
    with pytest.raises(DataError, match=r"log\.jsonl: line 1 is not of the log of a run$"):
        write_curves(tmp_path)


def test_missing_numbers_are_left_out(tmp_path: Path, drawn: dict[str, Any]) -> None:
    values = [0.5, None, 0.25, 0.125]
    lines = [json.dumps({"update": i, "validation/akld": v}) for i, v in enumerate(values)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    write_curves(tmp_path)
    (axes,) = drawn.values()
    assert line(axes, "generated") == ([0, 2, 3], [0.5, 0.25, 0.125])


def test_a_wild_batch_does_not_flatten_the_rest(tmp_path: Path, drawn: dict[str, Any]) -> None:
    with Report(tmp_path) as report:
        for update in range(100):
            loss = 1e6 if update == 50 else float(update)
            report.write_numbers(update, {"discriminator/loss": loss})
    write_curves(tmp_path)
    low, high = drawn["Critic: loss"].get_ylim()
    assert low < 5
    assert 95 < high < 200


def test_what_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="cannot read"):
        write_curves(tmp_path)
    (tmp_path / "log.jsonl").write_text('{"update": 1, "seconds": 2}\n{"upd')
    with pytest.raises(DataError, match="nothing to draw"):
        write_curves(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"pip install 'danet\[train\]'"):
        write_curves(tmp_path)
