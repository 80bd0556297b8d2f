"""JPEG XL files: imagecodecs reads their pixels, and pyjpegxl all else, and writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags

from danet.errors import ImageError, require
from danet.images.metadata import GAIN_MAP, parsed_exif

__all__ = ["SUFFIXES", "is_jxl", "library", "read_jxl", "write_jxl"]

SUFFIXES = frozenset({".jxl"})

_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
_BARE = b"\xff\x0a"
_LOST = {b"jhgm": GAIN_MAP, b"jumb": "the content credentials"}


def is_jxl(path: Path) -> bool:
    """Whether a file begins as one of JPEG XL does."""
    with path.open("rb") as file:
        return file.read(len(_CONTAINER)).startswith((_CONTAINER, _BARE))


def read_jxl(
    path: Path, check_size: Callable[[int, int], None]
) -> tuple[NDArray[Any], dict[str, Any]]:
    """The pixels of a file, upright, and what else it says.

    Args:
        path: the file.
        check_size: refuses a width and height before the pixels are read.

    Returns:
        H x W, or H x W x C with C 2, 3 or 4, of uint8 or uint16; and a `Frame`'s ``info``.

    Raises:
        ImageError: the file holds floats, several pictures, or channels beside the colours and a
            transparency; or as ``check_size``.
        RuntimeError: it is damaged.
        ConfigError: pyjpegxl or imagecodecs is not installed.
    """
    imagecodecs = require("imagecodecs", "jxl", "a JPEG XL file")
    content = path.read_bytes()
    about = library().probe(content)
    check_size(about.width, about.height)
    if about.bits_per_sample > 16:
        raise ImageError("it holds floats or more than 16 bits; take .exr or .tif")
    channels = about.num_color_channels + about.has_alpha
    shape = (about.height, about.width, channels)[: 3 if channels > 1 else 2]
    pixels = np.empty(shape, np.uint8 if about.bits_per_sample <= 8 else np.uint16)
    try:
        # It refuses an array of another shape before it decodes.
        imagecodecs.jpegxl_decode(content, out=pixels)
    except ValueError as error:
        raise ImageError(
            "it holds several pictures, floats, or channels beside colours and transparency"
        ) from error
    largest = 2**about.bits_per_sample - 1
    if largest != (whole := np.iinfo(pixels.dtype).max):
        pixels = np.rint(pixels * (whole / largest)).astype(pixels.dtype)
    lost = {_LOST[kind] for kind in _boxes(content) if kind in _LOST}
    info = {
        "icc_profile": about.icc,
        "xmp": about.xmp,
        "exif": _upright_exif(about.exif),
        "intensity_target": about.intensity_target,
    }
    return pixels, {"lost": lost} | {key: value for key, value in info.items() if value}


def write_jxl(
    path: Path, pixels: NDArray[Any], info: Mapping[str, Any], quality: int | None
) -> None:
    """Write a file, without loss unless a quality is given.

    Args:
        path: the file.
        pixels: H x W, or H x W x C with C 2, 3 or 4, of uint8 or uint16, upright.
        info: EXIF, XMP and the colour profile, as in a `Frame`, and the luminance of white.
        quality: 1 to 100, as the programs of libjxl have it.

    Raises:
        ConfigError: pyjpegxl is not installed.
    """
    exif, xmp = _upright_exif(info.get("exif")), info.get("xmp")
    content = library().encode_from_numpy(
        np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("=")),
        lossless=quality is None,
        quality=0.0 if quality is None else _distance(quality),
        # The file has four bytes where other formats have a word.
        exif=exif and bytes(4) + exif.removeprefix(b"Exif\0\0"),
        xmp=xmp.encode() if isinstance(xmp, str) else xmp,
        icc=info.get("icc_profile"),
        intensity_target=info.get("intensity_target"),
    )
    path.write_bytes(content)


def library() -> Any:
    """Import pyjpegxl.

    Raises:
        ConfigError: the package is not installed.
    """
    return require("pyjpegxl", "jxl", "a JPEG XL file")


def _upright_exif(exif: bytes | None) -> bytes | None:
    """EXIF without an orientation, by which readers of JPEG XL do not go."""
    if exif and not exif.startswith(b"Exif\0\0") and exif[:2] not in (b"II", b"MM"):
        exif = exif[4 + int.from_bytes(exif[:4], "big") :]
    parsed = parsed_exif(exif)
    if not parsed:
        return None
    parsed.pop(ExifTags.Base.Orientation, None)
    return parsed.tobytes()


def _distance(quality: int) -> float:
    """The distance of Butteraugli for a quality, as libjxl's ``cjxl`` has it."""
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25


def _boxes(content: bytes) -> Iterator[bytes]:
    """The kinds of the boxes of a container."""
    start = 0
    while content.startswith(_CONTAINER) and start + 16 <= len(content):
        size, kind = (
            int.from_bytes(content[start : start + 4], "big"),
            content[start + 4 : start + 8],
        )
        yield kind
        if size == 1:
            size = int.from_bytes(content[start + 8 : start + 16], "big")
        start += size if size >= 8 else len(content)
