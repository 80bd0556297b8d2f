"""The sizes that a network takes, and how a picture is brought to one of them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["crop", "pad_to_multiple"]


def pad_to_multiple(tensor: Tensor, multiple: int) -> tuple[Tensor, tuple[int, int]]:
    """Pad at the bottom and right until height and width are multiples of a number.

    The padding is a reflection, as in the authors' program, as far as the picture reaches:
    size - 1 pixels.  What is still missing repeats the last row or column.

    Args:
        tensor: N x C x H x W, at least 1 x 1 pixel.
        multiple: what both sides shall be multiples of.

    Returns:
        The padded tensor (the same one where nothing is missing), and the height and width
        before, for `crop`.

    Example:
        >>> import torch
        >>> padded, size = pad_to_multiple(torch.rand(1, 3, 45, 70), 16)
        >>> padded.shape, crop(padded, size).shape
        (torch.Size([1, 3, 48, 80]), torch.Size([1, 3, 45, 70]))
    """
    height, width = tensor.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    mirrored_bottom, mirrored_right = min(bottom, height - 1), min(right, width - 1)
    if mirrored_bottom or mirrored_right:
        tensor = F.pad(tensor, (0, mirrored_right, 0, mirrored_bottom), mode="reflect")
    if bottom > mirrored_bottom or right > mirrored_right:
        rest = (0, right - mirrored_right, 0, bottom - mirrored_bottom)
        tensor = F.pad(tensor, rest, mode="replicate")
    return tensor, (height, width)


def crop(tensor: Tensor, size: tuple[int, int]) -> Tensor:
    """Take the top left (height, width) of an N x C x H x W tensor: a view of it."""
    height, width = size
    return tensor[..., :height, :width]
