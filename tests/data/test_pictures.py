from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from danet import data, images
from danet.errors import DataError, ImageError
from tests.data.samples import save, texture


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_pictures_of_16_bits_keep_them(tmp_path: Path, suffix: str) -> None:
    grey = np.arange(0, 65536, 13, dtype=np.uint16)[:5000].reshape(50, 100)
    Image.fromarray(grey).save(tmp_path / f"grey{suffix}")
    found = data.read_picture(tmp_path / f"grey{suffix}")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, grey[..., None].repeat(3, axis=-1))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colours_of_16_bits_keep_them(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("imagecodecs")
    wide = np.random.default_rng(0).integers(0, 65536, (5, 7, 4)).astype(np.uint16)
    np.save(tmp_path / "1.npy", wide)
    images.process_file(tmp_path / "1.npy", tmp_path / f"1{suffix}", lambda pixels: pixels)
    found = data.read_picture(tmp_path / f"1{suffix}")
    np.testing.assert_array_equal(found, wide[..., :3], strict=True)


def test_floats_are_taken_from_0_to_1(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 0.5, 1]], np.float32)).save(tmp_path / "1.tif")
    found = data.read_picture(tmp_path / "1.tif")
    assert found.dtype == np.uint16
    assert found[0, :, 2].tolist() == [0, 32768, 65535]
    Image.fromarray(np.array([[0, 2]], np.float32)).save(tmp_path / "1.tif")
    with pytest.raises(ImageError, match=r"1\.tif: the picture holds 2"):
        data.read_picture(tmp_path / "1.tif")


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
)
def test_an_array_that_is_no_picture_is_named(tmp_path: Path, array: NDArray[Any]) -> None:
    np.save(tmp_path / "1.npy", array)
    with pytest.raises(DataError, match=r"1\.npy: an array must be H x W x 3"):
        data.read_picture(tmp_path / "1.npy")
    content = (tmp_path / "1.npy").read_bytes()
    for damage in (b"", b"not an array", content[:-1]):
        (tmp_path / "1.npy").write_bytes(damage)
        with pytest.raises(ImageError, match=r"1\.npy: cannot be read"):
            data.read_picture(tmp_path / "1.npy")
    with pytest.raises(ImageError, match=r"2\.npy: no such file"):
        data.read_picture(tmp_path / "2.npy")


def test_folders_and_hidden_files_are_no_pictures(tmp_path: Path) -> None:
    for name in ("1.png", "2.JPG", "._2.jpg", ".danet-0123.png", "folder.png/3.png"):
        save(tmp_path / name, texture(0))
    assert data.picture_files(tmp_path) == [tmp_path / "1.png", tmp_path / "2.JPG"]
