"""How much memory a device has free, and how much a network takes."""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from danet.errors import ConfigError, one_line
from danet.networks import DenoiserNetwork, GeneratorNetwork

__all__ = ["bytes_per_pixel", "free_memory", "give_back", "is_out_of_memory", "read_size"]

# Beside the tensors that torch makes, the convolutions take room of their own.
_WORKSPACE = 1.5
_UNKNOWN = 4 * 2**30
# On Apple's devices, tensors of 2^31 elements and more are joined wrongly, without a word
# (pytorch issue 189960).  In so many bytes none has as many, not even of 16 bits each.
_MOST_OF_METAL = 4 * 2**30
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_LEAST_SIDE = 16


def read_size(text: str) -> int:
    """A number of bytes from words: a number, and K, M, G or T for powers of 1024.

    Raises:
        ConfigError: the text is no such number, or the number is not positive.

    Example:
        >>> read_size("1.5G"), read_size("800 MB"), read_size("4096")
        (1610612736, 838860800, 4096)
    """
    word = text.strip().upper().removesuffix("B").removesuffix("I")
    unit = word[-1:] if word[-1:] in _UNITS else ""
    with suppress(ValueError, OverflowError):
        size = int(float(word.removesuffix(unit)) * _UNITS[unit])
        if size > 0:
            return size
    raise ConfigError(f"{text!r} is no size of memory; write 800M or 2G, say")


def free_memory(device: torch.device) -> int:
    """How many bytes a device can still give, as far as can be known.

    On Linux that is also within the limit of the process's control group.  Where a CPU does
    not say it, half of its memory, or 4 GiB.  On Apple's devices it is no more than 4 GiB, as
    very large tensors are faulty there.

    Example:
        >>> free_memory(torch.device("cpu")) > 0
        True
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
        return max(min(free, _MOST_OF_METAL), 0)
    found = [free for free in (_available(), _within_control_group()) if free is not None]
    if found:
        return max(min(found), 0)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):  # Windows has no such function
        return _UNKNOWN


def _available() -> int | None:
    """What the kernel says is available."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAv")).split()[1])
    return None


def _within_control_group() -> int | None:
    """What a container's limit leaves, where there is one."""
    with suppress(OSError, ValueError):  # "max" is no number: there is no limit
        folder = Path("/sys/fs/cgroup")
        limit, used = (
            int((folder / name).read_text(encoding="ascii"))
            for name in ("memory.max", "memory.current")
        )
        statistics = (folder / "memory.stat").read_text(encoding="ascii").split()
        # Pages of files count as used, but are given back when they are needed.
        return limit - used + int(statistics[statistics.index("inactive_file") + 1])
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was lacking.

    Torch has a class for it on accelerators alone; on a CPU it raises a plain RuntimeError.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("no kernel"))
        (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = one_line(error).lower()
    return isinstance(error, RuntimeError) and any(
        words in text
        for words in (
            "out of memory",
            "can't allocate memory",
            "cannot allocate",  # what Linux says
            "not enough memory",
            "bad_alloc",
            "invalid buffer size",  # what Metal says of one tensor that is too large
        )
    )


def give_back() -> None:
    """Let go of the memory that a failed computation leaves behind."""
    gc.collect()  # an error of another thread holds its tensors in a cycle
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


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
