"""Pixels to picture files, whole or not at all, with the metadata of the files they came from."""

from __future__ import annotations

import os
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo, iTXt
from PIL.TiffImagePlugin import AppendingTiffWriter

from danet.errors import DanetError, DanetWarning, ImageError, one_line
from danet.files import atomic_write
from danet.images import deep, exr, heif, jxl
from danet.images.conversion import plain_mode
from danet.images.metadata import parsed_exif, unusual_chunks
from danet.images.reading import Frame, PictureFile, check_size, in_8_bits, open_picture, upright
from danet.images.tiff import TiffWriter

__all__ = ["format_of", "process_file", "write_frame", "write_image"]

_QUALITY: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "MPO": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 95},
    "HEIF": {"quality": 95},
    # Much faster than zlib's default, and photographs are hardly longer.
    "PNG": {"compress_type": zlib.Z_RLE},
}
_ANIMATED = ("AVIF", "GIF", "MPO", "PNG", "WEBP")
_WITH_EXIF = ("AVIF", "HEIF", "JPEG", "MPO", "PNG", "TIFF", "WEBP")
_KEPT_INFO = ("comment", "exif", "icc_profile", "dpi", "xmp")
_ALPHA = (2,)  # as TIFF calls it
_XMP_TAG, _XMP_KEY = 700, "XML:com.adobe.xmp"


def process_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    process: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    quality: int | None = None,
) -> None:
    """Make a picture file of another: change its pixels, and keep the rest.

    Kept are the depth, every frame or page with its duration, transparency, EXIF with the
    orientation, colour profile, resolution, and the text of PNG; and, where a format stays
    what it is, the tables and the chroma subsampling of JPEG and the lossless compression of TIFF.
    A format that has no place for EXIF gets the picture turned upright.  Of a JPEG file with
    previews (MPO), other formats than JPEG and TIFF get the first picture.  Raw files of cameras
    have 16 bits in TIFF, PNG and ``.npy``, and 8 in the other formats.  The new file is whole or
    not there, and a file that was there before stays if anything fails.  It has the permissions of
    the file that was there before, or else those of the source.

    Args:
        source: a file as for `open_picture`.
        target: the file to write, in the format that its suffix names; ``.npy`` is the array
            alone.  It may be the source.
        process: takes and gives the pixels of one frame, H x W or H x W x C of uint8, uint16
            or float; grey may not become colour in one frame of several.  The pixels of ``.npy``
            files and of large TIFF files are memory-mapped (``numpy.memmap``); `scratch_array` of
            `danet.files` makes room for such results.
        quality: 1 to 100 for JPEG, WebP, AVIF and HEIC, as Pillow has it; by default that of the
            source if both are JPEG, else 95.  JPEG XL is written without loss by default.

    Raises:
        ImageError: the source cannot be read, or the format of the target cannot hold its
            depth, its transparency or its frames.
        DanetError: the target cannot be written.
        DanetWarning: the source is a JPEG or AVIF file whose XMP promises what is not read: an HDR
            gain map, the video of a motion photo.  It is left out, and the promise too.  Or it is
            a PNG file of other colours than sRGB, which the format of the target has no place for.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> Image.new("L", (70, 45), 100).save(folder / "a.jpg", quality=60)
        >>> process_file(folder / "a.jpg", folder / "b.jpg", lambda pixels: 255 - pixels)
        >>> 153 < Image.open(folder / "b.jpg").getpixel((0, 0)) < 157
        True
    """
    target = Path(target)
    file_format = _target_format(target)
    is_new = not target.exists()
    with open_picture(source, target.parent) as file:
        count = file.count
        if file.format == "MPO" and file_format == "JPEG":
            file_format = "MPO"
        elif file.format == "MPO" and file_format != "TIFF":
            count = 1  # the others are previews of the first
        if count > 1 and file_format not in (*_ANIMATED, "TIFF"):
            raise ImageError(
                f"{target}: {file_format} holds one picture, and {source} has {count}; "
                "take .tif, .gif, .webp or .png"
            )
        lost: set[str] = set()

        def treated() -> Iterator[Frame]:
            for frame in file.frames:
                lost.update(frame.info.get("lost", ()))
                if file_format != "PNG":
                    lost.update(unusual_chunks(frame.info))
                yield replace(frame, pixels=process(frame.pixels))

        frames = treated()
        if file.format == "RAW" and file_format not in ("TIFF", "PNG", "NPY"):
            frames = (replace(frame, pixels=in_8_bits(frame.pixels)) for frame in frames)
        # The pages of TIFF alone can be of several sizes.
        several = count > 1 and file.format == file_format == "TIFF"
        size = deep.pixel_bytes(Path(source)) if several else 0
        _write(replace(file, count=count, frames=frames), target, file_format, quality, size)
    if is_new:
        with suppress(OSError):  # of another user, or a file system without permissions
            shutil.copymode(source, target)
    if lost:
        message = f"{target}: written without {' and '.join(sorted(lost))} of {source}"
        warnings.warn(message, DanetWarning, stacklevel=2)


