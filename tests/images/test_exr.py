"""OpenEXR files: what is read, what is kept, and what is refused."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from danet.errors import ConfigError, ImageError
from danet.images import format_of, open_picture, process_file, write_image
from danet.images.light import PLAIN, Light
from danet.images.reading import light_of

exr = pytest.importorskip("OpenEXR")
imath = pytest.importorskip("Imath")

SIZE = (20, 30)


def planes(names: str, dtype: Any = np.float16) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(1, 2, SIZE).astype(dtype) for name in names}


def write(path: Path, channels: dict[str, NDArray[Any]], **header: Any) -> Path:
    with exr.File({"type": exr.scanlineimage, **header}, dict(channels)) as file:
        file.write(str(path))
    return path


def read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    with exr.File(str(path), separate_channels=True) as file:
        return dict(file.header()), {name: c.pixels for name, c in file.channels().items()}


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("names", ["RGB", "Y"])
def test_all_but_the_colours_stays(tmp_path: Path, names: str, dtype: Any) -> None:
    others: dict[str, NDArray[Any]] = planes("AZ", np.float32)
    others["id"] = np.arange(600, dtype=np.uint32).reshape(SIZE)
    others["diffuse.R"] = planes("R")["R"]
    window = np.array([5, 7], np.int32), np.array([34, 26], np.int32)
    header = {
        "dataWindow": window,
        "compression": exr.PIZ_COMPRESSION,
        "owner": "me",
        "exposure": 2.5,
    }
    header |= {"type": exr.tiledimage, "tiles": exr.TileDescription()}
    colours = planes(names, dtype)
    source = write(tmp_path / "a.exr", colours | others, **header)
    process_file(source, tmp_path / "b.exr", lambda pixels: 2 * pixels)
    kept, channels = read(tmp_path / "b.exr")
    assert (kept["owner"], kept["exposure"]) == ("me", 2.5)
    assert kept["compression"] == exr.PIZ_COMPRESSION
    np.testing.assert_array_equal(kept["dataWindow"], window)
    expected = {name: 2 * plane for name, plane in colours.items()} | others
    assert channels.keys() == expected.keys()
    for name, plane in expected.items():
        assert channels[name].dtype == plane.dtype
        np.testing.assert_array_equal(channels[name], plane)


def test_compression_with_loss_becomes_one_without(tmp_path: Path) -> None:
    write(tmp_path / "a.exr", planes("RGB"), compression=exr.DWAA_COMPRESSION)
    process_file(tmp_path / "a.exr", tmp_path / "a.exr", lambda pixels: pixels)
    assert read(tmp_path / "a.exr")[0]["compression"] == exr.ZIP_COMPRESSION


@pytest.mark.parametrize("other", ["npy", "tif"])
def test_floats_of_other_formats(tmp_path: Path, other: str) -> None:
    if other == "tif":
        pytest.importorskip("tifffile")
    source = write(tmp_path / "a.exr", planes("RGB"))
    process_file(source, tmp_path / f"b.{other}", lambda pixels: pixels)
    process_file(tmp_path / f"b.{other}", tmp_path / "c.exr", lambda pixels: pixels)
    for name, plane in planes("RGB").items():
        np.testing.assert_array_equal(read(tmp_path / "c.exr")[1][name], plane)


def test_it_is_told_by_its_content_and_its_light_is_linear(tmp_path: Path) -> None:
    write(tmp_path / "a.exr", planes("RGB")).rename(tmp_path / "a.png")
    with open_picture(tmp_path / "a.png") as file:
        assert (file.format, file.count) == ("EXR", 1)
        assert next(file.frames).pixels.dtype == np.float16
    assert light_of(tmp_path / "a.png") == Light(1.0, linear=True)
    assert light_of(tmp_path / "none.exr") == light_of(Path(__file__)) == PLAIN


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        (planes("RG"), "its channels are G, R"),
        (planes("RG") | planes("B", np.float32), "its colours are of float"),
        (planes("RGB", np.uint32), "its colours are of uint32"),
    ],
)
def test_other_colours_are_refused(
    tmp_path: Path, channels: dict[str, NDArray[Any]], message: str
) -> None:
    source = write(tmp_path / "a.exr", {k: abs(v) for k, v in channels.items()})
    with pytest.raises(ImageError, match=rf"a\.exr: {message}"):
        process_file(source, tmp_path / "b.exr", lambda pixels: pixels)
    assert not (tmp_path / "b.exr").exists()


def test_channels_of_a_lower_resolution_are_refused_by_name(tmp_path: Path) -> None:
    half = imath.Channel(imath.PixelType(imath.PixelType.HALF), 2, 2)
    full = imath.Channel(imath.PixelType(imath.PixelType.HALF))
    header = exr.Header(30, 20)
    header["channels"] = {"BY": half, "RY": half, "Y": full}
    file = exr.OutputFile(str(tmp_path / "a.exr"), header)
    small = np.zeros((10, 15), np.float16).tobytes()
    whole = np.zeros(SIZE, np.float16).tobytes()
    file.writePixels({"BY": small, "RY": small, "Y": whole})
    file.close()
    with pytest.raises(ImageError, match=r"a\.exr: its channels BY, RY have a lower resolution"):
        process_file(tmp_path / "a.exr", tmp_path / "b.exr", lambda pixels: pixels)


def test_what_has_no_place_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "a.exr", planes("RGBAZ"))
    with pytest.raises(ImageError, match="NPY has no place for the channels A, Z"):
        process_file(tmp_path / "a.exr", tmp_path / "a.npy", lambda pixels: pixels)
    write(tmp_path / "b.exr", planes("RGB"))
    with pytest.raises(ImageError, match="JPEG cannot hold float16"):
        process_file(tmp_path / "b.exr", tmp_path / "b.jpg", lambda pixels: pixels)
    with pytest.raises(ImageError, match="EXR holds grey or RGB of float16 or float32"):
        write_image(Image.new("RGB", (4, 5)), tmp_path / "c.exr")
    parts = [exr.Part({"name": name}, planes("RGB")) for name in "ab"]
    exr.File(parts).write(str(tmp_path / "d.exr"))
    with pytest.raises(ImageError, match="it has 2 parts"):
        process_file(tmp_path / "d.exr", tmp_path / "e.exr", lambda pixels: pixels)


def test_size_is_checked_before_the_pixels_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 299)
    write(tmp_path / "a.exr", planes("RGB"))
    with pytest.raises(ImageError, match="30 x 20 pixels exceed the limit of 598"):
        process_file(tmp_path / "a.exr", tmp_path / "b.exr", lambda pixels: pixels)


def test_a_cut_file_is_an_error_and_standard_output_stays_clean(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = write(tmp_path / "a.exr", planes("RGB")).read_bytes()
    for length in (4, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "a.exr").write_bytes(whole[:length])
        with pytest.raises(ImageError, match=r"a\.exr: "):
            process_file(tmp_path / "a.exr", tmp_path / "b.exr", lambda pixels: pixels)
    assert capfd.readouterr().out == ""
    assert not (tmp_path / "b.exr").exists()


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.exr", planes("RGB"))
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(ImageError, match=r"a\.exr: .*pip install 'danet\[exr\]'"):
        process_file(tmp_path / "a.exr", tmp_path / "a.npy", lambda pixels: pixels)
    with pytest.raises(ConfigError, match=r"pip install 'danet\[exr\]'"):
        format_of("b.exr")
