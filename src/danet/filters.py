"""Small smoothing filters, those of 5 and 7 taps the paper's; and lines between numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

from danet.arrays import continued, is_tensor

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TAPS_3", "TAPS_5", "TAPS_7", "between", "smooth"]

TAPS_3 = (1 / 4, 2 / 4, 1 / 4)
TAPS_5 = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
TAPS_7 = (1 / 32, 3.5 / 32, 7 / 32, 9 / 32, 7 / 32, 3.5 / 32, 1 / 32)


_ArrayT = TypeVar("_ArrayT", NDArray[Any], "Tensor")


def smooth(images: _ArrayT, taps: Sequence[float]) -> _ArrayT:
    """Filter each channel by the outer product of ``taps`` with itself, reflecting at the border.

    Args:
        images: N x C x H x W, H and W larger than half the number of taps.
        taps: an odd number of weights, such as ``TAPS_5``.

    Returns:
        The same for tensors as for arrays.

    Example:
        >>> import numpy as np
        >>> smooth(np.ones((1, 3, 8, 8)), TAPS_5).mean().item()
        1.0
    """
    padded = continued(images, (len(taps) // 2,) * 4, "reflect")
    if is_tensor(images) and images.requires_grad:
        return _convolved(padded, taps)
    # Sums of shifted views, one direction after the other: on a CPU twice as fast as the
    # convolution, whose backward pass is the faster one.
    for axis, size in ((2, images.shape[2]), (3, images.shape[3])):
        views = (padded[(slice(None),) * axis + (slice(n, n + size),)] for n in range(len(taps)))
        total = next(views) * taps[0]
        for view, tap in zip(views, taps[1:], strict=True):
            if is_tensor(total):
                total.add_(view, alpha=tap)
            else:
                total += tap * view
        padded = total
    smoothed: _ArrayT = padded
    return smoothed


def _convolved(padded: Tensor, taps: Sequence[float]) -> Tensor:
    from torch.nn.functional import conv2d

    channels = padded.shape[1]
    row = padded.new_tensor(taps)
    kernel = (row[:, None] * row).expand(channels, 1, -1, -1)
    return conv2d(padded, kernel, groups=channels)


def between(values: Tensor, places: Tensor) -> Tensor:
    """Read numbers that are equally spaced from 0 to 1, in straight lines between them.

    Args:
        values: the numbers, one or more.
        places: where to read them, in [0, 1].

    Returns:
        A tensor of the shape of ``places``, which can be differentiated in it.

    Example:
        >>> import torch
        >>> between(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0.25, 1.0])).tolist()
        [1.5, 4.0]
    """
    last = len(values) - 1
    place = last * places
    below = place.detach().long().clamp(max=max(last - 1, 0))
    low, high = values[below], values[(below + 1).clamp(max=last)]
    return low + (place - below) * (high - low)
