"""How much memory a network takes."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from danet.networks import DenoiserNetwork, GeneratorNetwork

__all__ = ["bytes_per_pixel"]

# Beside the tensors that torch makes, the convolutions take room of their own.
_WORKSPACE = 1.5
_LEAST_SIDE = 16

_KNOWN: WeakKeyDictionary[nn.Module, float] = WeakKeyDictionary()


def bytes_per_pixel(network: DenoiserNetwork | GeneratorNetwork) -> float:
    """The most memory that a network takes at once while it computes in float32, per pixel.

    The network runs once on a few pixels, while every tensor that it makes is counted for as long
    as it lives; the convolutions' own room is added as a share that was measured.  The weights
    are not counted.

    Args:
        network: a denoiser or a generator.

    Returns:
        Bytes for each pixel of the input, all channels together.

    Example:
        >>> from danet.networks import build
        >>> narrow, wide = (bytes_per_pixel(build("denoiser", width=width)) for width in (2, 4))
        >>> narrow < wide < 2 * narrow
        True
    """
    if network not in _KNOWN:
        _KNOWN[network] = _measure(network)
    return _KNOWN[network]


def _measure(network: DenoiserNetwork | GeneratorNetwork) -> float:
    side = max(_LEAST_SIDE, 2 * network.size_multiple)
    training, living = network.training, _Living()
    network.eval()
    try:
        with torch.no_grad(), living:
            weight = next(network.parameters())
            network.backbone(weight.new_zeros(1, network.channels, side, side))
    finally:
        network.train(training)
    return _WORKSPACE * living.peak / side**2


class _Living(TorchDispatchMode):
    """Counts the bytes of the tensors that exist at once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._sizes: dict[StorageWeakRef, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # skipping it would import it, which takes seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self._sizes[StorageWeakRef(storage)] = storage.nbytes()
        self._sizes = {ref: size for ref, size in self._sizes.items() if not ref.expired()}
        self.peak = max(self.peak, sum(self._sizes.values()))
        return result
