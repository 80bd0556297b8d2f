"""Picture files: what is read, what is kept, and what is refused."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageSequence, features
from PIL.JpegImagePlugin import get_sampling
from PIL.PngImagePlugin import PngInfo

from danet.errors import DanetError, ImageError
from danet.images import format_of, open_picture, process_file, read_image, read_pixels, write_image

Pixels = NDArray[Any]
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
DEPTHS = [
    (".png", "uint8", (5, 7)),
    (".png", "uint8", (5, 7, 2)),
    (".png", "uint8", (5, 7, 3)),
    (".png", "uint8", (5, 7, 4)),
    (".png", "uint16", (5, 7)),
    (".png", "uint16", (5, 7, 2)),
    (".png", "uint16", (5, 7, 3)),
    (".png", "uint16", (5, 7, 4)),
    (".TIF", "uint8", (5, 7, 3)),
    (".tif", "uint16", (5, 7)),
    (".tif", "uint16", (5, 7, 2)),
    (".tif", "uint16", (5, 7, 3)),
    (".tiff", "uint16", (5, 7, 4)),
    (".tif", "float16", (5, 7, 3)),
    (".tif", "float32", (5, 7)),
    (".tif", "float32", (5, 7, 3)),
    (".tif", "float64", (5, 7)),
    (".npy", ">u2", (5, 7, 1)),
    (".npy", "float64", (5, 7, 4)),
    (".bmp", "uint8", (5, 7, 3)),
    (".ppm", "uint8", (5, 7, 3)),
]


def random_pixels(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "u":
        return rng.integers(0, np.iinfo(kind).max, shape, endpoint=True).astype(kind)
    return rng.random(shape, np.float32).astype(kind)


def smooth_pixels(height: int, width: int) -> Pixels:
    """H x W x 3, of which little is lost by compression."""
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    return (np.stack([rows, columns, 1 - rows], axis=2) * 200 + 20).astype(np.uint8)


def exif_of(**tags: Any) -> bytes:
    exif = Image.Exif()
    for name, value in {"Make": "Maker", **tags}.items():
        exif[getattr(ExifTags.Base, name)] = value
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 800
    return exif.tobytes()


def unchanged(pixels: Pixels) -> Pixels:
    return pixels


def inverted(pixels: Pixels) -> Pixels:
    result = 255 - pixels
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        result[..., 3] = pixels[..., 3]
    return result


def frames_of(path: Path) -> list[Pixels]:
    with open_picture(path) as file:
        return [frame.pixels for frame in file.frames]


def save_deep_tiff(path: Path, pixels: Pixels, **options: Any) -> None:
    pytest.importorskip("tifffile").imwrite(path, pixels, metadata=None, **options)


@pytest.mark.parametrize(("suffix", "dtype", "shape"), DEPTHS)
def test_depth_and_channels_are_kept(
    tmp_path: Path, suffix: str, dtype: str, shape: tuple[int, ...]
) -> None:
    if suffix != ".npy" and len(shape) == 3 and dtype != "uint8":
        pytest.importorskip("imagecodecs")
    pixels = random_pixels(shape, dtype)
    np.save(tmp_path / "a.npy", pixels)
    first, second = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
    process_file(tmp_path / "a.npy", first, unchanged)
    process_file(first, second, unchanged)
    for path in (first, second):
        (result,) = frames_of(path)
        assert result.dtype.newbyteorder("=") == pixels.dtype.newbyteorder("=")
        np.testing.assert_array_equal(result, pixels)


@pytest.mark.parametrize(
    ("mode", "shape"),
    [("1", (5, 7)), ("P", (5, 7, 3)), ("CMYK", (5, 7, 3)), ("LA", (5, 7, 2))],
)
def test_modes_without_plain_channels_are_converted(
    tmp_path: Path, mode: str, shape: tuple[int, ...]
) -> None:
    image = Image.fromarray(random_pixels((5, 7, 3))).convert(mode)
    image.save(tmp_path / "a.tif")
    process_file(tmp_path / "a.tif", tmp_path / "b.tif", unchanged)
    (result,) = frames_of(tmp_path / "b.tif")
    assert result.shape == shape
    to = {2: "L", 3: "RGB"}[len(shape)] if mode != "LA" else "LA"
    np.testing.assert_array_equal(result, np.asarray(image.convert(to)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_white_is_zero_is_as_it_looks(tmp_path: Path, dtype: str) -> None:
    pixels = random_pixels((5, 7), dtype)
    save_deep_tiff(tmp_path / "a.tif", ~pixels, photometric="miniswhite")
    np.testing.assert_array_equal(frames_of(tmp_path / "a.tif")[0], pixels)


def test_transparent_colour_of_16_bits_becomes_alpha(tmp_path: Path) -> None:
    pytest.importorskip("imagecodecs")
    pixels = random_pixels((5, 7), "uint16")
    Image.fromarray(pixels).save(tmp_path / "a.png", transparency=int(pixels[0, 0]))
    (result,) = frames_of(tmp_path / "a.png")
    np.testing.assert_array_equal(result[..., 0], pixels)
    assert (result[0, 0, 1], result[1, 1, 1]) == (0, 65535)


def test_deep_files_say_what_they_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("imagecodecs")
    np.save(tmp_path / "a.npy", random_pixels((5, 7, 3), "uint16"))
    process_file(tmp_path / "a.npy", tmp_path / "a.png", unchanged)
    process_file(tmp_path / "a.npy", tmp_path / "a.tif", unchanged)
    for name in ("imagecodecs", "tifffile"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    for name in ("a.png", "a.tif"):
        with pytest.raises(ImageError, match=r"a\.(png|tif): .*pip install 'danet\[formats\]'"):
            frames_of(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif"])
@pytest.mark.parametrize("source", [".jpg", ".png", ".tif", ".webp"])
def test_exif_profile_and_resolution_are_kept(tmp_path: Path, source: str, suffix: str) -> None:
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    orientation = {} if source == ".tif" else {"Orientation": 6}
    Image.fromarray(smooth_pixels(16, 24)).save(
        tmp_path / f"a{source}", exif=exif_of(**orientation), icc_profile=PROFILE, dpi=(300, 200)
    )
    process_file(tmp_path / f"a{source}", tmp_path / f"b{suffix}", unchanged)
    with Image.open(tmp_path / f"b{suffix}") as image:
        image.load()
        exif = image.getexif()
        assert exif[ExifTags.Base.Make] == "Maker"
        assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 800
        assert image.info["icc_profile"] == PROFILE
        if ".webp" not in (source, suffix) and suffix != ".avif":
            assert image.info["dpi"] == pytest.approx((300, 200), rel=1e-3)
    upright = read_image(tmp_path / f"b{suffix}")
    assert upright.size == read_image(tmp_path / f"a{source}").size
    difference = np.asarray(upright).astype(int) - np.asarray(read_image(tmp_path / f"a{source}"))
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_files_keep_exif_profile_and_resolution(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("imagecodecs")
    pixels = random_pixels((16, 24, 3), "uint16")
    np.save(tmp_path / "a.npy", pixels)
    process_file(tmp_path / "a.npy", tmp_path / "plain.png", unchanged)
    # Pillow cannot write one: its chunks are put into one without them.
    chunked = tmp_path / "chunks.png"
    Image.new("RGB", (24, 16)).save(
        chunked, exif=exif_of(Orientation=6), icc_profile=PROFILE, dpi=(300, 200)
    )
    plain, chunks = (tmp_path / "plain.png").read_bytes(), chunked.read_bytes()
    middle = chunks[33 : chunks.index(b"IDAT") - 4]
    (tmp_path / "a.png").write_bytes(plain[:33] + middle + plain[33:])
    process_file(tmp_path / "a.png", tmp_path / f"b{suffix}", unchanged)
    process_file(tmp_path / f"b{suffix}", tmp_path / f"c{suffix}", unchanged)
    (result,) = frames_of(tmp_path / f"c{suffix}")
    np.testing.assert_array_equal(result, pixels)
    with Image.open(tmp_path / f"c{suffix}") as image:
        exif = image.getexif()
        assert exif[ExifTags.Base.Make] == "Maker"
        assert exif[ExifTags.Base.Orientation] == 6
        assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 800
        assert image.info["icc_profile"] == PROFILE
        assert image.info["dpi"] == pytest.approx((300, 200), rel=1e-3)


@pytest.mark.parametrize("name", [b"iCCP", b"zTXt", b"PLTE", b"ABCd"])
def test_chunks_of_a_deep_png_that_are_wrong_change_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: bytes
) -> None:
    pytest.importorskip("imagecodecs")
    pixels = random_pixels((5, 7, 3), "uint16")
    np.save(tmp_path / "a.npy", pixels)
    process_file(tmp_path / "a.npy", tmp_path / "a.png", unchanged)
    data, body = (tmp_path / "a.png").read_bytes(), name + b"x\0\0" + zlib.compress(b"no")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "b.png").write_bytes(data[:33] + chunk + data[33:])
    (result,) = frames_of(tmp_path / "b.png")
    np.testing.assert_array_equal(result, pixels)
    assert capfd.readouterr().err == ""


def test_a_format_without_exif_gets_the_picture_upright(tmp_path: Path) -> None:
    pixels = random_pixels((5, 7, 3))
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif_of(Orientation=6))
    process_file(tmp_path / "a.png", tmp_path / "b.bmp", unchanged)
    np.testing.assert_array_equal(frames_of(tmp_path / "b.bmp")[0], np.rot90(pixels, -1))
    process_file(tmp_path / "a.png", tmp_path / "b.png", unchanged)
    np.testing.assert_array_equal(frames_of(tmp_path / "b.png")[0], pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_turned_as_pillow_does(tmp_path: Path, orientation: int) -> None:
    pixels = random_pixels((5, 7, 3))
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif_of(Orientation=orientation))
    upright = np.asarray(read_image(tmp_path / "a.png"))
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.png"), upright)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_keeps_its_tables_and_subsampling(tmp_path: Path, subsampling: int) -> None:
    first, second = tmp_path / "a.jpg", tmp_path / "b.jpg"
    Image.fromarray(smooth_pixels(32, 48)).save(first, quality=63, subsampling=subsampling)
    process_file(first, second, inverted)
    with Image.open(first) as before, Image.open(second) as after:
        tables = before.quantization
        assert after.quantization == tables
        assert get_sampling(after) == subsampling
    process_file(first, second, inverted, quality=90)
    with Image.open(second) as after:
        assert after.quantization != tables
        assert get_sampling(after) == subsampling


def test_png_keeps_its_text_and_tiff_its_compression(tmp_path: Path) -> None:
    text = PngInfo()
    text.add_text("Author", "Somebody")
    text.add_itxt("Title", "Ein schönes Bild", "de", "Titel")
    Image.new("L", (7, 5)).save(tmp_path / "a.png", pnginfo=text)
    process_file(tmp_path / "a.png", tmp_path / "b.png", unchanged)
    with Image.open(tmp_path / "b.png") as image:
        assert image.text == {
            "Author": "Somebody",
            "Title": "Ein schönes Bild",
        }
    Image.new("L", (7, 5)).save(tmp_path / "a.tif", compression="tiff_lzw")
    process_file(tmp_path / "a.tif", tmp_path / "b.tif", unchanged)
    with Image.open(tmp_path / "b.tif") as image:
        assert image.info["compression"] == "tiff_lzw"


def save_animation(path: Path, count: int = 3) -> list[Image.Image]:
    colours = [(20 * number, 100, 200 - 20 * number) for number in range(count)]
    images = [Image.new("RGB", (16, 12), colour) for colour in colours]
    options: dict[str, Any] = {"lossless": True} if path.suffix == ".webp" else {}
    durations = [100 * (number + 1) for number in range(count)]
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=durations, loop=2, **options
    )
    return images


@pytest.mark.parametrize("target", [".gif", ".png", ".webp"])
@pytest.mark.parametrize("source", [".gif", ".png", ".webp"])
def test_animations_keep_frames_durations_and_loop(
    tmp_path: Path, source: str, target: str
) -> None:
    images = save_animation(tmp_path / f"a{source}")
    process_file(tmp_path / f"a{source}", tmp_path / f"b{target}", inverted)
    with Image.open(tmp_path / f"b{target}") as result:
        assert result.info["loop"] == 2
        durations = []
        for image, frame in zip(images, ImageSequence.Iterator(result), strict=True):
            frame.load()
            durations.append(frame.info["duration"])
            difference = np.asarray(frame.convert("RGB")).astype(int) - inverted(np.asarray(image))
            assert np.abs(difference).max() <= 6
    assert durations == [100, 200, 300]


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_nothing_shines_through_a_frame(tmp_path: Path, suffix: str) -> None:
    frames = np.zeros((2, 12, 16, 4), np.uint8)
    # GIF has no half-transparent pixels; without any, WebP forgets that there are others.
    frames[0, :, :8] = frames[1, :, 8:] = (200, 100, 50, 255 if suffix == ".gif" else 128)
    first, second = (Image.fromarray(frame) for frame in frames)
    options: dict[str, Any] = {"disposal": 2} if suffix == ".gif" else {}
    first.save(
        tmp_path / f"a{suffix}", save_all=True, append_images=[second], duration=100, **options
    )
    process_file(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}", unchanged)
    alphas = [pixels[..., 3] for pixels in frames_of(tmp_path / f"b{suffix}")]
    np.testing.assert_array_equal(alphas, frames[..., 3])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_pages_keep_their_sizes_and_what_they_say(tmp_path: Path, dtype: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    pages = [random_pixels((5 + number, 7, 3), dtype, number) for number in range(3)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for number, page in enumerate(pages):
            writer.write(
                page,
                photometric="rgb",
                metadata=None,
                resolution=(100 + number, 50),
                resolutionunit="inch",
                compression="lzw",
            )
    process_file(tmp_path / "a.tif", tmp_path / "b.tif", unchanged)
    with open_picture(tmp_path / "b.tif") as file:
        assert (file.format, file.count) == ("TIFF", 3)
        for number, (frame, page) in enumerate(zip(file.frames, pages, strict=True)):
            np.testing.assert_array_equal(frame.pixels, page)
            assert frame.info["dpi"] == (100 + number, 50)
            assert frame.info["compression"] == "tiff_lzw"


def test_two_pictures_in_one_jpeg_are_kept(tmp_path: Path) -> None:
    images = [Image.fromarray(smooth_pixels(16, 24)), Image.fromarray(smooth_pixels(8, 8))]
    images[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=images[1:])
    process_file(tmp_path / "a.jpg", tmp_path / "b.jpg", unchanged)
    process_file(tmp_path / "a.jpg", tmp_path / "b.tif", unchanged)
    for name in ("b.jpg", "b.tif"):
        assert [pixels.shape for pixels in frames_of(tmp_path / name)] == [(16, 24, 3), (8, 8, 3)]
    process_file(tmp_path / "a.jpg", tmp_path / "b.png", unchanged)
    assert [pixels.shape for pixels in frames_of(tmp_path / "b.png")] == [(16, 24, 3)]


def test_the_source_may_be_the_target(tmp_path: Path) -> None:
    pixels = random_pixels((5, 7, 3))
    for name in ("a.png", "a.npy", "a.tif"):
        np.save(tmp_path / "first.npy", pixels)
        process_file(tmp_path / "first.npy", tmp_path / name, unchanged)
        process_file(tmp_path / name, tmp_path / name, inverted)
        np.testing.assert_array_equal(frames_of(tmp_path / name)[0], 255 - pixels)


def save_pages(path: Path) -> None:
    images = [Image.new("RGB", (7, 5)), Image.new("RGB", (5, 7))]
    images[0].save(path, save_all=True, append_images=images[1:])


def save_many_channels(path: Path) -> None:
    save_deep_tiff(path, random_pixels((5, 7, 6), "float32"), photometric="rgb")


def save_deep(path: Path) -> None:
    np.save(path, random_pixels((5, 7, 3), "uint16"))


def save_alpha(path: Path) -> None:
    np.save(path, random_pixels((5, 7, 4)))


def save_float(path: Path) -> None:
    np.save(path, random_pixels((5, 7), "float32"))


@pytest.mark.parametrize(
    ("save", "source", "target", "message"),
    [
        (save_pages, "a.tif", "b.jpg", "JPEG holds one picture, and .* has 2; take .tif"),
        (save_pages, "a.tif", "b.npy", "NPY holds one picture"),
        (save_pages, "a.tif", "b.png", "PNG holds frames of one size alone; take .tif"),
        (save_deep, "a.npy", "b.jpg", r"JPEG cannot hold uint16 of shape \(5, 7, 3\); take .tif"),
        (save_alpha, "a.npy", "b.jpg", "JPEG cannot hold this picture of mode RGBA"),
        (save_many_channels, "a.tif", "b.tif", r"\d channels .* take 1 to 4"),
        (save_float, "a.npy", "b.png", "PNG cannot hold this picture of mode F"),
        (save_alpha, "a.npy", "b.xyz", "no picture format has the suffix '.xyz'"),
    ],
)
def test_what_a_format_cannot_hold_is_an_error_and_no_file(
    tmp_path: Path, save: Callable[[Path], None], source: str, target: str, message: str
) -> None:
    save(tmp_path / source)
    with pytest.raises(ImageError, match=message):
        process_file(tmp_path / source, tmp_path / target, unchanged)
    assert [path.name for path in tmp_path.iterdir()] == [source]


def test_too_many_pixels_are_refused_and_the_limit_can_be_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_animation(tmp_path / "a.gif")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16 * 12)
    with pytest.raises(ImageError, match=r"limit of 384.*MAX_IMAGE_PIXELS"):
        process_file(tmp_path / "a.gif", tmp_path / "b.gif", unchanged)
    assert not (tmp_path / "b.gif").exists()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16 * 12 * 2)
    process_file(tmp_path / "a.gif", tmp_path / "b.gif", unchanged)


def test_an_interrupted_file_is_not_there(tmp_path: Path) -> None:
    save_pages(tmp_path / "a.tif")
    pages = 0

    def interrupt(pixels: Pixels) -> Pixels:
        nonlocal pages
        pages += 1
        if pages == 2:
            raise KeyboardInterrupt
        return pixels

    with pytest.raises(KeyboardInterrupt):
        process_file(tmp_path / "a.tif", tmp_path / "b.tif", interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("reader", [read_image, frames_of])
def test_unreadable_file_is_named(tmp_path: Path, reader: Callable[[Path], object]) -> None:
    whole = Image.fromarray(random_pixels((64, 64, 3)))
    (tmp_path / "text.png").write_text("no picture")
    for suffix in (".jpg", ".png", ".tif", ".webp", ".gif"):
        whole.save(tmp_path / f"whole{suffix}")
        data = (tmp_path / f"whole{suffix}").read_bytes()
        (tmp_path / f"half{suffix}").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    names = [path.name for path in tmp_path.iterdir() if not path.name.startswith("whole")]
    for name in (*names, "missing.png", "."):
        path = tmp_path / name
        with pytest.raises(ImageError) as error:
            reader(path)
        assert str(error.value).startswith(f"{path}: ")
        assert "\n" not in str(error.value)


def test_picture_is_turned_upright(tmp_path: Path) -> None:
    image = Image.fromarray(random_pixels((5, 7, 3)))
    image.save(tmp_path / "turned.png", exif=exif_of(Orientation=6))
    upright = read_image(tmp_path / "turned.png")
    np.testing.assert_array_equal(np.asarray(upright), np.rot90(np.asarray(image), -1))
    write_image(upright, tmp_path / "new" / "upright.png")
    assert read_image(tmp_path / "new" / "upright.png").size == upright.size


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_written_image_keeps_exif_and_profile(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(random_pixels((16, 16, 3)))
    image.info = {"exif": exif_of(), "icc_profile": PROFILE}
    write_image(image, tmp_path / f"picture{suffix}")
    with Image.open(tmp_path / f"picture{suffix}") as written:
        assert written.getexif()[ExifTags.Base.Make] == "Maker"
        assert written.info["icc_profile"] == PROFILE


def test_jpeg_keeps_full_colour_resolution(tmp_path: Path) -> None:
    checks = np.zeros((16, 16, 3), np.uint8)
    checks[::2, ::2, 0] = checks[1::2, 1::2, 0] = 255
    write_image(Image.fromarray(checks), tmp_path / "checks.jpg")
    error = np.asarray(read_image(tmp_path / "checks.jpg")).astype(int) - checks
    assert np.abs(error).mean() < 10


@pytest.mark.parametrize(
    ("name", "mode", "message"),
    [
        ("a.xyz", "RGB", r"no picture format has the suffix '.xyz'; take .png"),
        ("a", "RGB", "suffix ''"),
        ("a.jpg", "RGBA", "JPEG cannot hold this picture of mode RGBA"),
        ("a.png", "F", "PNG cannot hold"),
    ],
)
def test_unwritable_image_leaves_no_file(
    tmp_path: Path, name: str, mode: str, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        write_image(Image.new(mode, (7, 5)), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "expected"), [("a.png", "PNG"), ("a.b.TIFF", "TIFF"), ("new/a.ppm", "PPM")]
)
def test_format_of_a_suffix(name: str, expected: str) -> None:
    assert format_of(name) == expected


@pytest.mark.parametrize("name", ["a", "a.xyz", ".png", "a.psd"])
def test_format_of_no_suffix_that_can_be_written(name: str) -> None:
    with pytest.raises(ImageError, match=f"{name}: no picture format has the suffix"):
        format_of(name)


def test_unwritable_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DanetError, match=r"a\.png: cannot be written"):
        write_image(Image.new("RGB", (7, 5)), tmp_path / "file" / "a.png")
