"""What arrays of NumPy and tensors of PyTorch have in common, so that one code treats both.

PyTorch is not imported here: where nothing else has imported it, there are no tensors.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import TypeIs

__all__ = ["continued", "is_tensor", "library_of"]


def is_tensor(value: object) -> TypeIs[Tensor]:
    """Whether something is a tensor of PyTorch.

    Example:
        >>> import torch
        >>> is_tensor(torch.zeros(2)), is_tensor(np.zeros(2))
        (True, False)
    """
    return isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ()))


def library_of(array: Any) -> Any:
    """NumPy for an array, PyTorch for a tensor: many functions are alike in both.

    Example:
        >>> library_of(np.zeros(2)).__name__
        'numpy'
    """
    return sys.modules["torch"] if is_tensor(array) else np


def continued(array: Any, margins: Sequence[int], how: Literal["reflect", "replicate"]) -> Any:
    """Continue pictures beyond their sides.

    Args:
        array: N x C x H x W.
        margins: pixels above, below, on the left and on the right.
        how: as ``torch.nn.functional.pad`` has it.

    Example:
        >>> continued(np.array([[[[1, 2, 3]]]]), (0, 0, 2, 1), "reflect")
        array([[[[3, 2, 1, 2, 3, 2]]]])
    """
    above, below, left, right = margins
    if is_tensor(array):
        from torch.nn.functional import pad

        return pad(array, (left, right, above, below), mode=how)
    widths = ((0, 0), (0, 0), (above, below), (left, right))
    return np.pad(array, widths, mode="edge" if how == "replicate" else "reflect")
