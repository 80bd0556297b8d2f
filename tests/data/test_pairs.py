from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from danet import data
from danet.errors import DataError
from tests.data.samples import save, texture


@pytest.mark.parametrize(
    ("noisy", "clean"),
    [
        ("noisy/1.png", "clean/1.png"),
        ("noisy/1.png", "clean/1.bmp"),
        ("1_noisy.png", "1_clean.png"),
        ("1_real.png", "1_mean.png"),
        ("1_Real.png", "1_mean.png"),
    ],
)
def test_folder_layouts(tmp_path: Path, noisy: str, clean: str) -> None:
    for name in (noisy, clean):
        save(tmp_path / name, texture(0))
    assert data.folder_pairs(tmp_path) == [data.Pair(tmp_path / noisy, tmp_path / clean)]


def test_a_noisy_picture_without_its_clean_one(tmp_path: Path) -> None:
    save(tmp_path / "1_noisy.png", texture(0))
    with pytest.raises(DataError, match="1_noisy"):
        data.folder_pairs(tmp_path)


def test_two_clean_pictures_of_one_name(tmp_path: Path) -> None:
    names = ["clean/1.bmp", "clean/1.png", "clean/2.png", "noisy/2.png"]
    for name in names:
        save(tmp_path / name, texture(0))
    # Only what is wanted must be there once.
    assert [pair.clean.name for pair in data.folder_pairs(tmp_path)] == ["2.png"]
    save(tmp_path / "noisy/1.png", texture(0))
    with pytest.raises(DataError, match=r"1\.bmp and .*1\.png"):
        data.folder_pairs(tmp_path)


def test_arrays_are_pictures_too(tmp_path: Path) -> None:
    wide = texture(0).astype(np.uint16) * np.uint16(200)
    for side, array in (("noisy", wide), ("clean", wide + np.uint16(1))):
        np.save(tmp_path / f"1_{side}.npy", array)
    (pair,) = data.folder_pairs(tmp_path)
    clean, noisy = data.read_pair(pair)
    np.testing.assert_array_equal(noisy, wide)
    np.testing.assert_array_equal(clean, wide + np.uint16(1))


def test_folders_without_pairs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no pairs"):
        data.folder_pairs(tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        data.folder_pairs(tmp_path / "missing")


def test_pictures_of_a_pair_must_agree_in_size(tmp_path: Path) -> None:
    pair = data.Pair(tmp_path / "y.png", tmp_path / "x.png")
    save(pair.noisy, texture(0))
    save(pair.clean, texture(0, 64, 84))
    with pytest.raises(DataError, match="80 x 64"):
        data.read_pair(pair)
