"""The sizes that a network takes, and how a picture is brought to one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from numpy.typing import NDArray

from danet.arrays import continued

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BORDER", "Margins", "crop", "margins", "pad", "padded_length"]

BORDER = 16
"""By how many pixels a picture is mirrored beyond each side, where nothing else is asked for."""

Margins: TypeAlias = tuple[int, int, int, int]
"""Pixels above, below, on the left and on the right."""

_ArrayT = TypeVar("_ArrayT", NDArray[Any], "Tensor")


def padded_length(length: int, multiple: int, border: int = 0) -> int:
    """Height or width of a picture with a border on both sides, rounded up to a multiple.

    Example:
        >>> padded_length(45, 16), padded_length(45, 16, border=16)
        (48, 80)
    """
    whole = length + 2 * border
    return whole + -whole % multiple


def margins(size: Sequence[int], multiple: int, border: int = 0) -> Margins:
    """What a picture of some height and width lacks for a network.

    Args:
        size: height and width.
        multiple: what both shall be multiples of; the pixels for it are below and on the right.
        border: pixels on each side beside those.

    Example:
        >>> margins((45, 70), 16), margins((45, 70), 16, border=16)
        ((0, 3, 0, 10), (16, 19, 16, 26))
    """
    below, right = (padded_length(length, multiple, border) - length - border for length in size)
    return border, below, border, right


def pad(tensor: _ArrayT, missing: Margins) -> _ArrayT:
    """Continue a picture beyond its sides.

    The pixels are a reflection, as in the authors' program, as far as the picture reaches:
    size - 1 pixels.  What is still missing repeats the last row or column.

    Args:
        tensor: N x C x H x W, at least 1 x 1 pixel; or an array of that shape.
        missing: how far to continue it.

    Returns:
        N x C x H' x W', with the picture where `crop` finds it.

    Example:
        >>> import torch
        >>> picture = torch.rand(1, 3, 45, 70)
        >>> missing = margins((45, 70), 16)
        >>> padded = pad(picture, missing)
        >>> padded.shape, torch.equal(crop(padded, missing), picture)
        (torch.Size([1, 3, 48, 80]), True)
    """
    height, width = tensor.shape[-2:]
    reach = (height - 1, height - 1, width - 1, width - 1)
    mirrored = [min(pixels, most) for pixels, most in zip(missing, reach, strict=True)]
    if any(mirrored):
        tensor = continued(tensor, mirrored, "reflect")
    rest = [pixels - done for pixels, done in zip(missing, mirrored, strict=True)]
    return continued(tensor, rest, "replicate") if any(rest) else tensor


def crop(tensor: _ArrayT, missing: Margins) -> _ArrayT:
    """Take the picture out of what `pad` gave: a view of it."""
    height, width = tensor.shape[-2:]
    above, below, left, right = missing
    return tensor[..., above : height - below, left : width - right]
