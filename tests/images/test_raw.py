"""Raw files of cameras: how they are developed, what is kept, and what is refused."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from danet.errors import ImageError
from danet.images import RAW, open_picture, process_file, read_image, read_pixels
from tests.images.dng import SIDE, STRIPES, TURN_RIGHT, write_dng

pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")
pytest.importorskip("rawpy")


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    write_dng(tmp_path / "shot.dng")
    return tmp_path / "shot.dng"


def unchanged(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels


def test_raw_files_are_developed_upright_to_srgb_of_16_bits(shot: Path) -> None:
    with open_picture(shot) as file:
        (frame,) = file.frames
    assert file.format == "RAW"
    assert frame.pixels.dtype == np.uint16
    assert frame.pixels.shape == (64, SIDE * len(STRIPES), 3)
    expected = np.where(STRIPES < 0.0031308, 12.92 * STRIPES, 1.055 * STRIPES ** (1 / 2.4) - 0.055)
    middles = frame.pixels[8:-8, SIDE // 2 :: SIDE] / 65535
    np.testing.assert_allclose(middles, np.broadcast_to(expected, middles.shape), atol=0.01)
    profile = ImageCms.ImageCmsProfile(BytesIO(frame.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_raw_files_are_told_by_their_preview_too(shot: Path) -> None:
    expected = read_pixels(shot)
    np.testing.assert_array_equal(read_pixels(shot.rename(shot.with_suffix(".tif"))), expected)


def test_8_bits_are_of_the_same_picture(shot: Path) -> None:
    image = read_image(shot)
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image) - read_pixels(shot) / 257).max() <= 1


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg", ".webp"])
def test_written_with_what_the_camera_says_of_the_picture(shot: Path, suffix: str) -> None:
    developed, target = read_pixels(shot), shot.with_suffix(suffix)
    process_file(shot, target, unchanged)
    result = read_pixels(target)
    assert result.shape == developed.shape  # not turned twice
    if suffix in (".tif", ".png"):
        np.testing.assert_array_equal(result, developed, strict=True)
    else:
        assert np.abs(result[8:-8, 8::16] - developed[8:-8, 8::16] / 257).max() < 4
    with Image.open(target) as image:
        exif = image.getexif()
        taken = exif.get_ifd(ExifTags.IFD.Exif)
        assert image.info["icc_profile"]
    assert (exif[ExifTags.Base.Make], exif[ExifTags.Base.Model]) == ("Maker", "Model")
    assert taken[ExifTags.Base.DateTimeOriginal] == "2026:07:01 12:30:00"
    assert float(taken[ExifTags.Base.ExposureTime]) == pytest.approx(1 / 30)
    assert ExifTags.Base.MakerNote not in taken
    assert not exif.keys() & {50706, 50721, ExifTags.Base.SubIFDs}


def test_8_bits_are_rounded(shot: Path) -> None:
    process_file(shot, shot.with_suffix(".bmp"), unchanged)
    expected = np.rint(read_pixels(shot) / 257)
    np.testing.assert_array_equal(read_pixels(shot.with_suffix(".bmp")), expected)


def test_exif_of_the_preview_where_the_file_has_none(tmp_path: Path) -> None:
    exif, buffer = Image.Exif(), BytesIO()
    exif[ExifTags.Base.Make] = "Preview"
    exif[ExifTags.Base.Orientation] = TURN_RIGHT
    Image.new("RGB", (60, 80)).save(buffer, "JPEG", exif=exif)
    data = buffer.getvalue()
    # LibRaw makes EXIF up where it does not come first, as Pillow has it.
    write_dng(tmp_path / "shot.dng", make=None, preview=data[:2] + data[20:])
    process_file(tmp_path / "shot.dng", tmp_path / "shot.png", unchanged)
    with Image.open(tmp_path / "shot.png") as image:
        assert dict(image.getexif()) == {ExifTags.Base.Make: "Preview"}


@pytest.mark.parametrize("kept", [0, 4, 300, 5000])
@pytest.mark.parametrize("suffix", [".dng", ".tif"])
def test_damaged_raw_files_are_one_line(shot: Path, kept: int, suffix: str) -> None:
    damaged = shot.with_name("damaged" + suffix)
    damaged.write_bytes(shot.read_bytes()[:kept])
    with pytest.raises(ImageError, match=r"damaged\.(dng|tif): ") as raised:
        read_pixels(damaged)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("suffix", sorted(RAW))
def test_files_of_another_kind_are_refused(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(b"no picture" * 1000)
    with pytest.raises(ImageError, match=r"a\..*: a raw file that is damaged, .*Unsupported"):
        read_image(tmp_path / f"a{suffix}")
    with pytest.raises(ImageError, match=r"b\..*: no such file"):
        read_image(tmp_path / f"b{suffix}")


def test_too_many_pixels_are_refused(shot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match="exceed the limit of 2000"):
        read_pixels(shot)


def test_raw_files_say_what_they_need(shot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    for read in (read_pixels, read_image):
        with pytest.raises(ImageError, match=r"shot\.dng: .*pip install 'danet\[raw\]'"):
            read(shot)
