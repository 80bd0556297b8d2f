"""What denoisers do to pictures that they should leave as they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from danet.bench import Report, bundled_pictures, evaluate_harmless
from danet.bench.methods import Denoise, Floats
from danet.cli import main
from danet.errors import DataError


def nothing(picture: Floats) -> Floats:
    return picture


def blur(picture: Floats) -> Floats:
    blurred: Floats = ndimage.gaussian_filter(picture, (1, 1, 0))
    return blurred


def redden(picture: Floats) -> Floats:
    reddened: Floats = picture + np.array([2 / 255, 0, 0], dtype=np.float32)
    return reddened


def frame(picture: Floats) -> Floats:
    framed: Floats = picture.copy()
    framed[:4] += 0.1
    return framed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    root.mkdir()
    source = np.random.default_rng(0)
    for name in "ab":
        coarse = source.integers(40, 200, (8, 9, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((90, 80), Image.Resampling.BICUBIC).save(
            root / f"{name}.png"
        )
    return root


def measured(method: Denoise, folder: Path) -> dict[str, float]:
    return evaluate_harmless({"method": method}, folder).means["method"]


def test_who_does_nothing_harms_nothing(folder: Path) -> None:
    found = measured(nothing, folder)
    for name in ("fidelity", "worst", "text", "lines", "stripes"):
        assert found[name] == 100
    for name in ("flat", "flat_border", "stripe_colour", "exposure"):
        assert found[name] == 0
    for name in ("camera_gain", "white_gain", "tint_gain", "dark_gain"):
        assert found[name] == 0
    assert found["stars"] == found["faintest_stars"] == pytest.approx(1)
    assert found["noisy_stars"] == pytest.approx(1, abs=0.1)


def test_blurring_takes_noise_and_detail(folder: Path) -> None:
    found = measured(blur, folder)
    assert found["white_gain"] > 3
    assert found["camera_gain"] > 0.5
    assert found["text"] < 25
    assert found["stripes"] < 15
    assert found["flat"] == pytest.approx(0, abs=1e-3)
    # It moves light, and loses little of it.
    assert 0.8 < found["stars"] < 1


def test_shifted_colours_are_seen(folder: Path) -> None:
    found = measured(redden, folder)
    for name in ("exposure", "flat", "flat_border", "stripe_colour"):
        assert found[name] == pytest.approx(2, rel=1e-3), name
    assert found["dark_gain"] < -10


def test_a_frame_is_told_from_the_inside(folder: Path) -> None:
    found = measured(frame, folder)
    assert found["flat"] == 0
    assert found["flat_border"] == pytest.approx(25.5, rel=1e-3)


def test_the_worst_picture_and_each_of_them(folder: Path) -> None:
    report = evaluate_harmless({"blur": blur, "nothing": nothing}, folder, facts={"a": "b"})
    assert list(report.images) == ["a.png", "b.png"]
    scores = [rows["blur"]["fidelity"] for rows in report.images.values()]
    assert report.means["blur"]["worst"] == min(scores) < report.means["blur"]["fidelity"]
    assert report.facts == {"pictures": 2, "a": "b"}
    # What only the whole has is no column of the pictures.
    pictures = report.as_markdown().split("| image ")[1]
    assert "stripes" not in pictures and "nothing tinted" in pictures


def test_a_seed_fixes_everything(folder: Path) -> None:
    def found(seed: int) -> Report:
        return evaluate_harmless({"blur": blur}, folder, seed=seed)

    assert found(3) == found(3)
    assert found(3).means != found(4).means


def test_pictures_that_are_bundled() -> None:
    pictures = bundled_pictures()
    assert len(pictures) == 9
    for picture in pictures.values():
        assert picture.shape[2] == 3 and 190 < min(picture.shape[:2]) <= 256
        assert picture.dtype == np.float32
        assert 0 <= picture.min() < 0.3 and 0.4 < picture.max() <= 1


def test_folders_of_no_use(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="empty holds no pictures"):
        measured(nothing, empty)
    Image.new("RGB", (100, 63)).save(folder / "small.png")
    with pytest.raises(DataError, match=r"small\.png is 100 x 63 pixels, and must be at least 64"):
        measured(nothing, folder)


def test_the_command(
    folder: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    command = ["evaluate", "--dataset", "harmless", "--weights", str(tiny_weights)]
    assert main([*command, str(folder), "--device", "cpu", "-o", str(output)]) == 0
    printed, _ = capsys.readouterr()
    assert printed == (output / "report.md").read_text()
    content = json.loads((output / "report.json").read_text())
    assert set(content["mean"]) == {"denoised"}
    assert content["facts"]["dataset"] == "harmless: what should stay"


def test_other_data_sets_need_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--dataset", "nam25"]) == 2
    assert "the data set nam25 needs ROOT" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["evaluate-noise", "--dataset", "harmless", "x"])
