"""Large pictures, tile by tile.

Nothing here knows a network or a kind of picture: only sizes, and functions that read a part, treat
it and write it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import repeat
from threading import Lock
from typing import Generic, TypeAlias, TypeVar

import torch
from torch import Tensor

from danet.errors import ConfigError
from danet.sizes import Margins, padded_length

__all__ = [
    "Tile",
    "check_tile",
    "choose_window",
    "cut",
    "run_tiled",
    "smallest_window",
    "window_of",
]

_ItemT = TypeVar("_ItemT")

Size: TypeAlias = tuple[int, int]
Predictor: TypeAlias = AbstractContextManager[Callable[[Tensor], Tensor]]
# How many pictures each part has, and all of them.
_Loaded: TypeAlias = tuple[list[int], Tensor]
_Begun: TypeAlias = tuple[Sequence[_ItemT], Future[_Loaded]]


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
        """How far the window reaches beyond the picture, for `danet.sizes.pad` and `crop`."""
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
        ConfigError: it is.
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
            they reach farther to a multiple, as `danet.sizes.margins` says.

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


def run_tiled(
    items: Sequence[_ItemT],
    read: Callable[[_ItemT], Tensor],
    predictors: Sequence[Predictor],
    write: Callable[[_ItemT, Tensor], None],
    *,
    batch: int = 1,
) -> None:
    """Apply a function to parts of pictures, several at once.

    While one batch is computed, the next is read and the last written, in another thread: parts
    are read in the order of the items, and written as they are done.

    Args:
        items: what ``read`` and ``write`` know the parts by, such as a `Tile`.
        read: gives N x C x H x W, of one C, H and W for all items.
        predictors: each gives, when it is entered, a function that takes N x C x H x W of one
            or several items, and gives N x C' x H x W.  Where there are several, each is entered
            in a thread of its own, and takes the next batch as soon as it has done one.
        write: takes an item and its N x C' x H x W.
        batch: how many items are joined, at most.

    Example:
        >>> from contextlib import nullcontext
        >>> picture, doubled = torch.rand(1, 3, 48, 64), torch.empty(1, 3, 48, 64)
        >>> def write(tile, result):
        ...     doubled[..., tile.core[0], tile.core[1]] = result[..., tile.inner[0], tile.inner[1]]
        >>> run_tiled(
        ...     cut((48, 64), (48, 48), halo=16, multiple=16),
        ...     lambda tile: picture[..., tile.seen[0], tile.seen[1]],
        ...     [nullcontext(lambda x: 2 * x)],
        ...     write,
        ... )
        >>> torch.equal(doubled, 2 * picture)
        True
    """
    groups = [items[start : start + batch] for start in range(0, len(items), batch)]

    def load(group: Sequence[_ItemT]) -> _Loaded:
        tensors = [read(item) for item in group]
        counts = [len(tensor) for tensor in tensors]
        return counts, tensors[0] if len(tensors) == 1 else torch.cat(tensors)

    def store(group: Sequence[_ItemT], counts: list[int], results: Tensor) -> None:
        for item, result in zip(group, results.split(counts), strict=True):
            write(item, result)

    if len(groups) == 1:  # in this thread: gradients are switched on and off for each
        counts, pixels = load(groups[0])
        with predictors[0] as predict:
            results = predict(pixels)
        store(groups[0], counts, results)
        return
    with ThreadPoolExecutor(max_workers=1) as worker:
        work = _Work(groups, load, store, worker)
        if len(predictors) == 1:
            work.do(predictors[0], work.begin())
            return
        # Each has a batch before one of them has its second read.
        first = [work.begin() for _ in predictors]
        with ThreadPoolExecutor(max_workers=len(predictors)) as threads:
            working = list(map(threads.submit, repeat(work.do), predictors, first))
            try:
                for done in as_completed(working):
                    done.result()
            finally:  # where one has failed, the others begin nothing more
                work.stop()


class _Work(Generic[_ItemT]):
    """Batches, each read and written by one worker, and computed by whoever is free."""

    def __init__(
        self,
        groups: Sequence[Sequence[_ItemT]],
        load: Callable[[Sequence[_ItemT]], _Loaded],
        store: Callable[[Sequence[_ItemT], list[int], Tensor], None],
        worker: ThreadPoolExecutor,
    ) -> None:
        self._waiting = iter(groups)
        self._load = load
        self._store = store
        self._worker = worker
        self._lock = Lock()

    def do(self, predictor: Predictor, begun: _Begun[_ItemT] | None) -> None:
        """Compute a batch, then others until none is left."""
        behind: Future[None] | None = None
        with predictor as predict:
            while begun is not None:
                group, ahead = begun
                counts, pixels = ahead.result()
                begun = self.begin()
                results = predict(pixels)
                if behind is not None:
                    behind.result()
                behind = self._worker.submit(self._store, group, counts, results)
        if behind is not None:
            behind.result()

    def begin(self) -> _Begun[_ItemT] | None:
        """Take the next batch, and have it read."""
        with self._lock:
            group = next(self._waiting, None)
            return None if group is None else (group, self._worker.submit(self._load, group))

    def stop(self) -> None:
        """Let nobody take another batch."""
        with self._lock:
            self._waiting = iter(())
