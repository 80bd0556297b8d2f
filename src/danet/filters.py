"""Small smoothing filters, those of 5 and 7 taps the paper's; and lines between numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

__all__ = ["TAPS_3", "TAPS_5", "TAPS_7", "between", "smooth"]

TAPS_3 = (1 / 4, 2 / 4, 1 / 4)
TAPS_5 = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
TAPS_7 = (1 / 32, 3.5 / 32, 7 / 32, 9 / 32, 7 / 32, 3.5 / 32, 1 / 32)


def smooth(images: Tensor, taps: Sequence[float]) -> Tensor:
    """Filter each channel by the outer product of ``taps`` with itself, reflecting at the border.

    Args:
        images: N x C x H x W, H and W larger than half the number of taps.
        taps: an odd number of weights, such as ``TAPS_5``.

    Returns:
        A tensor of the same shape.

    Example:
        >>> import torch
        >>> smooth(torch.ones(1, 3, 8, 8), TAPS_5).mean().item()
        1.0
    """
    radius = len(taps) // 2
    padded = F.pad(images, (radius,) * 4, mode="reflect")
    if not images.requires_grad:
        # Sums of shifted views, one direction after the other: on a CPU twice as fast as the
        # convolution, whose backward pass is the faster one.
        for dim, size in ((2, images.shape[2]), (3, images.shape[3])):
            total = padded.narrow(dim, 0, size) * taps[0]
            for shift, tap in enumerate(taps[1:], start=1):
                total.add_(padded.narrow(dim, shift, size), alpha=tap)
            padded = total
        return padded
    channels = images.shape[1]
    row = images.new_tensor(taps)
    kernel = (row[:, None] * row).expand(channels, 1, -1, -1)
    return F.conv2d(padded, kernel, groups=channels)


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
