"""Many pictures of any sizes, those of one size together.

Nothing here knows a network: pictures go in, and a function that treats some of one size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from danet.errors import ImageError
from danet.images import ImageForm, Picture, from_tensor, to_tensor

__all__ = ["in_batches"]

# Pictures are taken in until they have this many pixels, to find some of equal size, and as
# many as have this many are treated at once.
_WINDOW_PIXELS = 2**24
_BATCH_PIXELS = 2**20


def in_batches(
    pictures: Iterable[Picture], treat: Callable[[Tensor], Tensor], batch_size: int
) -> Iterator[Picture]:
    """Treat pictures, those of one size together, and give them in their order.

    Args:
        pictures: as for `danet.images.to_tensor`; they are taken as they are needed.
        treat: takes and gives N x 3 x H x W.
        batch_size: the most pictures that are treated at once; large ones are fewer.

    Yields:
        Pictures of the kinds and sizes of those that were given.

    Raises:
        ImageError: a picture cannot be taken; its number, from 0, is in the message.

    Example:
        >>> pictures = [torch.rand(3, 45, 70), torch.rand(1, 20, 30)]
        >>> [tuple(result.shape) for result in in_batches(pictures, torch.sqrt, 8)]
        [(3, 45, 70), (1, 20, 30)]
    """
    taken = _taken(pictures)
    while window := list(_window(taken)):
        groups: dict[Any, list[int]] = {}
        for index, (pixels, _) in enumerate(window):
            key = pixels.shape, pixels.device, pixels.requires_grad
            groups.setdefault(key, []).append(index)
        results: dict[int, Tensor] = {}
        for (shape, *_), indices in groups.items():
            most = max(1, min(batch_size, _BATCH_PIXELS // (shape[0] * shape[2] * shape[3])))
            for start in range(0, len(indices), most):
                chosen = indices[start : start + most]
                batch = treat(torch.cat([window[index][0] for index in chosen]))
                results.update(zip(chosen, batch.split(shape[0]), strict=True))
        for index, (_, form) in enumerate(window):
            yield from_tensor(results.pop(index), form)


def _taken(pictures: Iterable[Picture]) -> Iterator[tuple[Tensor, ImageForm]]:
    for number, picture in enumerate(pictures):
        try:
            taken = to_tensor(picture)
        except ImageError as error:
            raise ImageError(f"picture {number}: {error}") from error
        yield taken


def _window(taken: Iterator[tuple[Tensor, ImageForm]]) -> Iterator[tuple[Tensor, ImageForm]]:
    """The next pictures, until they have enough pixels."""
    count = 0
    for pixels, form in taken:
        yield pixels, form
        count += pixels[:, 0].numel()
        if count >= _WINDOW_PIXELS:
            return
