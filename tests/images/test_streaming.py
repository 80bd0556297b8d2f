"""Pictures too large for memory: read, treated and written in parts."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from danet.cli import main
from danet.errors import DanetError, ImageError
from danet.images import deep, open_picture, process_file, tiff

tifffile = pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")

Pixels = NDArray[Any]
Run = Callable[..., int]
LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "big-endian": {"byteorder": ">"},
    "bigtiff": {"bigtiff": True, "tile": (32, 48)},
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (32, 48)},
    "deflate": {"tile": (16, 16), "compression": "deflate", "predictor": True},
    "lzw strips": {"rowsperstrip": 5, "compression": "lzw", "predictor": True},
    "zstd": {"tile": (32, 32), "compression": "zstd"},
}
SHAPES = [
    ("uint8", (70, 100, 3)),
    ("uint16", (70, 100)),
    ("uint16", (70, 100, 4)),
    ("float32", (70, 100, 3)),
]


def random_pixels(shape: tuple[int, ...], dtype: str) -> Pixels:
    values = np.random.default_rng(0).random(shape)
    scale = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    return (values * scale).astype(dtype)


def save_tiff(path: Path, pixels: Pixels, **options: Any) -> None:
    options = dict(options)
    form = {key: options.pop(key) for key in ("byteorder", "bigtiff") if key in options}
    options.setdefault("photometric", "rgb" if pixels.ndim == 3 else "minisblack")
    if pixels.shape[2:] == (4,):
        options["extrasamples"] = ["unassalpha"]
    with tifffile.TiffWriter(path, **form) as writer:
        writer.write(pixels, metadata=None, **options)


def frame_of(path: Path) -> tuple[Pixels, dict[str, Any]]:
    with open_picture(path) as file:
        (frame,) = file.frames
        return np.array(frame.pixels), dict(frame.info)


@pytest.fixture
def run(tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``danet denoise`` in an empty folder, in tiles of one plan."""
    monkeypatch.chdir(tmp_path)

    def denoise(*arguments: str) -> int:
        network = ["--weights", str(tiny_weights), "--device", "cpu", "--tile", "32"]
        return main(["denoise", *network, *arguments])

    return denoise


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Takes every TIFF picture for large, or none."""
    return lambda on: monkeypatch.setattr(deep, "_LARGE", 0 if on else 2**40)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("dtype", "shape"), SHAPES)
def test_a_streamed_tiff_is_that_of_the_memory(
    run: Run, streaming: Callable[[bool], None], layout: str, dtype: str, shape: tuple[int, ...]
) -> None:
    options = {**LAYOUTS[layout]}
    if dtype == "float32":
        options.pop("predictor", None)
    save_tiff(Path("in.tif"), random_pixels(shape, dtype), **options)
    streaming(False)
    assert run("in.tif", "-o", "memory.tif") == 0
    streaming(True)
    with open_picture("in.tif", ".") as file:
        assert all(isinstance(frame.pixels, np.memmap) for frame in file.frames)
    assert run("in.tif", "-o", "streamed.tif") == 0
    (streamed, info), (expected, _) = frame_of(Path("streamed.tif")), frame_of(Path("memory.tif"))
    assert (streamed.dtype, streamed.shape) == (np.dtype(dtype), shape)
    np.testing.assert_array_equal(streamed, expected)
    assert not np.array_equal(streamed, random_pixels(shape, dtype))
    assert sorted(path.name for path in Path().iterdir()) == [
        "in.tif",
        "memory.tif",
        "streamed.tif",
    ]
    with tifffile.TiffFile("streamed.tif") as result:
        page = result.pages[0]
        assert (page.tilelength, page.tilewidth) == options.get("tile", (0, 0))
        assert page.compression.name.lower() == options.get("compression", "none")
    assert info["compression"]


@pytest.mark.parametrize(
    "arguments",
    [[], ["--strength", "0.7"], ["--self-ensemble"], ["--residual"]],
    ids=" ".join,
)
@pytest.mark.parametrize("source", ["in.npy", "in.tif"])
@pytest.mark.parametrize("target", ["out.npy", "out.tif", "out.png"])
def test_arrays_and_options_stream(
    run: Run,
    streaming: Callable[[bool], None],
    tiny_weights: Path,
    source: str,
    target: str,
    arguments: list[str],
) -> None:
    from danet import Denoiser

    pixels = random_pixels((70, 100, 4), "uint16")
    np.save("in.npy", pixels)
    save_tiff(Path("in.tif"), pixels, compression="deflate", tile=(16, 16))
    streaming(True)
    assert run(source, "-o", target, *arguments) == 0
    result, _ = frame_of(Path(target))
    strength = 0.7 if "--strength" in arguments else 1
    denoiser = Denoiser.from_pretrained(tiny_weights, device="cpu", tile=32)
    ensemble = "--self-ensemble" in arguments
    if "--residual" in arguments:
        noise = denoiser(pixels, residual=True)
        grey = np.rint((noise + 0.5).clip(0, 1) * 65535).astype(np.uint16)
        expected: Pixels = noise if target == "out.npy" else grey
    else:
        expected = denoiser(pixels, strength=strength, self_ensemble=ensemble)
    np.testing.assert_array_equal(result, expected)


def test_what_the_pages_say_is_kept(tmp_path: Path, streaming: Callable[[bool], None]) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 800
    pages = [Image.fromarray(random_pixels((size, 40, 3), "uint8")) for size in (50, 60)]
    pages[0].save(
        tmp_path / "in.tif",
        save_all=True,
        append_images=pages[1:],
        exif=exif.tobytes(),
        dpi=(300, 200),
        icc_profile=b"profile",
    )
    streaming(True)
    process_file(tmp_path / "in.tif", tmp_path / "out.tif", lambda pixels: 255 - pixels)
    with Image.open(tmp_path / "out.tif") as result:
        for number, page in enumerate(pages):
            result.seek(number)
            assert result.getexif()[ExifTags.Base.Orientation] == 6
            turned = np.rot90(255 - np.asarray(page), -1)
            np.testing.assert_array_equal(np.asarray(result), turned)
        result.seek(0)
        kept = result.getexif()
        assert kept[ExifTags.Base.Make] == "Maker"
        assert kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 800
        assert result.info["icc_profile"] == b"profile"
        assert result.info["dpi"] == (300, 200)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("name", ["in.npy", "in.tif"])
def test_nothing_is_left_behind(
    tmp_path: Path, streaming: Callable[[bool], None], name: str, error: type[BaseException]
) -> None:
    pixels = random_pixels((70, 100, 3), "uint8")
    np.save(tmp_path / "in.npy", pixels)
    save_tiff(tmp_path / "in.tif", pixels, compression="deflate", tile=(16, 16))
    streaming(True)

    def fail(pixels: Pixels) -> Pixels:
        assert isinstance(pixels, np.memmap)
        raise error

    with pytest.raises(error):
        process_file(tmp_path / name, tmp_path / "new" / name, fail)
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["in.npy", "in.tif"]


def test_a_damaged_tiff_and_a_full_disk_are_one_line(
    tmp_path: Path, streaming: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.tif"
    save_tiff(path, random_pixels((70, 100, 3), "uint8"), compression="deflate", tile=(16, 16))
    streaming(True)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.posix_fallocate", refuse, raising=False)
        with pytest.raises(ImageError, match=r"in\.tif: .*no room for 0 MiB.*: No space left"):
            process_file(path, tmp_path / "out.tif", lambda pixels: pixels)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"in\.tif: cannot be read"):
        process_file(path, tmp_path / "out.tif", lambda pixels: pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["in.tif"]


OFFSETS, COUNTS = 324, 325  # of tiles
PLACE, LENGTH = 273, 279  # of strips


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        ({"tile": (16, 16)}, {257: 700}, "it has 35 of 308 tiles"),
        ({"tile": (16, 16), "planarconfig": "separate"}, {257: 700}, "it has 105 of 924 tiles"),
        ({"tile": (16, 16)}, {COUNTS: (7, 0)}, "it has 34 of 35 tiles"),
        ({"tile": (16, 16)}, {OFFSETS: (7, 0)}, "it has 34 of 35 tiles"),
        ({"rowsperstrip": 7}, {257: 700}, "it has 10 of 100 strips"),
        ({"compression": None}, {257: 700}, "its pixels are not 210000 bytes"),
        ({"compression": None}, {PLACE: (0, 0)}, "its pixels are not 21000 bytes"),
        ({"compression": None}, {LENGTH: (0, 0)}, "its pixels are not 21000 bytes"),
    ],
)
def test_missing_parts_of_a_tiff_are_not_made_up(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    streaming: Callable[[bool], None],
    options: dict[str, Any],
    changes: dict[int, Any],
    message: str,
) -> None:
    path = tmp_path / "in.tif"
    pixels = random_pixels((70, 100, 3), "uint8")
    if "planarconfig" in options:
        pixels = np.moveaxis(pixels, -1, 0)
    save_tiff(path, pixels, **{"compression": "deflate", **options})
    change_tags(path, changes)
    streaming(True)
    monkeypatch.setattr(deep, "scratch_array", None)  # nothing is written for such files
    with pytest.raises(ImageError, match=rf"in\.tif: the file is damaged: {message}"):
        frame_of_streamed(path)


def test_tiles_that_are_empty_on_purpose_are_zero(
    tmp_path: Path, streaming: Callable[[bool], None]
) -> None:
    path = tmp_path / "in.tif"
    pixels = random_pixels((70, 100, 3), "uint8")
    save_tiff(path, pixels, tile=(16, 16), compression="deflate")
    change_tags(path, {OFFSETS: (0, 0), COUNTS: (0, 0)})
    streaming(True)
    pixels[:16, :16] = 0
    np.testing.assert_array_equal(frame_of_streamed(path), pixels)


def change_tags(path: Path, changes: dict[int, Any]) -> None:
    """Give tags of a page another value; or (n, value), to one value of several."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        tags = file.pages[0].tags
        for code, change in changes.items():
            value = change
            if isinstance(change, tuple):
                values = list(tags[code].value)
                values[change[0]] = change[1]
                value = tuple(values)
            tags[code].overwrite(value)


