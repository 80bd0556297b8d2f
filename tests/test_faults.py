"""Bad files and bad arrays: each ends in a right result or in one line that says why not."""

from __future__ import annotations

import io
import re
import resource
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hypothesis_numpy
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, features

from danet.cli import main
from danet.errors import ImageError
from danet.images import open_picture, process_file
from danet.networks import build
from danet.pretrained import Denoiser

HEIGHT, WIDTH = 12, 16
MAX_PIXELS = 50_000
MUTANTS = 95  # of each file
QUICK = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Denoiser(build("denoiser", "unet", width=2, depth=2))


def pixels(shape: tuple[int, ...] = (HEIGHT, WIDTH, 3), dtype: str = "uint8") -> NDArray[Any]:
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.random(shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, endpoint=True).astype(dtype)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.copy().save(stream, format=file_format, **options)
    return stream.getvalue()


def good_files(folder: Path) -> dict[str, bytes]:
    """Whole files of many kinds, by name."""
    colour = Image.fromarray(pixels())
    grey, alpha = colour.convert("L"), Image.fromarray(pixels((HEIGHT, WIDTH, 4)))
    several: dict[str, Any] = {"save_all": True, "append_images": [grey, colour.rotate(180)]}
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    files = {
        "colour.jpg": encoded(colour, "JPEG", exif=exif, dpi=(300, 300)),
        "progressive.jpg": encoded(colour, "JPEG", progressive=True),
        "grey.jpg": encoded(grey, "JPEG"),
        "inks.jpg": encoded(colour.convert("CMYK"), "JPEG"),
        "two.jpg": encoded(colour, "MPO", save_all=True, append_images=[grey.copy()]),
        "colour.png": encoded(colour, "PNG", exif=exif, dpi=(300, 300)),
        "alpha.png": encoded(alpha, "PNG"),
        "bits.png": encoded(colour.convert("1"), "PNG"),
        "palette.png": encoded(colour.convert("P"), "PNG", transparency=3),
        "deep.png": encoded(Image.fromarray(pixels((HEIGHT, WIDTH), "uint16")), "PNG"),
        "moving.png": encoded(colour, "PNG", duration=50, **several),
        "moving.gif": encoded(colour, "GIF", duration=50, loop=0, **several),
        "colour.bmp": encoded(colour, "BMP"),
        "colour.tif": encoded(colour, "TIFF", exif=exif),
        "packed.tif": encoded(colour, "TIFF", compression="tiff_adobe_deflate"),
        "pages.tif": encoded(colour, "TIFF", compression="tiff_lzw", **several),
        "float.tif": encoded(Image.fromarray(pixels((HEIGHT, WIDTH), "float32")), "TIFF"),
        "colour.webp": encoded(colour, "WEBP", lossless=True),
        "moving.webp": encoded(colour, "WEBP", duration=50, **several),
        "colour.ppm": encoded(colour, "PPM"),
    }
    if features.check("jpg_2000"):
        files["colour.jp2"] = encoded(colour, "JPEG2000")
    for name, dtype in [("array.npy", "uint8"), ("float.npy", "float32")]:
        np.save(folder / name, pixels(dtype=dtype))
        files[name] = (folder / name).read_bytes()
    for name, dtype in [("colours.png", "uint16"), ("colours.tif", "uint16"), ("f.tif", "float32")]:
        np.save(folder / "deep.npy", pixels(dtype=dtype))
        process_file(folder / "deep.npy", folder / name, lambda values: values)
        files[name] = (folder / name).read_bytes()
    if find_spec("pyjpegxl"):
        for name, dtype in [("colours.jxl", "uint8"), ("deep.jxl", "uint16")]:
            np.save(folder / "deep.npy", pixels(dtype=dtype))
            process_file(folder / "deep.npy", folder / name, lambda values: values)
            files[name] = (folder / name).read_bytes()
    return files


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bits turned, mostly of the header."""
    array = bytearray(data)
    reach = len(data) if rng.random() < 0.5 else min(len(data), 100)
    for place in rng.integers(0, reach, rng.integers(1, 12)):
        array[place] ^= 1 << int(rng.integers(8))
    return bytes(array)


def truncated(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(0, len(data))]


def overwritten(data: bytes, rng: np.random.Generator) -> bytes:
    """A run of bytes that are all 0, all 255 or random; sizes become absurd by it."""
    start, length = int(rng.integers(0, len(data))), int(rng.integers(1, 9))
    filling = [bytes(length), b"\xff" * length, rng.bytes(length)][int(rng.integers(3))]
    return data[:start] + filling + data[start + length :]


def shifted(data: bytes, rng: np.random.Generator) -> bytes:
    """A piece left out, or repeated."""
    start, length = int(rng.integers(0, len(data))), int(rng.integers(1, 20))
    again = rng.integers(2)
    return data[: start + length * again] + data[start + length * (1 - again) :]


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of(width: int, height: int, body: bytes, *more: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [png_chunk(b"IHDR", header), *more, png_chunk(b"IDAT", body), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def bombs(good: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Small files that ask for much."""
    zeros = zlib.compress(bytes(50_000_000))
    profile = b"x\0\0" + zeros
    rows = zlib.compress(bytes((WIDTH * 3 + 1) * HEIGHT))
    yield "large.png", png_of(40_000, 40_000, zeros)
    yield "absurd.png", png_of(2**31 - 1, 2**31 - 1, zeros)
    yield "none.png", png_of(0, 0, rows)
    yield "long.png", png_of(WIDTH, HEIGHT, zeros)
    yield "profile.png", png_of(WIDTH, HEIGHT, rows, png_chunk(b"iCCP", profile))
    yield "text.png", png_of(WIDTH, HEIGHT, rows, png_chunk(b"zTXt", profile))
    yield (
        "frames.png",
        png_of(WIDTH, HEIGHT, rows, png_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))),
    )
    bitmap = good["colour.bmp"]
    yield "wide.bmp", bitmap[:18] + struct.pack("<ii", 2**31 - 1, 2**31 - 1) + bitmap[26:]
    yield "minus.bmp", bitmap[:18] + struct.pack("<ii", -5, -(2**31)) + bitmap[26:]
    gif = good["moving.gif"]
    yield "wide.gif", gif[:6] + b"\xff" * 4 + gif[10:]
    yield "wide.ppm", b"P6 1000000000 1000000000 255\n" + bytes(100)
    yield "deep.ppm", b"P6 4 4 99999999999999999999999999 " + bytes(100)
    for number, shape in enumerate(["(999999, 999999, 3)", "(-1, 4)", "(" + "9" * 400 + ",)"]):
        header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        yield (
            f"shape{number}.npy",
            b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(48),
        )
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    yield "objects.npy", stream.getvalue()
    for tag in (256, 257, 258, 273, 277, 278, 279):
        yield f"tag{tag}.tif", with_tag(good["colour.tif"], tag, 2**32 - 1)
        yield f"deep{tag}.tif", with_tag(good["colours.tif"], tag, 2**31 - 1)


