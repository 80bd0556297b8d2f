"""One result from eight views of a picture.

Nothing here knows a network: a picture goes in, and a function that treats it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = ["self_ensemble", "views"]


def self_ensemble(image: Tensor, predict: Callable[[Tensor], Tensor]) -> Tensor:
    """The mean of what a function makes of the eight flips and rotations of a picture.

    "Seven Ways to Improve Example-Based Single Image Super Resolution" (CVPR 2016), section 3.7.
    It takes eight times as long as the function alone.

    Args:
        image: ... x H x W.
        predict: takes and gives pictures of that shape, and of H and W exchanged.

    Returns:
        The mean of the results, each turned back; of the shape of the picture.

    Example:
        >>> picture = torch.rand(1, 3, 45, 70)
        >>> torch.allclose(self_ensemble(picture, torch.sqrt), picture.sqrt())
        True
    """
    results = views(image, predict)
    total = next(results)
    for result in results:
        total = total + result
    return total / 8


def views(image: Tensor, predict: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """What a function makes of the eight flips and rotations of a picture, each turned back.

    Args:
        image: as for `self_ensemble`.
        predict: as for `self_ensemble`.

    Yields:
        Eight results of the shape of the picture, one after the other.
    """
    for turns in range(4):
        turned = torch.rot90(image, turns, (-2, -1))
        yield torch.rot90(predict(turned), -turns, (-2, -1))
        mirrored = predict(turned.flip(-1)).flip(-1)
        yield torch.rot90(mirrored, -turns, (-2, -1))