def frame_of_streamed(path: Path) -> Pixels:
    with open_picture(path, path.parent) as file:
        (frame,) = file.frames
        return np.array(frame.pixels)


def test_too_many_pixels_say_what_to_give(
    run: Run, streaming: Callable[[bool], None], capsys: pytest.CaptureFixture[str]
) -> None:
    save_tiff(Path("in.tif"), random_pixels((70, 100, 3), "uint8"), tile=(16, 16))
    streaming(True)
    assert run("in.tif", "-o", "out.tif", "--max-pixels", "6998") == 2
    assert "7000 pixels" in (line := capsys.readouterr().err)
    assert "give --max-pixels" in line
    assert run("in.tif", "-o", "out.tif", "--max-pixels", "7000") == 0


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_bigtiff_keeps_its_exif(tmp_path: Path, dtype: str) -> None:
    tags = [(271, "s", 0, "Maker", True)]
    save_tiff(tmp_path / "in.tif", random_pixels((5, 7, 3), dtype), bigtiff=True, extratags=tags)
    process_file(tmp_path / "in.tif", tmp_path / "out.tif", lambda pixels: pixels)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.pages[0].tags["Make"].value == "Maker"


@pytest.mark.parametrize(
    ("mode", "compression", "heights", "is_big"),
    [
        ("RGB", "raw", (5, 40), True),  # together 13500 bytes, of which the first page has 1500
        ("RGB", "raw", (40, 5), True),
        ("RGB", "raw", (5, 5), False),
        ("P", "raw", (1, 30), True),  # 3100 bytes, which become four times as many
        ("P", "raw", (1, 10), False),
        ("L", "tiff_lzw", (1, 80), True),
        ("L", "raw", (1, 80), False),
    ],
)
def test_pages_of_several_sizes_become_a_bigtiff_where_they_need_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    compression: str,
    heights: tuple[int, int],
    is_big: bool,
) -> None:
    pages = [Image.new(mode, (100, height)) for height in heights]
    pages[0].save(
        tmp_path / "in.tif", save_all=True, append_images=pages[1:], compression=compression
    )
    monkeypatch.setattr(tiff, "_CLASSIC_LIMIT", 10_000)
    process_file(tmp_path / "in.tif", tmp_path / "out.tif", lambda pixels: pixels)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.is_bigtiff == is_big
        assert tuple(page.shape[0] for page in file.pages) == heights


def test_a_tiff_that_cannot_be_finished_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 800
    Image.new("RGB", (7, 5)).save(tmp_path / "in.tif", exif=exif.tobytes())

    def refuse(*_: object) -> None:
        struct.pack("<I", 2**32)  # what becomes of a place beyond 4 GiB

    monkeypatch.setattr(tifffile.TiffTag, "overwrite", refuse)
    with pytest.raises(DanetError, match=r"out\.tif: TIFF cannot hold this picture"):
        process_file(tmp_path / "in.tif", tmp_path / "out.tif", lambda pixels: pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["in.tif"]
