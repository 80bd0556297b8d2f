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


def run(script: str, *arguments: Path) -> None:
    subprocess.run([sys.executable, EXAMPLES / script, *arguments], check=True)


def test_augment(small: Path, tmp_path: Path) -> None:
    run("augment.py", small, tmp_path / "out")
    made = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in made] == [f"noisy_{number}.png" for number in range(4)]


def test_denoise_array(small: Path, tmp_path: Path) -> None:
    run("denoise_array.py", small, tmp_path / "clean.png")
    with Image.open(tmp_path / "clean.png") as picture:
        assert picture.size == (96, 64)