def format_of(path: str | os.PathLike[str]) -> str:
    """The format, as Pillow calls it, that `write_image` writes to a path.

    Raises:
        ImageError: the suffix names no format that can be written.
        ConfigError: the package that writes it is not installed.

    Example:
        >>> format_of("photo.JPG")
        'JPEG'
    """
    suffix = Path(path).suffix
    if suffix.lower() in exr.SUFFIXES:
        exr.library()
        return "EXR"
    if suffix.lower() in jxl.SUFFIXES:
        jxl.library()
        return "JXL"
    heif.register(Path(path))
    file_format = Image.registered_extensions().get(suffix.lower())
    if file_format not in Image.SAVE:
        raise ImageError(
            f"{path}: no picture format has the suffix {suffix!r}; "
            "take .png, .jpg, .tif, .webp or .bmp"
        )
    return file_format


def write_frame(frame: Frame, path: str | os.PathLike[str]) -> None:
    """Write a frame to a file of its own, as `process_file` does.

    Raises:
        ImageError: the suffix names no format, or the format cannot hold the picture.
        DanetError: the file cannot be written.
    """
    path = Path(path)
    _write(PictureFile("", 1, iter([frame])), path, _target_format(path), None)


def write_image(image: Image.Image, path: str | os.PathLike[str]) -> None:
    """Write a picture file, whole or not at all, in the format that its suffix names.

    EXIF, colour profile and resolution are kept where the format has a place for them.  JPEG
    is written at quality 95 with full colour resolution.

    Raises:
        ImageError: the suffix names no format, or the format cannot hold the picture.
        DanetError: the file cannot be written.
    """
    path = Path(path)
    file_format = format_of(path)
    if file_format == "EXR":
        _write_exr(Frame(np.asarray(image), {}), path)
        return
    if file_format == "JXL":
        info = {str(key): value for key, value in image.info.items()}
        frame = Frame(np.asarray(plain_mode(image)), info)
        _write_jxl(_fitted(frame, file_format), path, None)
        return
    options = {key: image.info[key] for key in _KEPT_INFO if key in image.info}
    options.update(_QUALITY.get(file_format, {}))
    with atomic_write(path) as temporary, _encoding(path, file_format, image.mode):
        image.save(temporary, format=file_format, **options)


def _target_format(path: Path) -> str:
    return "NPY" if path.suffix.lower() == ".npy" else format_of(path)


