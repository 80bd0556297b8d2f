"""OpenEXR files: floats in linear light, with any other channels beside the colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.errors import ImageError, require

__all__ = ["SUFFIXES", "is_exr", "library", "other_channels", "read_exr", "write_exr"]

SUFFIXES = frozenset({".exr"})

_MAGIC = b"\x76\x2f\x31\x01"
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
        ImageError: the file has several parts, or no channels R, G and B, or Y, of floats of one
            type; it is damaged; or as ``check_size``.
        ConfigError: OpenEXR is not installed.
    """
    header = _read(path, header_only=True)[0]
    least, most = header["dataWindow"]
    width, height = (int(last) - int(first) + 1 for first, last in zip(least, most, strict=True))
    check_size(width, height)
    header, channels = _read(path)
    names = next((names for names in (_COLOURS, _GREY) if {*names} <= channels.keys()), None)
    if names is None or (names == _GREY and {"RY", "BY"} & channels.keys()):
        raise ImageError(f"its channels are {', '.join(channels)}; take R, G and B, or Y alone")
    planes = [channels.pop(name).pixels for name in names]
    types = {plane.dtype for plane in planes}
    if len(types) > 1 or planes[0].dtype not in (np.float16, np.float32):
        raise ImageError(f"its colours are of {' and '.join(map(str, types))}; take one of floats")
    if {plane.shape for plane in planes} != {(height, width)}:
        raise ImageError("its colours have fewer pixels than its header says")
    pixels = planes[0] if names == _GREY else np.stack(planes, axis=-1)
    return pixels, {"exr": (header, channels)}


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


def _read(path: Path, header_only: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the channels of the only part of a file."""
    exr = library()
    # The package prints what is wrong with a file, and may have read nothing then.
    with (
        redirect_stdout(StringIO()) as said,
        exr.File(str(path), separate_channels=True, header_only=header_only) as file,
    ):
        if len(file.parts) > 1:
            raise ImageError(f"it has {len(file.parts)} parts; take a file of one")
        if "Warning" in said.getvalue() or not file.parts:
            raise ImageError(f"the file is damaged: {said.getvalue().replace('Warning:', '')}")
        return dict(file.header()), dict(file.channels())
