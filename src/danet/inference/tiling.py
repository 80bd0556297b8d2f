"""Large pictures, tile by tile.

Nothing here knows a network or a kind of picture: only sizes, and functions that read a part, treat
it and write it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from danet.errors import ConfigError
from danet.inference.sizes import Margins, padded_length

__all__ = ["Tile", "check_tile", "choose_window", "cut", "smallest_window", "window_of"]

Size: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """A part of a picture, in pixels from its top left.

    Attributes:
        window: the rows and columns to compute, which may reach beyond the picture.
        seen: those of them that the picture has.
        core: those, within what is seen, whose result is to be kept.
    """

    window: tuple[slice, slice]
    seen: tuple[slice, slice]
    core: tuple[slice, slice]

    @property
    def beyond(self) -> Margins:
        """How far the window reaches beyond the picture, for `pad` and `crop` of sizes."""
        (above, below), (left, right) = (
            (seen.start - window.start, window.stop - seen.stop)
            for seen, window in zip(self.seen, self.window, strict=True)
        )
        return above, below, left, right

    @property
    def inner(self) -> tuple[slice, slice]:
        """The core, counted from the top left of what is seen."""
        rows, columns = (
            slice(core.start - seen.start, core.stop - seen.start)
            for core, seen in zip(self.core, self.seen, strict=True)
        )
        return rows, columns


def check_tile(tile: int, multiple: int) -> None:
    """Refuse a tile that is smaller than ``multiple``.

    Raises:
        ConfigError: ``tile`` is below ``multiple``.
    """
    if tile < max(multiple, 1):
        raise ConfigError(f"tile is {tile}, and must be at least {max(multiple, 1)} pixels")


def cut(size: Size, window: Size, *, halo: int, multiple: int, border: int = 0) -> list[Tile]:
    """Cut a picture into tiles whose windows all have one shape.

    A network gives in each core what it gives there for the whole picture when the halo is at least
    the farthest that an input pixel outside changes an output pixel inside.

    Args:
        size: height and width of the picture.
        window: height and width of the windows, multiples of ``multiple``, as `choose_window` and
            `window_of` give them.
        halo: pixels around a core, a multiple of ``multiple``; the windows reach no farther than
            the padded picture.
        multiple: windows start at multiples of this from the first, so that a network with
            strides sees each pixel in the same phase as in the whole picture.
        border: how far the windows reach beyond each side of the picture.  Below and on the right
            they reach farther to a multiple, as `danet.inference.sizes.margins` says.

    Returns:
        The tiles, row by row.  The cores cover each pixel of the picture once.

    Example:
        >>> tiles = cut((40, 90), (48, 64), halo=16, multiple=16)
        >>> [tile.window for tile in tiles]
        [(slice(0, 48, None), slice(0, 64, None)), (slice(0, 48, None), slice(32, 96, None))]
        >>> [tile.beyond for tile in tiles]
        [(0, 8, 0, 0), (0, 8, 0, 6)]
    """
    rows, columns = (
        _spans(length, side, halo, multiple, border)
        for length, side in zip(size, window, strict=True)
    )
    return [
        Tile(*zip(of_rows, of_columns, strict=True)) for of_rows in rows for of_columns in columns
    ]


def _spans(
    length: int, window: int, halo: int, multiple: int, border: int
) -> list[tuple[slice, slice, slice]]:
    """Windows, what they see, and cores along one axis."""
    padded = padded_length(length, multiple, border)
    step = window - 2 * halo
    # The last one is moved back to end with the picture: all of them are of one length.
    starts = [min(n * step, padded - window) - border for n in range(_count(padded, window, halo))]
    cuts = [0, *(start + halo for start in starts[1:]), length]
    return [
        (
            slice(start, start + window),
            slice(max(start, 0), min(start + window, length)),
            slice(first, last),
        )
        for start, first, last in zip(starts, cuts, cuts[1:], strict=False)
    ]


def window_of(size: Size, tile: int, *, halo: int, multiple: int, border: int = 0) -> Size:
    """The window of square tiles of a given side, rounded down to ``multiple``."""
    core = max(tile - tile % multiple, _least_core(halo, multiple, border))
    height, width = (
        min(padded_length(length, multiple, border), core + 2 * halo) for length in size
    )
    return height, width


def smallest_window(size: Size, *, halo: int, multiple: int, border: int = 0) -> Size:
    """The smallest window that a picture can be cut into."""
    return window_of(size, multiple, halo=halo, multiple=multiple, border=border)


def choose_window(
    size: Size,
    *,
    halo: int,
    multiple: int,
    border: int = 0,
    limit: float,
    pictures: int = 1,
    devices: int = 1,
) -> Size:
    """The window that costs the least time among those of at most ``limit`` pixels.

    Time is counted as the pixels of all windows that the busiest device computes.  For one
    device that is the whole picture if it can be, else full-width or full-height strips, or
    rectangles, whichever have the fewest pixels in all windows together.  Several devices take
    more and smaller windows where that is less for each, the halos included.

    Args:
        size: height and width of the picture.
        halo: as for `cut`.
        multiple: as for `cut`.
        border: as for `cut`.
        limit: the most pixels of a window.
        pictures: how many pictures of that size are computed.
        devices: how many devices share the windows out.

    Returns:
        Height and width; those of `smallest_window` where nothing else is within the limit.

    Example:
        >>> choose_window((2048, 1024), halo=112, multiple=16, limit=2**20)
        (832, 1024)
        >>> choose_window((8192, 8192), halo=112, multiple=16, limit=2**20)
        (1024, 1024)
        >>> choose_window((2048, 1024), halo=112, multiple=16, limit=2**22, devices=2)
        (1136, 1024)
    """
    height, width = (padded_length(length, multiple, border) for length in size)
    best = smallest_window(size, halo=halo, multiple=multiple, border=border)
    least = float("inf")
    across = 0
    column = width + 1
    while column > best[1]:
        across += 1
        column = max(_even(width, across, halo, multiple), best[1])
        largest = min(int(limit // column) // multiple * multiple, height)
        if largest < best[0]:
            continue
        fewest = _count(height, largest, halo)
        # Among as many numbers of rows as there are devices, one gives all of them as much.
        for down in range(fewest, fewest + devices):
            row = max(_even(height, down, halo, multiple), best[0])
            windows = pictures * _count(height, row, halo) * _count(width, column, halo)
            cost = -(-windows // devices) * row * column
            if cost < least:
                least, chosen = cost, (row, column)
    return best if least == float("inf") else chosen


def _count(length: int, window: int, halo: int) -> int:
    """How many windows an axis takes."""
    return 1 if window >= length else -(-(length - 2 * halo) // (window - 2 * halo))


def _even(length: int, count: int, halo: int, multiple: int) -> int:
    """The window that cuts an axis into ``count`` of them."""
    core = -(-(length - 2 * halo) // count)
    return length if count == 1 else padded_length(core, multiple) + 2 * halo


def _least_core(halo: int, multiple: int, border: int) -> int:
    # What is padded is then a reflection within the window.
    return max(multiple, 2 * (border + multiple) - 2 * halo)