def _write(
    file: PictureFile, path: Path, file_format: str, quality: int | None, size: int = 0
) -> None:
    """Write a file; ``size`` is about how many bytes its pixels take, if that is known."""
    first = _fitted(next(file.frames), file_format)
    if first.info.get("extrasamples", _ALPHA) != _ALPHA and file_format not in ("TIFF", "NPY"):
        raise ImageError(
            f"{path}: {file_format} has no place for a channel beside the colours that is no "
            "transparency, or that they are multiplied by; take .tif"
        )
    if file_format != "EXR" and (others := exr.other_channels(first.info)):
        raise ImageError(
            f"{path}: {file_format} has no place for the channels {', '.join(others)}; take .exr"
        )
    if file_format == "NPY":
        with atomic_write(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, first.pixels)
    elif file_format == "EXR":
        _write_exr(first, path)
    elif file_format == "JXL":
        _write_jxl(first, path, quality)
    elif deep.needed(first.pixels) or (file_format == "TIFF" and deep.is_installed()):
        _write_deep(first, file, path, file_format, size)
    elif file.count == 1:
        image, options = _image(first), _options(first.info, file_format, quality)
        with atomic_write(path) as temporary, _encoding(path, file_format, image.mode):
            image.save(temporary, format=file_format, **options)
    elif file_format == "TIFF":
        _write_pages(first, file, path)
    else:
        _write_animation(first, file, path, file_format, quality)


def _write_exr(frame: Frame, path: Path) -> None:
    pixels = frame.pixels
    if pixels.dtype not in (np.float16, np.float32) or pixels.shape[2:] not in ((), (3,)):
        raise ImageError(
            f"{path}: EXR holds grey or RGB of float16 or float32, and the picture is of "
            f"{pixels.dtype} and shape {pixels.shape}; take .tif"
        )
    with atomic_write(path) as temporary, _encoding(path, "EXR", str(pixels.dtype)):
        exr.write_exr(temporary, pixels, frame.info)


def _write_jxl(frame: Frame, path: Path, quality: int | None) -> None:
    pixels = frame.pixels
    if pixels.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise ImageError(
            f"{path}: JPEG XL is written with 8 or 16 bits, and the picture is of {pixels.dtype}; "
            "take .exr or .tif"
        )
    with atomic_write(path) as temporary, _encoding(path, "JPEG XL", str(pixels.dtype)):
        jxl.write_jxl(temporary, pixels, frame.info, quality)


def _write_deep(first: Frame, file: PictureFile, path: Path, file_format: str, size: int) -> None:
    shape, dtype = first.pixels.shape, first.pixels.dtype
    if file_format == "PNG" and dtype.kind == "u" and file.count == 1:
        with atomic_write(path) as temporary, _encoding(path, file_format, str(dtype)):
            temporary.write_bytes(deep.encode_png(first.pixels, _options(first.info, "PNG", None)))
        return
    if file_format != "TIFF":
        raise ImageError(
            f"{path}: {file_format} cannot hold {dtype} of shape {shape}; take .tif, or .npy for "
            "one picture"
        )
    size = max(size, first.pixels.nbytes * file.count)
    if "lzw" in _compression(first.info):  # it makes noise longer, at worst by half
        size += size // 2
    with atomic_write(path) as temporary, TiffWriter(temporary, size) as writer:
        for frame in _then(first, file.frames):
            with _encoding(path, file_format, str(dtype)):
                options = _options(frame.info, file_format, None)
                options["compression"] = _compression(frame.info)
                kept = {
                    key: frame.info[key] for key in ("tile", "extrasamples") if key in frame.info
                }
                writer.write(frame.pixels, options | kept)
        with _encoding(path, file_format, str(dtype)):
            writer.finish()


def _write_pages(first: Frame, file: PictureFile, path: Path) -> None:
    with atomic_write(path) as temporary, AppendingTiffWriter(temporary, new=True) as writer:
        for frame in _then(first, file.frames):
            with _encoding(path, "TIFF", str(frame.pixels.dtype)):
                _image(frame).save(writer, format="TIFF", **_options(frame.info, "TIFF", None))
                writer.newFrame()


