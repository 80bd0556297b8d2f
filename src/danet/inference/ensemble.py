"""One result from eight views of a picture.

Nothing here knows a network: a picture goes in, and a function that treats it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

from danet.arrays import library_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["self_ensemble", "views"]

_ArrayT = TypeVar("_ArrayT", NDArray[Any], "Tensor")


def self_ensemble(image: _ArrayT, predict: Callable[[_ArrayT], _ArrayT]) -> _ArrayT:
    """The mean of what a function makes of the eight flips and rotations of a picture.

    "Seven Ways to Improve Example-Based Single Image Super Resolution" (CVPR 2016), section 3.7.
    It takes eight times as long as the function alone.

    Args:
        image: ... x H x W, a tensor or an array.
        predict: takes and gives pictures of that shape, and of H and W exchanged.

    Returns:
        The mean of the results, each turned back; of the shape of the picture.

    Example:
        >>> import torch
        >>> picture = torch.rand(1, 3, 45, 70)
        >>> torch.allclose(self_ensemble(picture, torch.sqrt), picture.sqrt())
        True
    """
    results = views(image, predict)
    total = next(results)
    for result in results:
        total = total + result
    mean: _ArrayT = total / 8
    return mean


def views(image: _ArrayT, predict: Callable[[_ArrayT], _ArrayT]) -> Iterator[_ArrayT]:
    """What a function makes of the eight flips and rotations of a picture, each turned back.

    Args:
        image: as for `self_ensemble`.
        predict: as for `self_ensemble`.

    Yields:
        Eight results of the shape of the picture, one after the other.
    """
    library, sides = library_of(image), (-2, -1)
    for turns in range(4):
        turned = library.rot90(image, turns, sides)
        yield library.rot90(predict(turned), -turns, sides)
        mirrored = library.flip(predict(library.flip(turned, (-1,))), (-1,))
        yield library.rot90(mirrored, -turns, sides)
