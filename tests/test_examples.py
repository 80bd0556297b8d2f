"""The examples run as a user runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.png"
    with Image.open(EXAMPLES / "noisy.png") as picture:
        picture.crop((0, 0, 96, 64)).save(path)
    return path


def run(script: str, *arguments: Path | str) -> str:
    command = [sys.executable, EXAMPLES / script, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def test_augment(small: Path, tmp_path: Path) -> None:
    run("augment.py", small, tmp_path / "out")
    made = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in made] == [f"noisy_{number}.png" for number in range(4)]


def test_denoise_array(small: Path, tmp_path: Path) -> None:
    run("denoise_array.py", small, tmp_path / "clean.png")
    with Image.open(tmp_path / "clean.png") as picture:
        assert picture.size == (96, 64)


@pytest.mark.slow  # ten minutes
def test_the_discriminator_teaches_a_noise_that_is_known(tmp_path: Path, data_root: Path) -> None:
    pictures = sorted((data_root / "clean" / "bsds500").glob("*.jpg"))[:100]
    clean = tmp_path / "clean"
    clean.mkdir()
    for path in pictures:
        (clean / path.name).symlink_to(path)
    lines = run("known_noise.py", clean, tmp_path / "out", "1000").splitlines()
    heads, *rows = ([cell.strip() for cell in line.split("|")] for line in lines if "|" in line)
    table = {name: dict(zip(heads[1:], map(float, cells), strict=True)) for name, *cells in rows}
    truth, white, learned = table.values()
    assert learned["AKLD"] < 1.15 * truth["AKLD"]
    for measure in ("variance", "channels", "lags", "spectrum"):
        assert learned[measure] < white[measure] / 2
