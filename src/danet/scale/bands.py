"""Huge arrays in bands of rows, which many processes write into one file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from danet.errors import ImageError
from danet.inference.sizes import padded_length
from danet.pretrained import Denoiser

__all__ = ["WHOLE", "Band", "begin", "denoise_band", "finish"]


class Band(NamedTuple):
    """Rows of a picture, from the first to before the last; `WHOLE` for all of it."""

    first: int
    last: int


WHOLE = Band(0, 0)


def begin(source: Path, target: Path, piece: int, multiple: int = 256) -> tuple[list[Band], bool]:
    """The bands of a picture, and whether some may be written already.

    Args:
        source: the picture's file.
        target: the result's, beside which a hidden file of its size is made.
        piece: pixels; a ``.npy`` file of more is cut into bands of about so many.
        multiple: of which the bands start, such as all networks here have their phases by.

    Returns:
        `WHOLE` alone where it is not cut.

    Raises:
        ImageError: the file cannot be read.
    """
    if source.suffix.lower() != ".npy":
        return [WHOLE], False
    try:
        pixels = np.load(source, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise ImageError(f"{source}: not an array that can be read") from error
    if pixels.ndim not in (2, 3) or pixels.shape[0] * pixels.shape[1] <= piece:
        return [WHOLE], False
    height, width = pixels.shape[:2]
    rows = padded_length(max(piece // width, 1), multiple)
    hidden = _unfinished(target)
    if not (is_there := hidden.exists()):
        hidden.parent.mkdir(parents=True, exist_ok=True)
        np.lib.format.open_memmap(hidden, "w+", pixels.dtype, pixels.shape).flush()
    bands = [Band(first, min(first + rows, height)) for first in range(0, height, rows)]
    return bands, is_there


def denoise_band(denoiser: Denoiser, source: Path, target: Path, band: Band) -> None:
    """Compute some rows with what is around them, so that they are those of the whole picture."""
    pixels = np.load(source, mmap_mode="r")
    network = denoiser.engine.network
    halo = padded_length(network.halo or len(pixels), network.size_multiple)
    start = max(band.first - halo, 0)
    result = denoiser(pixels[start : band.last + halo])
    canvas = np.load(_unfinished(target), mmap_mode="r+")
    canvas[band.first : band.last] = result[band.first - start : band.last - start]
    canvas.flush()


def finish(target: Path) -> None:
    """Give the file its name, once all bands are written."""
    _unfinished(target).replace(target)


def _unfinished(target: Path) -> Path:
    return target.with_name(f".danet-{target.stem}-unfinished.npy")