def with_tag(data: bytes, tag: int, value: int) -> bytes:
    """A little-endian TIFF file, one tag of which is a number of 32 bits."""
    array = bytearray(data)
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for number in range(count):
        place = start + 2 + 12 * number
        if struct.unpack_from("<H", data, place)[0] == tag:
            struct.pack_into("<HHII", array, place, tag, 4, 1, value)
            return bytes(array)
    raise AssertionError(f"no tag {tag}")


def mutants(good: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    kinds: list[Callable[[bytes, np.random.Generator], bytes]]
    kinds = [flipped, flipped, truncated, overwritten, overwritten, shifted]
    suffixes = sorted({Path(name).suffix for name in good})
    for name, data in good.items():
        for number in range(MUTANTS):
            path = Path(name)
            if number % 10 == 0:
                suffix = suffixes[number // 10 % len(suffixes)]
                yield f"wrong{number}_{path.stem}{path.suffix[1:]}{suffix}", data
            else:
                mutant = kinds[number % len(kinds)](data, rng)
                yield f"{number}_{path.stem}{path.suffix}", mutant


@pytest.fixture
def command(
    denoiser: Denoiser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """``danet denoise in -o out`` in an empty folder, with a tiny network."""
    monkeypatch.chdir(tmp_path)
    denoiser.save_pretrained("weights")
    arguments = ["--weights", "weights", "--device", "cpu", "--max-pixels", str(MAX_PIXELS)]
    return lambda *more: main(["denoise", *more, "in", "-o", "out", *arguments])


def names_in(folder: str) -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, when the test itself reads
def test_mutated_files_end_in_a_result_or_in_one_line(
    command: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for library in ("imagecodecs", "tifffile"):
        pytest.importorskip(library)
    good = good_files(tmp_path)
    Path("in").mkdir()
    given_files = {f"good_{name}": data for name, data in good.items()}
    given_files |= {f"bomb_{name}": data for name, data in bombs(good)}
    given_files |= {f"mutant_{name}": data for name, data in mutants(good)}
    # A folder is searched for common suffixes alone.
    rare = [name for name in given_files if Path(name).suffix in (".jp2", ".ppm")]
    for name, data in given_files.items():
        (Path("in") / name).write_bytes(data)
    assert sum(name.startswith("mutant") for name in given_files) >= 2000

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert command(*(f"in/{name}" for name in rare)) == 2
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300_000  # KiB

    # Of the process, so that nothing that a library in C prints is missed.
    out, err = capfd.readouterr()
    assert out == ""
    *lines, summary = err.splitlines()
    failed = set()
    for line in lines:
        match = re.match(r"danet: error: in/([\w.]+): \S", line)
        assert match, line
        failed.add(match[1])
    assert len(failed) == len(lines)
    done = given_files.keys() - failed
    counts = f"{len(done)} done, 0 skipped, {len(failed)} failed, {len(rare)} left out"
    assert summary == f"danet: {counts} (--verbose names them)"
    assert names_in("out") == done  # and no half files
    assert {f"good_{name}" for name in good} <= done
    assert len(failed) > 500 and len(done) > 300
    must_fail = {"large.png", "absurd.png", "none.png", "frames.png", "wide.bmp", "wide.ppm"}
    must_fail |= {"shape0.npy", "shape1.npy", "objects.npy", "tag256.tif", "deep256.tif"}
    assert {f"bomb_{name}" for name in must_fail} <= failed
    for name in done:
        with open_picture(f"in/{name}") as source, open_picture(f"out/{name}") as result:
            sizes = [next(file.frames).pixels.shape[:2] for file in (source, result)]
            assert sorted(sizes[0]) == sorted(sizes[1]), name
            assert 1 <= result.count <= source.count


def chain(pages: int, bits: int) -> bytes:
    """A TIFF file of many directories of one and the same pixel."""
    single = {262: 1, 273: 8, 277: 1, 278: 1, 279: bits // 8}
    numbers = {256: 1, 257: 1, 258: bits, 259: 1, **single}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in numbers.items())
    size = 2 + len(entries) + 4
    data = struct.pack("<4sIII", b"II*\0", 16, 0, 0)
    for page in range(1, pages + 1):
        following = 16 + page * size if page < pages else 0
        data += struct.pack("<H", len(numbers)) + entries + struct.pack("<I", following)
    return data


def still(frames: int) -> bytes:
    """A GIF file that shows one pixel many times."""
    data = encoded(Image.new("P", (1, 1)), "GIF")
    start = data.index(b",", 13)
    return data[:start] + data[start:-1] * frames + b";"


@pytest.mark.parametrize("name", ["pages.tif", "deep.tif", "frames.gif"])
def test_very_many_pictures_in_a_file_are_refused_at_once(tmp_path: Path, name: str) -> None:
    make = {"pages.tif": lambda n: chain(n, 8), "deep.tif": lambda n: chain(n, 64)}
    path = tmp_path / name
    path.write_bytes(make.get(name, still)(20_000))
    started = time.process_time()
    with pytest.raises(ImageError, match=f"{name}: holds more than 2000 pictures"):
        process_file(path, tmp_path / f"out_{name}", lambda values: values)
    assert time.process_time() - started < 5
    assert [file.name for file in tmp_path.iterdir()] == [name]
    for count in (1, 2, 2000):
        path.write_bytes(make.get(name, still)(count))
        with open_picture(path) as file:
            assert file.count == count


def test_what_is_no_file_is_refused_without_waiting(
    command: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    import os

    Path("in").mkdir()
    Path("in/a.png").write_bytes(b"")
    os.mkfifo("pipe.png")
    assert command("pipe.png") == 2
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "danet: error: pipe.png: not a file"


def outcome(denoiser: Denoiser, picture: Any) -> Any:
    """The result, or None where the picture is refused in one line."""
    try:
        return denoiser(picture)
    except ImageError as error:
        message = str(error)
    assert message.strip() and "\n" not in message
    return None


def check(denoiser: Denoiser, array: NDArray[Any]) -> bool:
    """Whether an array was taken; the result, if any, must be one."""
    kept = array.copy()
    result = outcome(denoiser, array)
    np.testing.assert_array_equal(array, kept)
    if result is None:
        return False
    assert isinstance(result, np.ndarray)
    assert (result.shape, result.dtype) == (array.shape, array.dtype)
    if array.dtype.kind == "f":
        assert np.isfinite(result).all()
        colours = result[..., : {2: 1, 4: 3}.get(result.shape[-1])] if result.ndim == 3 else result
        assert colours.min() >= 0 and colours.max() <= 1
    return True


CHANNELS = st.sampled_from([(), (1,), (2,), (3,), (4,)])
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@QUICK
@given(
    array=hypothesis_numpy.arrays(
        hypothesis_numpy.scalar_dtypes(),
        hypothesis_numpy.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=5),
    )
)
def test_an_array_of_any_kind_is_taken_or_refused(denoiser: Denoiser, array: NDArray[Any]) -> None:
    check(denoiser, array)


@QUICK
@given(
    size=SIZES,
    channels=CHANNELS,
    dtype=st.sampled_from(["u1", "<u2", ">u2", "f2", "<f4", ">f4", "f8"]),
    steps=st.tuples(st.sampled_from([-2, -1, 1, 2]), st.sampled_from([-3, -1, 1])),
    frozen=st.booleans(),
    order=st.sampled_from("CF"),
)
def test_a_picture_keeps_its_size_type_and_range(
    denoiser: Denoiser,
    size: tuple[int, int],
    channels: tuple[int, ...],
    dtype: str,
    steps: tuple[int, int],
    frozen: bool,
    order: Any,
) -> None:
    array = np.asarray(pixels((*size, *channels), np.dtype(dtype).newbyteorder("=").str), dtype)
    array = np.asarray(array, order=order)[:: steps[0], :: steps[1]]
    array.flags.writeable = not frozen
    assert check(denoiser, array)
    plain = np.ascontiguousarray(array)
    np.testing.assert_array_equal(denoiser(array), denoiser(plain))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, -1.0, 1.5, 255.0])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_one_bad_value_is_enough(denoiser: Denoiser, dtype: str, bad: float) -> None:
    array = pixels(dtype="float64")
    array[3, 4, 1] = bad
    with np.errstate(over="ignore"):
        picture = array.astype(dtype)
    assert not check(denoiser, picture)
    assert outcome(denoiser, torch.from_numpy(picture).movedim(2, 0)) is None


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (5, 7, 0), (0, 5, 3), (5, 0, 3)])
def test_empty_pictures_are_refused(denoiser: Denoiser, shape: tuple[int, ...]) -> None:
    for dtype in ("uint8", "uint16", "float32"):
        assert not check(denoiser, np.zeros(shape, dtype))


