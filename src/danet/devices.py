"""Where networks compute."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from danet.errors import ConfigError

__all__ = ["fast_dtype", "hardware", "usable_device", "usable_devices"]


def usable_device(device: str | torch.device) -> torch.device:
    """A device by name; "auto" is CUDA, else Apple's, else the CPU.

    Raises:
        ConfigError: there is no such device here.

    Example:
        >>> usable_device("cpu")
        device(type='cpu')
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        usable = torch.device(device)
        # Some devices, such as "meta", make tensors but give no values back.
        torch.zeros(1, device=usable).item()
    # A torch built without CUDA answers with an assertion.
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"the device {str(device)!r} cannot be used here: {reason}") from error
    return usable


def usable_devices(
    device: str | torch.device, devices: str | torch.device | Sequence[str | torch.device] | None
) -> list[torch.device]:
    """One device, or several that share the work.

    Args:
        device: as for `usable_device`; "auto" where several are named.
        devices: names or devices, or names with commas between them.  One that is named twice
            is used twice.  "all" is every CUDA device, or what "auto" is where there is none.
            None is ``device`` alone.

    Raises:
        ConfigError: one of them is not here, none is named, or ``device`` is given as well.

    Example:
        >>> usable_devices("auto", "cpu,cpu")
        [device(type='cpu'), device(type='cpu')]
    """
    if devices is None:
        return [usable_device(device)]
    if device != "auto":
        raise ConfigError(f"device is {str(device)!r}, and devices are given too; give one of them")
    if devices == "all":
        count = torch.cuda.device_count()
        devices = [f"cuda:{number}" for number in range(count)] or ["auto"]
    if isinstance(devices, torch.device):
        devices = [devices]
    names = devices.split(",") if isinstance(devices, str) else devices
    if not names:
        raise ConfigError("devices is empty, and must name at least one")
    return [usable_device(name.strip() if isinstance(name, str) else name) for name in names]


def hardware(device: torch.device) -> str:
    """A device in words, for records of results.

    Example:
        >>> "CPU" in hardware(torch.device("cpu"))
        True
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return f"{platform.machine()}, {device.type}"
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} CPU with {instructions}, {torch.get_num_threads()} threads"


def fast_dtype(device: torch.device) -> torch.dtype:
    """The type that a device computes networks fastest in.

    A short one only where there are units for it: bfloat16 on GPUs from Ampere on and on CPUs with
    AVX-512 BF16 or AMX; float16 on the GPUs with tensor cores before; else float32, and so on
    Apple's, where the short types are not tried.
    """
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if torch.version.hip or capability >= (8, 0):
            return torch.bfloat16
        return torch.float16 if capability >= (7, 0) else torch.float32
    return torch.bfloat16 if device.type == "cpu" and _has_bfloat16() else torch.float32


def _has_bfloat16() -> bool:
    if hasattr(torch.cpu, "get_capabilities"):
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    # Before PyTorch 2.11 that function is not there.
    with suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
        return "avx512_bf16" in flags or "amx_bf16" in flags
    return False
