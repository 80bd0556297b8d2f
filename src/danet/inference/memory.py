"""How much memory a device has free."""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from danet.errors import ConfigError, one_line

if TYPE_CHECKING:
    import torch

__all__ = ["IN_TRANSIT", "SHARE", "free_memory", "give_back", "is_out_of_memory", "read_size"]

SHARE = 0.5
"""Of the memory that is free, what computing takes where nothing else is asked for."""

IN_TRANSIT = 8 * 3 * 4
"""Bytes a pixel of the parts that are read ahead, converted and written behind.

That is eight copies of three channels in float32.
"""

_UNKNOWN = 4 * 2**30
# On Apple's devices, tensors of 2^31 elements and more are joined wrongly, without a word
# (pytorch issue 189960).  In so many bytes none has as many, not even of 16 bits each.
_MOST_OF_METAL = 4 * 2**30
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


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


def free_memory(device: torch.device | None = None) -> int:
    """How many bytes a device, by default the CPU, can still give, as far as can be known.

    On Linux that is also within the limit of the process's control group.  Where a CPU does
    not say it, half of its memory, or 4 GiB.  On Apple's devices it is no more than 4 GiB, as
    very large tensors are faulty there.

    Example:
        >>> free_memory() > 0
        True
    """
    if device is not None and device.type in ("cuda", "mps"):
        return _of_accelerator(device)
    found = [free for free in (_available(), _within_control_group()) if free is not None]
    if found:
        return max(min(found), 0)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):  # Windows has no such function
        return _UNKNOWN


def _of_accelerator(device: torch.device) -> int:
    import torch

    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    free = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return max(min(free, _MOST_OF_METAL), 0)


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

    Torch has a class for it on accelerators alone, and ONNX Runtime has none; what they say tells.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("no kernel"))
        (True, False)
    """
    if isinstance(error, MemoryError):
        return True
    text = one_line(error).lower()
    return isinstance(error, RuntimeError) and any(
        words in text
        for words in (
            "out of memory",
            "can't allocate memory",
            "cannot allocate",  # what Linux says
            "failed to allocate memory",  # what ONNX Runtime says
            "not enough memory",
            "bad_alloc",
            "invalid buffer size",  # what Metal says of one tensor that is too large
        )
    )


def give_back() -> None:
    """Let go of the memory that a failed computation leaves behind."""
    import torch

    gc.collect()  # an error of another thread holds its tensors in a cycle
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
