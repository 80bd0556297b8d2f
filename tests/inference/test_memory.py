from pathlib import Path

import pytest
import torch

from danet.errors import ConfigError
from danet.inference.memory import free_memory, give_back, is_out_of_memory, read_size


def test_free_memory_is_within_the_machines() -> None:
    available = free_memory(torch.device("cpu"))
    assert available > 2**20
    lines = [line.split() for line in Path("/proc/meminfo").read_text().splitlines()]
    assert available <= next(int(line[1]) for line in lines if line[0] == "MemTotal:") * 1024


def test_lack_of_memory_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as lacking:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(lacking.value)
    with pytest.raises(RuntimeError) as other:
        torch.ones(2) @ torch.ones(3)
    assert not is_out_of_memory(other.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not is_out_of_memory(ValueError("out of memory"))
    # What Apple's devices say of all tensors together, and of one.
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 5.56 GB)"))
    assert is_out_of_memory(RuntimeError("Invalid buffer size: 19.45 GiB"))
    # What ONNX Runtime says, whose errors are RuntimeErrors too.
    assert is_out_of_memory(RuntimeError("Failed to allocate memory for requested buffer"))


@pytest.mark.parametrize(
    ("recommended", "allocated", "free"),
    [(2**30, 2**29, 2**29), (2**30, 2**31, 0), (2**36, 0, 2**32)],
)
def test_apples_devices_give_what_is_recommended_and_no_faulty_sizes(
    recommended: int, allocated: int, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: recommended)
    monkeypatch.setattr(torch.mps, "current_allocated_memory", lambda: allocated)
    assert free_memory(torch.device("mps")) == free


def test_memory_is_given_back_on_every_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    emptied = []
    for name in ("cuda", "mps"):
        monkeypatch.setattr(f"torch.{name}.empty_cache", lambda name=name: emptied.append(name))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    give_back()
    assert emptied == ["cuda", "mps"]


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("2k", 2048), ("1.5 GiB", 3 * 2**29), ("3MB", 3 * 2**20)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "0", "-1G", "1X", "nan", "inf", "two"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no size of memory"):
        read_size(text)
