"""OpenEXR files: floats in linear light, with any other channels beside the colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.errors import ImageError, require

__all__ = ["SUFFIXES", "is_exr", "library", "other_channels", "read_exr", "write_exr"]

SUFFIXES = frozenset({".exr"})

_MAGIC = b"\x76\x2f\x31\x01"
_TYPES = {0: np.uint32, 1: np.float16, 2: np.float32}  # by OpenEXR's numbers
_COLOURS = ("R", "G", "B")
_GREY = ("Y",)
# Of the pixels as they were before, or of how they were laid out.
_DROPPED = ("channels", "chunkCount", "lineOrder", "preview", "tiles", "type")
_LOSSLESS = ("NO_COMPRESSION", "RLE_COMPRESSION", "ZIPS_COMPRESSION", "PIZ_COMPRESSION")


def is_exr(path: Path) -> bool:
    """Whether a file begins as one of OpenEXR does."""
    with path.open("rb") as file:
        return file.read(4) == _MAGIC


def read_exr(
    path: Path, check_size: Callable[[int, int], None]
) -> tuple[NDArray[Any], dict[str, Any]]:
    """The colours of a file of one part, and all else that it holds.

    Args:
        path: the file.
        check_size: refuses a width and height before the pixels are read.

    Returns:
        H x W, or H x W x 3, of float16 or float32; and ``exr``, its header and its other channels,
        as `write_exr` takes them.

    Raises:
        ImageError: the file has several parts, channels of a lower resolution, or no R, G and B,
            or Y, of floats of one type; or as ``check_size``.
        OSError: it is damaged.
        ConfigError: OpenEXR is not installed.
    """
    with library().File(str(path), separate_channels=True, header_only=True) as file:
        if len(file.parts) > 1:
            raise ImageError(f"it has {len(file.parts)} parts; take a file of one")
        header = dict(file.header())
    least, most = header["dataWindow"]
    width, height = (int(last) - int(first) + 1 for first, last in zip(least, most, strict=True))
    check_size(width, height)
    channels = _channels(path, (height, width))
    names = next((names for names in (_COLOURS, _GREY) if {*names} <= channels.keys()), None)
    if names is None:
        raise ImageError(f"its channels are {', '.join(channels)}; take R, G and B, or Y")
    planes = [channels.pop(name) for name in names]
    types = {plane.dtype for plane in planes}
    if len(types) > 1 or planes[0].dtype not in (np.float16, np.float32):
        raise ImageError(f"its colours are of {' and '.join(map(str, types))}; take one of floats")
    pixels = planes[0] if names == _GREY else np.stack(planes, axis=-1)
    return pixels, {"exr": (header, channels)}


def _channels(path: Path, size: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """All channels of a file of one part, by name.

    They are read by the package's first interface: its second prints what is wrong with a file to
    standard output, and has read nothing then.
    """
    file = library().InputFile(str(path))
    try:
        described = file.header()["channels"]
        coarse = [
            name for name, one in described.items() if (one.xSampling, one.ySampling) != (1, 1)
        ]
        if coarse:
            raise ImageError(f"its channels {', '.join(coarse)} have a lower resolution")
        return {
            name: np.frombuffer(file.channel(name), _TYPES[one.type.v]).reshape(size)
            for name, one in described.items()
        }
    finally:
        file.close()


def other_channels(info: Mapping[str, Any]) -> list[str]:
    """The channels beside the colours of a file, from its `danet.images.reading.Frame.info`."""
    _, channels = info.get("exr", ({}, {}))
    return sorted(channels)


def write_exr(path: Path, pixels: NDArray[Any], info: Mapping[str, Any]) -> None:
    """Write a file of scan lines, without loss.

    Args:
        path: the file.
        pixels: H x W, or H x W x 3, of float16 or float32.
        info: what `read_exr` gives beside the pixels, for the header and the other channels.

    Raises:
        ConfigError: OpenEXR is not installed.
    """
    exr = library()
    header, others = info.get("exr", ({}, {}))
    kept = {key: value for key, value in header.items() if key not in _DROPPED}
    if getattr(kept.get("compression"), "name", None) not in _LOSSLESS:
        kept["compression"] = exr.ZIP_COMPRESSION
    names = _GREY if pixels.ndim == 2 else _COLOURS
    planes = [pixels] if pixels.ndim == 2 else list(np.moveaxis(pixels, -1, 0))
    colours = dict(zip(names, map(np.ascontiguousarray, planes), strict=True))
    kept["type"] = exr.scanlineimage
    with exr.File(kept, others | colours) as file:
        file.write(str(path))


def library() -> Any:
    """Import OpenEXR.

    Raises:
        ConfigError: the package is not installed.
    """
    return require("OpenEXR", "exr", "an OpenEXR file")
