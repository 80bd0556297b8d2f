"""Picture files that Pillow has no mode for, or can only take as a whole.

PNG and TIFF files of more than 8 bits in several channels, and large TIFF files: imagecodecs and
tifffile, of ``danet[formats]``, read and write them.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.PngImagePlugin import getchunks

from danet.errors import ImageError, require
from danet.files import scratch_array

__all__ = [
    "BUFFER",
    "LOSSLESS",
    "SEPARATE_ALPHA",
    "all_page_info",
    "encode_png",
    "is_deep_png",
    "is_deep_tiff",
    "is_foreign_tiff",
    "is_installed",
    "is_large_tiff",
    "is_tiff",
    "library",
    "needed",
    "open_tiff",
    "page_info",
    "pixel_bytes",
    "read_page",
    "read_png",
]

# What a TIFF file can be written with again, as tifffile calls it; Pillow puts "tiff_" before some.
LOSSLESS = frozenset({"raw", "packbits", "lzw", "deflate", "adobe_deflate", "lzma", "zstd"})

_DEEP_PNG = ("LA;16B", "RGB;16B", "RGBA;16B")
_MINIMUM_IS_WHITE, _MINIMUM_IS_BLACK, _RGB, _PALETTE = 0, 1, 2, 3
_PNG_SIGNATURE, _PNG_HEAD = 8, 33  # bytes of the signature, and of it and the header chunk
_PIXEL_CHUNKS = (b"IHDR", b"tRNS", b"IDAT", b"IEND")
_SEPARATE_PLANES = 2
SEPARATE_ALPHA = 2
_NO_UNIT = 1
# Pixels of more bytes are read, held and written in parts where that can be done.
_LARGE = 2**24
BUFFER = 2**24  # bytes that are decoded or encoded ahead
_INTEGER, _FLOAT = 1, 3
_HELD_SAMPLES = {(_INTEGER, 8), (_INTEGER, 16), (_FLOAT, 16), (_FLOAT, 32), (_FLOAT, 64)}


def library(name: str) -> Any:
    """Import imagecodecs or tifffile.

    Raises:
        ConfigError: the package is not installed.
    """
    return require(name, "formats", "a picture of more than 8 bits")


def needed(pixels: NDArray[Any]) -> bool:
    """Whether Pillow has no mode for H x W (x C) pixels."""
    if pixels.ndim == 3:
        return pixels.dtype != np.uint8
    return pixels.dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.float32)


def is_deep_png(image: Image.Image) -> bool:
    """Whether Pillow would take bits away from an image that is open and not yet loaded."""
    if image.format != "PNG" or getattr(image, "n_frames", 1) > 1:
        return False
    grey = image.mode.startswith("I") and "transparency" in image.info
    return grey or any(tile[3] in _DEEP_PNG for tile in getattr(image, "tile", []))


def is_deep_tiff(image: Image.Image) -> bool:
    """Whether Pillow would misread an image of more than 8 bits, open and not yet loaded.

    Raises:
        ImageError: its values have another number of bits than those of an array.
    """
    if image.format != "TIFF":
        return False
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    bits = max(tags.get(ExifTags.Base.BitsPerSample, (1,)), default=1)
    if bits > 8 and bits not in (16, 32, 64):
        raise ImageError(f"values of {bits} bits are not supported; take 8 or 16")
    return bits > 8 and (
        tags.get(ExifTags.Base.PhotometricInterpretation) == _MINIMUM_IS_WHITE
        or tags.get(ExifTags.Base.SamplesPerPixel, 1) > 1
    )


def is_installed() -> bool:
    """Whether imagecodecs and tifffile are."""
    return all(find_spec(name) for name in ("imagecodecs", "tifffile"))


def is_large_tiff(image: Image.Image) -> bool:
    """Whether an image that is open and not yet loaded is large, and can be read in parts."""
    if image.format != "TIFF":
        return False
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    bits = set(tags.get(ExifTags.Base.BitsPerSample, (1,)))
    kinds = set(tags.get(ExifTags.Base.SampleFormat, (_INTEGER,)))
    samples = tags.get(ExifTags.Base.SamplesPerPixel, 1)
    return (
        is_installed()
        and image.width * image.height * samples * max(bits, default=1) // 8 > _LARGE
        and len(bits) == len(kinds) == 1
        and (kinds.pop(), bits.pop()) in _HELD_SAMPLES
        and tags.get(ExifTags.Base.PhotometricInterpretation) in (_MINIMUM_IS_BLACK, _RGB)
        and tags.get(ExifTags.Base.ExtraSamples, (SEPARATE_ALPHA,)) == (SEPARATE_ALPHA,)
        and image.info.get("compression", "").removeprefix("tiff_") in LOSSLESS
    )


def is_tiff(path: Path) -> bool:
    """Whether a file begins as one of TIFF does."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_foreign_tiff(path: Path) -> bool:
    """Whether a file is a BigTIFF whose numbers begin with the largest byte; Pillow fails on it."""
    with path.open("rb") as file:
        return file.read(4) == b"MM\0+"


def read_png(path: Path) -> NDArray[Any]:
    """The pixels of a PNG file, H x W x 2, 3 or 4, uint16."""
    data = path.read_bytes()
    kept, place = [data[:_PNG_SIGNATURE]], _PNG_SIGNATURE
    while place < len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        # libpng prints what is wrong with the others, and fails on some.
        if data[place + 4 : place + 8] in _PIXEL_CHUNKS:
            kept.append(data[place:end])
        place = end
    pixels: NDArray[Any] = library("imagecodecs").png_decode(b"".join(kept))
    return pixels


