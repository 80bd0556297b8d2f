"""What the three files of a report say."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from danet.bench.report import Report
from danet.errors import DanetError

REPORT = Report(
    facts={"dataset": "folder", "pictures": 2},
    images={
        "a|1.png": {
            "noisy": {"psnr": 30.0, "ssim": 0.5},
            "denoised": {"psnr": 36.0, "ssim": 0.75, "seconds_per_megapixel": 0.125},
        },
        "b,2.png": {
            "noisy": {"psnr": 33.0, "ssim": 0.25},
            "denoised": {"psnr": 39.5, "ssim": 1.0, "seconds_per_megapixel": 0.375},
        },
    },
)
MEANS = {
    "noisy": {"psnr": 31.5, "ssim": 0.375},
    "denoised": {"psnr": 37.75, "ssim": 0.875, "seconds_per_megapixel": 0.25},
}


def test_means_are_over_the_pictures() -> None:
    assert REPORT.means == MEANS


def test_scores_of_the_whole_stand_with_the_means() -> None:
    report = replace(REPORT, whole={"denoised": {"pgap": 2.0}, "other": {"pgap": 3.0}})
    assert report.means["denoised"] == MEANS["denoised"] | {"pgap": 2.0}
    assert report.means["other"] == {"pgap": 3.0}
    rows = list(csv.DictReader(io.StringIO(report.as_csv())))
    assert [row["denoised pgap"] for row in rows] == ["", "", "2.0"]
    assert "| noisy | 31.50 | 0.3750 |  |  |" in report.as_markdown().splitlines()


def test_json() -> None:
    content = json.loads(REPORT.as_json())
    assert content["facts"] == REPORT.facts
    assert content["mean"] == MEANS
    assert [image.pop("image") for image in content["images"]] == list(REPORT.images)
    assert content["images"] == list(REPORT.images.values())


def test_json_has_null_where_pictures_are_equal() -> None:
    report = Report({}, {"a": {"noisy": {"psnr": math.inf}}})
    content = json.loads(report.as_json())
    assert content["mean"] == {"noisy": {"psnr": None}}
    assert "inf" in report.as_csv() and "inf" in report.as_markdown()


def test_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(REPORT.as_csv())))
    assert [row["image"] for row in rows] == ["a|1.png", "b,2.png", "mean"]
    assert [float(row["noisy psnr"]) for row in rows] == [30.0, 33.0, 31.5]
    assert [float(row["denoised seconds_per_megapixel"]) for row in rows] == [0.125, 0.375, 0.25]


def test_markdown() -> None:
    assert REPORT.as_markdown().splitlines() == [
        "- dataset: folder",
        "- pictures: 2",
        "",
        "| mean of all | PSNR | SSIM | s/MP |",
        "| --- | ---: | ---: | ---: |",
        "| noisy | 31.50 | 0.3750 |  |",
        "| denoised | 37.75 | 0.8750 | 0.25 |",
        "",
        "| image | noisy PSNR | noisy SSIM | denoised PSNR | denoised SSIM | denoised s/MP |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| a\\|1.png | 30.00 | 0.5000 | 36.00 | 0.7500 | 0.125 |",
        "| b,2.png | 33.00 | 0.2500 | 39.50 | 1.0000 | 0.375 |",
    ]


def test_the_files(tmp_path: Path) -> None:
    paths = REPORT.write(tmp_path / "new")
    assert [path.name for path in paths] == ["report.json", "report.csv", "report.md"]
    texts = [REPORT.as_json(), REPORT.as_csv(), REPORT.as_markdown()]
    assert [path.read_text(encoding="utf-8") for path in paths] == texts
    (tmp_path / "file").touch()
    with pytest.raises(DanetError, match="cannot be written"):
        REPORT.write(tmp_path / "file")
