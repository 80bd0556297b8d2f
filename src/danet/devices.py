"""Where networks compute."""

from __future__ import annotations

import platform

import torch

from danet.errors import ConfigError

__all__ = ["hardware", "usable_device"]


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
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"the device {str(device)!r} cannot be used here: {reason}") from error
    return usable


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
