"""Reading ahead, computing and writing behind, part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from itertools import islice, repeat
from threading import Lock
from typing import Generic, TypeAlias, TypeVar

import torch
from torch import Tensor

__all__ = ["Predictor", "run_streamed", "run_tiled"]

_ItemT = TypeVar("_ItemT")
_ResultT = TypeVar("_ResultT")

Predictor: TypeAlias = AbstractContextManager[Callable[[Tensor], Tensor]]


# How many pictures each part has, and all of them.
_Loaded: TypeAlias = tuple[list[int], Tensor]

_Begun: TypeAlias = tuple[Sequence[_ItemT], Future[_Loaded]]


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
        >>> from danet.inference.tiling import cut
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


def run_streamed(
    items: Iterable[_ItemT],
    compute: Callable[[Iterator[_ItemT]], Iterable[_ResultT]],
    write: Callable[[_ResultT], None],
) -> None:
    """Compute items that come one after the other, however many, with few of them in memory.

    While one is computed, the next is read and the last result written, each in a thread.

    Args:
        items: what is read.
        compute: takes them as they come, and gives results, not always one for each.
        write: takes the results, in their order.

    Example:
        >>> written = []
        >>> run_streamed(range(3), lambda items: (item**2 for item in items), written.append)
        >>> written
        [0, 1, 4]
    """
    with ThreadPoolExecutor(max_workers=1) as reader, ThreadPoolExecutor(max_workers=1) as writer:
        behind: Future[None] | None = None
        for result in compute(_ahead(iter(items), reader)):
            if behind is not None:
                behind.result()
            behind = writer.submit(write, result)
        if behind is not None:
            behind.result()


def _ahead(items: Iterator[_ItemT], reader: ThreadPoolExecutor) -> Iterator[_ItemT]:
    """Items, of which one more is read than was asked for."""
    following = reader.submit(list, islice(items, 1))
    while item := following.result():
        following = reader.submit(list, islice(items, 1))
        yield item[0]
