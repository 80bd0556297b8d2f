"""Cutting a data set into crops, packed into one container."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from danet.data.container import PackedPairs, PairWriter
from danet.data.layouts import SourcePair
from danet.data.pictures import Pixels
from danet.data.screening import compare
from danet.errors import ConfigError

__all__ = ["prepare", "windows"]


def prepare(
    pairs: Sequence[SourcePair],
    folder: Path,
    *,
    crop: int = 512,
    stride: int | None = None,
    bits: Literal[8, 16] = 8,
    screen: bool = False,
) -> PackedPairs:
    """Cut pairs into crops and write them as a container; go on with one that was begun.

    A container that was interrupted and completed is, bit for bit, the one that a single call
    writes.  Shows its progress on standard error, where that is a terminal.

    Args:
        pairs: such as ``danet.data.layouts.source_pairs`` gives.
        folder: the container: new, empty, or begun from the same pairs with the same settings.
        crop: height and width of a crop, in pixels; a picture smaller than that is one crop.
        stride: from one crop to the next, in pixels, by default three quarters of a crop; the
            last one ends at the border.  Both defaults are those of the program of the "Dual
            Adversarial Network" (ECCV 2020) for SIDD and RENOIR.
        bits: of the values; pictures of other types are scaled and rounded.
        screen: leave out the crops in which `danet.data.screening` finds a fault.

    Returns:
        The container, whose ``sources`` say how many crops were left out.

    Raises:
        ConfigError: a setting is out of its range.
        DataError: the folder holds something else, or a pair cannot be had.
        ImageError: a picture cannot be read; what was done before stays.
        DanetError: a file cannot be written; what was done before stays.
    """
    stride = crop * 3 // 4 if stride is None else stride
    if crop < 2 or not 1 <= stride <= crop or bits not in (8, 16):
        raise ConfigError(
            f"crop, stride and bits are {crop}, {stride} and {bits}; crop must be at least 2, "
            "stride from 1 to crop, and bits 8 or 16"
        )
    settings = {"crop": crop, "stride": stride, "screen": screen}
    dtype: Literal["uint8", "uint16"] = "uint8" if bits == 8 else "uint16"
    writer = PairWriter(folder, [pair.name for pair in pairs], settings, dtype)
    done = len(writer.done)
    # disable=None: no bar where standard error is not a terminal.
    progress = tqdm(total=len(pairs), initial=done, unit="pair", disable=None)
    with writer.writing(), progress:
        for pair in pairs[done:]:
            clean, noisy = pair.read()
            areas = windows(clean.shape[0], clean.shape[1], crop, stride)
            cut = [(clean[area], noisy[area]) for area in areas]
            kept = [(x, y) for x, y in cut if not (screen and compare(x, y).faults())]
            crops = [(_with_bits(x, bits), _with_bits(y, bits)) for x, y in kept]
            writer.add(crops, left_out=len(cut) - len(kept))
            progress.update()
    return PackedPairs(folder)


def windows(height: int, width: int, size: int, stride: int) -> Iterator[tuple[slice, slice]]:
    """The windows that cover a picture, the last ones ending at its border.

    Example:
        >>> [rows for rows, _ in windows(1000, 512, 512, 384)]
        [slice(0, 512, None), slice(384, 896, None), slice(488, 1000, None)]
    """
    for top in _starts(height, size, stride):
        for left in _starts(width, size, stride):
            yield np.s_[top : top + size, left : left + size]


def _starts(length: int, size: int, stride: int) -> list[int]:
    last = max(length - size, 0)
    return [*range(0, last, stride), last]


def _with_bits(picture: Pixels, bits: int) -> Pixels:
    """The picture as uint8 or uint16."""
    if picture.dtype == np.uint8:
        return picture if bits == 8 else picture.astype(np.uint16) * np.uint16(257)
    return np.rint(picture / 257).astype(np.uint8) if bits == 8 else picture