def test_objects_that_are_no_plain_arrays(denoiser: Denoiser) -> None:
    assert not check(denoiser, np.zeros((4, 5), [("a", "u1"), ("b", "u1")]))
    assert not check(denoiser, np.full((4, 5), "a"))
    assert not check(denoiser, np.array([[None, 1]], dtype=object))
    for other in ("a.png", b"", None, 3, [[1, 2]], Path("a.png")):
        assert outcome(denoiser, other) is None
    assert not check(denoiser, np.ma.masked_array(pixels((4, 5)), pixels((4, 5)) > 99))


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize(
    "dtype",
    sorted({kind for kind in vars(torch).values() if isinstance(kind, torch.dtype)}, key=str),
)
def test_a_tensor_of_any_type_is_taken_or_refused(denoiser: Denoiser, dtype: torch.dtype) -> None:
    try:
        tensor = torch.zeros(3, 5, 7).to(dtype)
    except (RuntimeError, NotImplementedError, TypeError):
        pytest.skip("torch itself cannot make one")
    result = outcome(denoiser, tensor)
    assert (result is not None) == (
        str(dtype) in {"torch.float16", "torch.bfloat16", "torch.float32", "torch.float64"}
    )
    if result is not None:
        assert (result.shape, result.dtype) == (tensor.shape, dtype)
        assert torch.equal(denoiser(tensor.flip(2)), denoiser(tensor.flip(2).contiguous()))


@QUICK
@given(
    mode=st.sampled_from(
        [
            "1",
            "L",
            "LA",
            "La",
            "P",
            "PA",
            "RGB",
            "RGBA",
            "RGBa",
            "RGBX",
            "CMYK",
            "YCbCr",
            "LAB",
            "HSV",
            "I",
            "F",
            "I;16",
            "I;16B",
            "I;16L",
            "I;16N",
        ]
    ),
    size=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    colour=st.sampled_from([0, 1, 200]),
)
def test_an_image_of_any_mode_is_taken_or_refused(
    denoiser: Denoiser, mode: str, size: tuple[int, int], colour: int
) -> None:
    image = Image.new(mode, size, colour if len(Image.new(mode, (1, 1)).getbands()) == 1 else None)
    result = outcome(denoiser, image)
    assert (result is None) == (0 in size or (mode == "F" and colour == 200))
    if result is not None:
        assert result.size == size
