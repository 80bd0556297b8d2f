from pathlib import Path

import pytest
import torch

from danet import devices

# Taken before the tests run, as then "auto" is float32.
from danet.devices import _has_bfloat16, fast_dtype, usable_devices
from danet.errors import ConfigError


@pytest.mark.parametrize(
    ("count", "found"),
    [(0, ["cpu"]), (1, ["cuda:0"]), (3, ["cuda:0", "cuda:1", "cuda:2"])],
)
def test_all_are_the_cuda_devices_or_the_automatic_one(
    count: int, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(
        devices, "usable_device", lambda name: torch.device("cpu" if name == "auto" else name)
    )
    assert usable_devices("auto", "all") == [torch.device(name) for name in found]


@pytest.mark.parametrize("given", ["cpu, cpu", ["cpu", "cpu"], ("cpu", torch.device("cpu"))])
def test_devices_are_named_in_any_form(given: str | list[str]) -> None:
    assert usable_devices("auto", given) == [torch.device("cpu")] * 2


def test_one_device_is_one() -> None:
    assert usable_devices("cpu", None) == [torch.device("cpu")]


@pytest.mark.parametrize(
    ("device", "given", "message"),
    [
        ("cpu", "cpu,cpu", "device is 'cpu', and devices are given too"),
        ("auto", [], "devices is empty, and must name at least one"),
        ("auto", "", "device '' cannot be used here"),
        ("auto", "cpu,,cpu", "device '' cannot be used here"),
        ("auto", ["abacus"], "device 'abacus' cannot be used here"),
    ],
)
def test_devices_that_cannot_be_are_named(
    device: str, given: str | list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        usable_devices(device, given)


FLAGS = [
    ("avx512_bf16", torch.bfloat16),
    ("amx_bf16", torch.bfloat16),
    ("avx512_f", torch.float32),
]


@pytest.mark.parametrize(("flag", "expected"), FLAGS)
@pytest.mark.parametrize("has", [True, False])
def test_the_automatic_type_follows_the_processor(
    flag: str, expected: torch.dtype, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_has_bfloat16", _has_bfloat16)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {flag: has}, raising=False)
    assert fast_dtype(torch.device("cpu")) == (expected if has else torch.float32)


@pytest.mark.parametrize(("flag", "expected"), FLAGS)
def test_the_automatic_type_follows_the_processor_of_older_pytorch(
    flag: str, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(devices, "_has_bfloat16", _has_bfloat16)
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(devices, "Path", lambda _: tmp_path / "cpuinfo")
    assert fast_dtype(torch.device("cpu")) == torch.float32
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: fpu {flag} sse\n", encoding="utf-8")
    assert fast_dtype(torch.device("cpu")) == expected