def _write_animation(
    first: Frame, file: PictureFile, path: Path, file_format: str, quality: int | None
) -> None:
    images, durations = [], []
    for frame in _then(first, file.frames):
        images.append(_image(_fitted(frame, file_format)))
        durations.append(frame.info.get("duration", 0))
        if file_format != "MPO" and images[-1].size != images[0].size:
            raise ImageError(f"{path}: {file_format} holds frames of one size alone; take .tif")
        # The encoders hold all frames at once.
        check_size(first.pixels.shape[1], first.pixels.shape[0] * len(images))
    options = _options(first.info, file_format, quality)
    if first.info.get("default_image"):  # shown where the animation is not, and no part of it
        del durations[0]
        if file_format != "PNG":
            del images[0]
    if any(durations):
        options["duration"] = durations
    if "loop" in first.info:
        options["loop"] = first.info["loop"]
    # Each frame is whole: it replaces the one before, of which nothing may shine through.
    see_through = any(image.mode in ("LA", "RGBA") for image in images)
    if file_format == "PNG":
        options |= {"blend": 0, "default_image": first.info.get("default_image", False)}
    elif file_format == "GIF" and see_through:
        options["disposal"] = 2
    with atomic_write(path) as temporary, _encoding(path, file_format, images[0].mode):
        images[0].save(
            temporary, format=file_format, save_all=True, append_images=images[1:], **options
        )


def _then(first: Frame, rest: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    yield from rest


def _fitted(frame: Frame, file_format: str) -> Frame:
    """A frame without a last axis of 1, and upright where the format has no place for EXIF."""
    pixels = frame.pixels
    if file_format != "NPY" and pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    frame = replace(frame, pixels=pixels)
    return frame if file_format in _WITH_EXIF else replace(frame, pixels=upright(frame))


def _image(frame: Frame) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(frame.pixels))


def _options(info: Mapping[str, Any], file_format: str, quality: int | None) -> dict[str, Any]:
    """What Pillow's ``save`` is told beside the pixels."""
    options = {key: info[key] for key in _KEPT_INFO if key in info}
    if file_format == "TIFF":
        exif = parsed_exif(info.get("exif")) or Image.Exif()
        if "xmp" in options:
            exif.setdefault(_XMP_TAG, options["xmp"])
        options["exif"] = exif
        # With any compression, Pillow fails on the folders of EXIF.
        has_folders = ExifTags.IFD.Exif in exif or ExifTags.IFD.GPSInfo in exif
        options["compression"] = "raw" if has_folders else _compression(info)
    if file_format == "PNG":
        texts = dict(info.get("text", {}))
        if "xmp" in options:
            texts.setdefault(_XMP_KEY, iTXt(_utf8(options["xmp"])))
        options["pnginfo"] = _png_text(texts)
        for name, data in info.get("chunks", {}).items():
            options["pnginfo"].add(name, data)
    options.update(_QUALITY.get(file_format, {}))
    if file_format == "WEBP" and info.get("lossless"):
        options |= {"lossless": True, "exact": True}
    if file_format in ("JPEG", "MPO") and "qtables" in info:
        options["subsampling"] = info["subsampling"]
        options["progressive"] = bool(info.get("progressive"))
        options["qtables"] = info["qtables"]
        del options["quality"]
    if quality is not None:
        options.pop("qtables", None)
        options.pop("lossless", None)
        options["quality"] = quality
    return options


def _compression(info: Mapping[str, Any]) -> str:
    """That of a TIFF file, if it is without loss."""
    compression: str = info.get("compression", "")
    kept = compression.removeprefix("tiff_") in deep.LOSSLESS
    return compression if kept else "tiff_adobe_deflate"


def _utf8(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode("utf-8", "replace")


def _png_text(texts: Mapping[str, str]) -> PngInfo:
    chunks = PngInfo()
    for key, text in texts.items():
        if isinstance(text, iTXt):
            chunks.add_itxt(key, text, text.lang or "", text.tkey or "")
        else:
            chunks.add_text(key, text)
    return chunks


@contextmanager
def _encoding(path: Path, file_format: str, mode: str) -> Iterator[None]:
    """Turn what an encoder raises into an `ImageError` that says what it could not take."""
    try:
        yield
    except (DanetError, MemoryError):
        raise
    # On odd metadata the encoders raise nearly anything.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the format's
            raise
        raise ImageError(
            f"{path}: {file_format} cannot hold this picture of mode {mode}: {one_line(error)}"
        ) from error
