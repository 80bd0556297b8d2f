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
from danet.sizes import crop, pad_to_multiple

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
# How many pictures each part has, and their height and width; then all of them, padded.
_Loaded: TypeAlias = tuple[list[tuple[int, Size]], Tensor]
_Begun: TypeAlias = tuple[Sequence[_ItemT], Future[_Loaded]]


@dataclass(frozen=True)
class Tile:
    """A part of a picture, in pixels from its top left.

    Attributes:
        window: the rows and columns to read.
        core: those, within the window, whose result is to be kept.
    """

    window: tuple[slice, slice]
    core: tuple[slice, slice]

    @property
    def inner(self) -> tuple[slice, slice]:
        """The core, counted from the window's top left."""
        rows, columns = (
            slice(core.start - window.start, core.stop - window.start)
            for core, window in zip(self.core, self.window, strict=True)
        )
        return rows, columns


def check_tile(tile: int, multiple: int) -> None:
    """Refuse a tile that is smaller than ``multiple``.

    Raises:
        ConfigError: it is.
    """
    if tile < max(multiple, 1):
        raise ConfigError(f"tile is {tile}, and must be at least {max(multiple, 1)} pixels")


def cut(size: Size, window: Size, *, halo: int, multiple: int) -> list[Tile]:
    """Cut a picture into tiles whose windows, padded to ``multiple``, all have one shape.

    A network gives in each core what it gives there for the whole picture when the halo is at least
    the farthest that an input pixel outside changes an output pixel inside.

    Args:
        size: height and width of the picture.
        window: height and width of the windows, multiples of ``multiple``, as `choose_window` and
            `window_of` give them.
        halo: pixels around a core, a multiple of ``multiple``; none at the picture's borders.
        multiple: windows start at multiples of this, so that a network with strides sees each
            pixel in the same phase as in the whole picture.

    Returns:
        The tiles, row by row.  The cores cover each pixel once.

    Example:
        >>> [tile.window for tile in cut((40, 90), (48, 64), halo=16, multiple=16)]
        [(slice(0, 40, None), slice(0, 64, None)), (slice(0, 40, None), slice(32, 90, None))]
    """
    rows, columns = (
        _spans(length, side, halo, multiple) for length, side in zip(size, window, strict=True)
    )
    return [
        Tile((row_window, column_window), (row_core, column_core))
        for row_window, row_core in rows
        for column_window, column_core in columns
    ]


def _spans(length: int, window: int, halo: int, multiple: int) -> list[tuple[slice, slice]]:
    """Windows and cores along one axis."""
    padded = _up(length, multiple)
    if window >= padded:
        return [(slice(0, length), slice(0, length))]
    step = window - 2 * halo
    # The last one is moved back to end at the border: all of them are of one length.
    starts = [min(n * step, padded - window) for n in range(-(-(padded - 2 * halo) // step))]
    cuts = [0, *(start + halo for start in starts[1:]), length]
    return [
        (slice(start, min(start + window, length)), slice(first, last))
        for start, first, last in zip(starts, cuts, cuts[1:], strict=False)
    ]


def window_of(size: Size, tile: int, *, halo: int, multiple: int) -> Size:
    """The window of square tiles of a given side, rounded down to ``multiple``."""
    core = max(tile - tile % multiple, _least_core(halo, multiple))
    height, width = (min(_up(length, multiple), core + 2 * halo) for length in size)
    return height, width


def smallest_window(size: Size, *, halo: int, multiple: int) -> Size:
    """The smallest window that a picture can be cut into."""
    return window_of(size, multiple, halo=halo, multiple=multiple)


def choose_window(
    size: Size, *, halo: int, multiple: int, limit: float, pictures: int = 1, devices: int = 1
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
    height, width = (_up(length, multiple) for length in size)
    best = smallest_window(size, halo=halo, multiple=multiple)
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
    return length if count == 1 else _up(-(-(length - 2 * halo) // count), multiple) + 2 * halo


def _least_core(halo: int, multiple: int) -> int:
    # Two multiples in a window at least: what is padded is then a reflection within it.
    return max(multiple, 2 * multiple - 2 * halo)


def _up(length: int, multiple: int) -> int:
    return length + -length % multiple


def run_tiled(
    items: Sequence[_ItemT],
    read: Callable[[_ItemT], Tensor],
    predictors: Sequence[Predictor],
    write: Callable[[_ItemT, Tensor], None],
    *,
    multiple: int,
    batch: int = 1,
) -> None:
    """Apply a function to parts of pictures, several at once.

    While one batch is computed, the next is read and the last written, in another thread: parts
    are read in the order of the items, and written as they are done.

    Args:
        items: what ``read`` and ``write`` know the parts by, such as a `Tile`.
        read: gives N x C x H x W, of one C, H and W for all items once padded to ``multiple``.
        predictors: each gives, when it is entered, a function that takes N x C x h x w of one
            or several items, padded as `pad_to_multiple` does, and gives N x C' x h x w.  Where
            there are several, each is entered in a thread of its own, and takes the next batch
            as soon as it has done one.
        write: takes an item and its N x C' x H x W.
        multiple: what the functions need height and width to be multiples of.
        batch: how many items are joined, at most.

    Example:
        >>> from contextlib import nullcontext
        >>> picture, doubled = torch.rand(1, 3, 45, 70), torch.empty(1, 3, 45, 70)
        >>> def write(tile, result):
        ...     doubled[..., tile.core[0], tile.core[1]] = result[..., tile.inner[0], tile.inner[1]]
        >>> run_tiled(
        ...     cut((45, 70), (48, 48), halo=16, multiple=16),
        ...     lambda tile: picture[..., tile.window[0], tile.window[1]],
        ...     [nullcontext(lambda x: 2 * x)],
        ...     write,
        ...     multiple=16,
        ... )
        >>> torch.equal(doubled, 2 * picture)
        True
    """
    groups = [items[start : start + batch] for start in range(0, len(items), batch)]

    def load(group: Sequence[_ItemT]) -> _Loaded:
        padded = [pad_to_multiple(read(item), multiple) for item in group]
        tensors = [tensor for tensor, _ in padded]
        sizes = [(len(tensor), size) for tensor, size in padded]
        return sizes, tensors[0] if len(tensors) == 1 else torch.cat(tensors)

    def store(group: Sequence[_ItemT], sizes: list[tuple[int, Size]], results: Tensor) -> None:
        parts = results.split([count for count, _ in sizes])
        for item, (_, size), result in zip(group, sizes, parts, strict=True):
            write(item, crop(result, size))

    if len(groups) == 1:  # in this thread: gradients are switched on and off for each
        sizes, pixels = load(groups[0])
        with predictors[0] as predict:
            results = predict(pixels)
        store(groups[0], sizes, results)
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
        store: Callable[[Sequence[_ItemT], list[tuple[int, Size]], Tensor], None],
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
                sizes, pixels = ahead.result()
                begun = self.begin()
                results = predict(pixels)
                if behind is not None:
                    behind.result()
                behind = self._worker.submit(self._store, group, sizes, results)
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