def encode_png(pixels: NDArray[Any], options: Mapping[str, Any]) -> bytes:
    """A PNG file of H x W x 2, 3 or 4 pixels of uint16.

    Args:
        pixels: in the byte order of the machine or another.
        options: as for Pillow's ``save``: exif, icc_profile, dpi, pnginfo.
    """
    native = np.ascontiguousarray(pixels, np.uint16)
    data: bytes = library("imagecodecs").png_encode(native, strategy=zlib.Z_RLE)
    # Pillow makes the chunks that hold all but the pixels.
    chunks = [
        len(body).to_bytes(4, "big") + name + body + check
        for name, body, check in getchunks(Image.new("RGB", (1, 1)), **options)
        if name not in (b"IHDR", b"IDAT", b"IEND")
    ]
    return b"".join([data[:_PNG_HEAD], *chunks, data[_PNG_HEAD:]])


@contextmanager
def open_tiff(path: Path) -> Iterator[Any]:
    """Open a TIFF file, and give its pages."""
    with library("tifffile").TiffFile(path) as file:
        yield file.pages


def page_info(page: Any) -> dict[str, Any]:
    """What a page says that Pillow does not tell.

    Args:
        page: a ``TiffPage`` of tifffile.

    Returns:
        ``tile``, height and width of its tiles, if it has any that can be written again, and
        ``extrasamples``, what it calls the channel beside its colours.
    """
    info: dict[str, Any] = {}
    if page.is_tiled and not (page.tilelength % 16 or page.tilewidth % 16):
        info["tile"] = page.tilelength, page.tilewidth
    if page.extrasamples:
        info["extrasamples"] = tuple(map(int, page.extrasamples))
    return info


def all_page_info(page: Any) -> dict[str, Any]:
    """The compression, colour profile and resolution of a page, as Pillow would give them.

    Args:
        page: a ``TiffPage`` of tifffile.

    Returns:
        These, and what `page_info` gives.
    """
    compression = getattr(page.compression, "name", "unknown").lower()
    info = page_info(page) | {"compression": compression.replace("none", "raw")}
    if page.iccprofile:
        info["icc_profile"] = page.iccprofile
    if "XResolution" in page.tags and page.resolutionunit != _NO_UNIT:
        info["dpi"] = page.get_resolution("inch")
    return info


def pixel_bytes(path: Path) -> int:
    """The most that the pixels of all pages of a TIFF file can take, as far as it can be told."""
    with suppress(Exception), open_tiff(path) as pages:  # Pillow reads files that tifffile does not
        # Palettes become RGBA.
        return sum(page.nbytes * (4 if page.photometric == _PALETTE else 1) for page in pages)
    return 0


def read_page(page: Any, scratch: Path | None = None) -> NDArray[Any]:
    """The pixels of a page, H x W or H x W x C.

    Args:
        page: a ``TiffPage`` of tifffile.
        scratch: a folder to write large pictures to when they are decoded; they are
            memory-mapped then.

    Raises:
        ImageError: the colours are neither grey nor RGB, there are more channels than these, or
            pixels are missing in the file.
        DanetError: there is no room for the pixels.
    """
    is_inverted = page.photometric == _MINIMUM_IS_WHITE and page.dtype.kind == "u"
    if page.photometric not in (_MINIMUM_IS_BLACK, _RGB) and not is_inverted:
        colours = getattr(page.photometric, "name", page.photometric)
        raise ImageError(f"{colours} of more than 8 bits is not supported; take grey or RGB")
    if page.samplesperpixel > 4 or page.imagedepth > 1:  # a faulty file can ask for very much
        raise ImageError(
            f"{page.samplesperpixel} channels and a depth of {page.imagedepth} are not supported; "
            "take 1 to 4 channels"
        )
    _check_segments(page)
    out: Any = None
    if scratch is not None and page.nbytes > _LARGE:
        order = np.dtype(page.parent.byteorder + page.dtype.char)
        is_plain = page.is_memmappable and order.isnative and not is_inverted
        out = "memmap" if is_plain else scratch_array(scratch, page.shape, page.dtype)
    pixels: NDArray[Any] = page.asarray(out=out, buffersize=BUFFER)
    if is_inverted:
        np.invert(pixels, out=pixels)
    return np.moveaxis(pixels, 0, -1) if page.planarconfig == _SEPARATE_PLANES else pixels


def _check_segments(page: Any) -> None:
    """Refuse a page of which strips or tiles are missing: tifffile would put zeros in their place.

    Those that have neither place nor length are empty on purpose, as GDAL leaves them.
    """
    offsets, counts = page.dataoffsets, page.databytecounts
    if page.is_contiguous:  # read from its first byte on, whatever the strips are
        if offsets[0] and (not counts or sum(counts) >= page.nbytes):
            return
        raise ImageError(f"the file is damaged: its pixels are not {page.nbytes} bytes")
    expected = math.prod(page.chunked)
    there = sum(bool(place) == bool(count) for place, count in zip(offsets, counts, strict=False))
    if there < expected:
        kind = "tiles" if page.is_tiled else "strips"
        raise ImageError(f"the file is damaged: it has {there} of {expected} {kind}")
