"""JPEG XL files: what is read, what is kept, and what is refused."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from danet.errors import ConfigError, DanetWarning, ImageError
from danet.images import format_of, open_picture, process_file, read_image, read_pixels, write_image

pyjpegxl = pytest.importorskip("pyjpegxl")
imagecodecs = pytest.importorskip("imagecodecs")

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


def unchanged(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels


def noise(*shape: int, dtype: Any = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pixels_come_back_bit_for_bit(
    tmp_path: Path, channels: tuple[int, ...], dtype: Any
) -> None:
    pixels = noise(37, 50, *channels, dtype=dtype)
    np.save(tmp_path / "a.npy", pixels.astype(pixels.dtype.newbyteorder(">")))
    process_file(tmp_path / "a.npy", tmp_path / "b.jxl", unchanged)
    process_file(tmp_path / "b.jxl", tmp_path / "c.jxl", unchanged)
    process_file(tmp_path / "c.jxl", tmp_path / "d.npy", unchanged)
    result = np.load(tmp_path / "d.npy")
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, pixels)


@pytest.mark.parametrize("target", ["b.jxl", "b.png", "b.tif", "b.jpg"])
@pytest.mark.parametrize("source", ["a.jpg", "a.jxl"])
def test_what_the_file_says_is_kept(tmp_path: Path, source: str, target: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Orientation] = 6
    rows, columns = np.mgrid[0:48, 0:64]
    picture = np.stack([rows, columns, 90 - rows], axis=2).astype(np.uint8) * 2
    path, file = tmp_path / source, io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", exif=exif, icc_profile=PROFILE, xmp=XMP, quality=95)
    content = file.getvalue()
    # A JPEG file in another form, as the programs of libjxl make them.
    path.write_bytes(pyjpegxl.jpeg_to_jxl(content) if path.suffix == ".jxl" else content)
    process_file(path, tmp_path / target, unchanged)
    with open_picture(tmp_path / target) as opened:
        info = next(opened.frames).info
    kept = Image.Exif()
    kept.load(info["exif"])
    assert kept[ExifTags.Base.Make] == "Maker"
    assert info["icc_profile"] == PROFILE
    assert info["xmp"].strip() == XMP
    turned = np.rot90(picture, -1).astype(float)
    assert np.abs(read_pixels(tmp_path / target) - turned).mean() < 3
    assert np.abs(np.asarray(read_image(tmp_path / target)) - turned).mean() < 3


@pytest.mark.skipif(shutil.which("djxl") is None, reason="there is no djxl")
def test_the_program_of_libjxl_reads_what_is_written(tmp_path: Path) -> None:
    pixels = noise(37, 50, 3)
    image = Image.fromarray(pixels)
    image.info["icc_profile"] = PROFILE
    write_image(image, tmp_path / "a.jxl")
    command = ["djxl", str(tmp_path / "a.jxl"), str(tmp_path / "a.png")]
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(tmp_path / "a.png") as read:
        np.testing.assert_array_equal(np.asarray(read), pixels)
        assert read.info["icc_profile"]


def test_a_quality_makes_the_file_smaller_and_changes_little(tmp_path: Path) -> None:
    with Image.open(Path(__file__).parents[2] / "examples" / "noisy.png") as picture:
        picture.crop((0, 0, 128, 96)).save(tmp_path / "a.png")
    noisy = read_pixels(tmp_path / "a.png").astype(float)
    sizes, errors = [], []
    for quality in (None, 95, 60, 10):
        process_file(tmp_path / "a.png", tmp_path / "b.jxl", unchanged, quality=quality)
        sizes.append((tmp_path / "b.jxl").stat().st_size)
        errors.append(np.abs(read_pixels(tmp_path / "b.jxl") - noisy).mean())
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)
    assert errors[0] == 0
    assert errors[-1] < noisy.std() / 2


def test_what_is_not_read_is_refused_or_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(noise(4, 30, 40), planar=True))
    with pytest.raises(ImageError, match=r"a\.jxl: it holds several pictures, floats, or channels"):
        read_pixels(path)
    path.write_bytes(pyjpegxl.encode_from_numpy(noise(30, 40, 3).astype(np.float32), lossless=True))
    with pytest.raises(ImageError, match=r"a\.jxl: it holds floats"):
        read_pixels(path)
    content = pyjpegxl.encode_from_numpy(noise(30, 40, 3), lossless=True, xmp=XMP)
    path.write_bytes(content + b"\0\0\0\x10jhgm" + bytes(8))
    with pytest.warns(DanetWarning, match="without the HDR gain map"):
        process_file(path, tmp_path / "b.png", unchanged)
    for end in (2, 30, len(content) // 2):
        path.write_bytes(content[:end])
        with pytest.raises(ImageError, match=r"a\.jxl: "):
            read_pixels(path)


def test_floats_and_animations_are_not_written(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((30, 40), np.float32))
    with pytest.raises(ImageError, match=r"8 or 16 bits, .* float32; take \.exr or \.tif"):
        process_file(tmp_path / "a.npy", tmp_path / "b.jxl", unchanged)
    frames = [Image.fromarray(noise(30, 40, 3) // part) for part in (1, 2)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="JXL holds one picture"):
        process_file(tmp_path / "a.gif", tmp_path / "b.jxl", unchanged)
    assert not (tmp_path / "b.jxl").exists()


def test_a_size_beyond_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(Image.new("L", (40, 30)), tmp_path / "a.jxl")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(ImageError, match="40 x 30 pixels exceed the limit"):
        read_pixels(tmp_path / "a.jxl")


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(Image.new("L", (40, 30)), tmp_path / "a.jxl")
    (tmp_path / "a.jxl").rename(tmp_path / "a.png")  # told by its content
    assert read_pixels(tmp_path / "a.png").shape == (30, 40)
    monkeypatch.setitem(sys.modules, "pyjpegxl", None)
    with pytest.raises(ImageError, match=r"pip install 'danet\[jxl\]'"):
        read_pixels(tmp_path / "a.png")
    with pytest.raises(ConfigError, match=r"pip install 'danet\[jxl\]'"):
        format_of("b.jxl")


@pytest.mark.parametrize("bits", [1, 5, 10, 12])
def test_other_depths_become_8_or_16_bits(tmp_path: Path, bits: int) -> None:
    dtype = np.uint8 if bits <= 8 else np.uint16
    values = noise(30, 40, 3, dtype=dtype) % 2**bits
    content = imagecodecs.jpegxl_encode(values, bitspersample=bits, lossless=True)
    if pyjpegxl.probe(content).bits_per_sample != bits:
        pytest.skip("this imagecodecs writes no such depth")
    (tmp_path / "a.jxl").write_bytes(content)
    expected = np.rint(values / (2**bits - 1) * np.iinfo(dtype).max)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.jxl"), expected)


def test_the_luminance_of_white_is_kept(tmp_path: Path) -> None:
    pixels = noise(30, 40, 3, dtype=np.uint16)
    content = pyjpegxl.encode_from_numpy(pixels, lossless=True, intensity_target=1000)
    (tmp_path / "a.jxl").write_bytes(content)
    process_file(tmp_path / "a.jxl", tmp_path / "b.jxl", unchanged)
    assert pyjpegxl.probe((tmp_path / "b.jxl").read_bytes()).intensity_target == 1000
    np.testing.assert_array_equal(read_pixels(tmp_path / "b.jxl"), pixels)
