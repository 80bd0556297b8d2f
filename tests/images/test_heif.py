"""HEIC files: what is read, what is kept, and what is named as left out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from danet.errors import ConfigError, DanetWarning, ImageError
from danet.images import format_of, heif, open_picture, process_file, read_image, read_pixels

pillow_heif = pytest.importorskip("pillow_heif")

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
KEPT: dict[str, Any] = {"icc_profile": b"profile", "xmp": XMP}


def unchanged(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels


def smooth(height: int = 48, width: int = 64) -> Image.Image:
    rows, columns = np.mgrid[0:height, 0:width] * 200 // max(height, width)
    return Image.fromarray(np.stack([rows, columns, 220 - rows], axis=2).astype(np.uint8))


@pytest.mark.parametrize("target", ["b.heic", "b.HIF", "b.jpg", "b.png"])
@pytest.mark.parametrize("source", ["a.heif", "a.jpg"])
def test_what_the_file_says_is_kept(tmp_path: Path, source: str, target: str) -> None:
    format_of(tmp_path / "a.heic")
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Orientation] = 6
    smooth().save(tmp_path / source, exif=exif.tobytes(), quality=95, **KEPT)
    process_file(tmp_path / source, tmp_path / target, unchanged)
    with Image.open(tmp_path / target) as image:
        image.load()
        assert image.getexif()[ExifTags.Base.Make] == "Maker"
        assert KEPT.items() <= image.info.items()
    upright = np.rot90(np.asarray(smooth()), -1).astype(float)
    assert np.abs(read_pixels(tmp_path / target) - upright).mean() < 3
    assert np.abs(np.asarray(read_image(tmp_path / target)) - upright).mean() < 3


def test_another_suffix_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    format_of(tmp_path / "a.heic")
    smooth().save(tmp_path / "a.heic")
    expected = read_pixels(tmp_path / "a.heic")
    (tmp_path / "a.heic").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.jpg"), expected)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"a\.jpg: .*pip install 'danet\[heic\]'"):
        read_pixels(tmp_path / "a.jpg")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_channels_are_kept(tmp_path: Path, mode: str) -> None:
    format_of(tmp_path / "a.heic")
    smooth().convert(mode).save(tmp_path / "a.heic")
    process_file(tmp_path / "a.heic", tmp_path / "b.heic", unchanged)
    assert read_image(tmp_path / "b.heic").mode == mode


def test_the_quality_changes_the_size(tmp_path: Path) -> None:
    noisy = np.asarray(smooth()) + np.random.default_rng(0).integers(0, 30, (48, 64, 3))
    Image.fromarray(noisy.astype(np.uint8)).save(tmp_path / "a.png")
    sizes = []
    for quality in (10, 60, None):
        process_file(tmp_path / "a.png", tmp_path / "b.heic", unchanged, quality=quality)
        sizes.append((tmp_path / "b.heic").stat().st_size)
    assert sizes[0] < sizes[1] < sizes[2]


def test_16_bits_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((48, 64, 3), np.uint16))
    with pytest.raises(ImageError, match="HEIF cannot hold uint16"):
        process_file(tmp_path / "a.npy", tmp_path / "b.heic", unchanged)


def test_the_main_picture_is_taken_and_the_others_named(tmp_path: Path) -> None:
    format_of(tmp_path / "a.heic")
    smooth(32, 32).save(
        tmp_path / "a.heic", save_all=True, append_images=[smooth()], primary_index=1
    )
    with pytest.warns(DanetWarning, match=r"b.png: written without the other pictures of .*heic"):
        process_file(tmp_path / "a.heic", tmp_path / "b.png", unchanged)
    assert read_pixels(tmp_path / "b.png").shape == (48, 64, 3)


def test_more_bits_and_colours_are_named(tmp_path: Path) -> None:
    wide = np.zeros((48, 64, 3), np.uint16)
    data = {"mode": "RGB;16", "size": (64, 48), "data": wide.tobytes()}
    pillow_heif.from_bytes(**data).save(tmp_path / "a.heic", color_primaries=9)
    lost = "the bits beyond 8 and the colours of its nclx profile"
    with pytest.warns(DanetWarning, match=f"written without {lost} of"):
        process_file(tmp_path / "a.heic", tmp_path / "b.heic", unchanged)


def test_maps_are_named() -> None:
    image = smooth()
    image.info |= {"aux": {"urn:com:apple:photo:2020:aux:hdrgainmap": [1]}, "depth_images": [None]}
    assert heif.lost_parts(image) == set()  # of another program
    image.format, image.n_frames = "HEIF", 1  # type: ignore[attr-defined]
    assert heif.lost_parts(image) == {"the HDR gain map", "the depth map"}


@pytest.mark.parametrize("kept", [0, 20, 300])
def test_damaged_files_are_one_line(tmp_path: Path, kept: int) -> None:
    format_of(tmp_path / "a.heic")
    smooth().save(tmp_path / "a.heic")
    (tmp_path / "b.heic").write_bytes((tmp_path / "a.heic").read_bytes()[:kept])
    with pytest.raises(ImageError, match=r"b\.heic: ") as raised:
        read_pixels(tmp_path / "b.heic")
    assert str(raised.value).isprintable()


def test_heic_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.heic").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"a\.heic: .*pip install 'danet\[heic\]'"):
        read_image(tmp_path / "a.heic")
    with pytest.raises(ImageError, match=r"a\.heic: .*pip install 'danet\[heic\]'"):
        open_picture(tmp_path / "a.heic").__enter__()
    with pytest.raises(ConfigError, match=r"pip install 'danet\[heic\]'"):
        format_of(tmp_path / "a.heic")
