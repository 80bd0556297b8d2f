from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from danet import Denoiser
from danet.networks import DenoiserNetwork, UNet, build

openvino = pytest.importorskip("openvino")


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path))
    return tmp_path / "danet" / "openvino"


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was converted."""
    done: list[object] = []
    convert: Callable[..., Any] = openvino.convert_model

    def noted(module: object, **settings: Any) -> Any:
        done.append(module)
        return convert(module, **settings)

    monkeypatch.setattr(openvino, "convert_model", noted)
    return done


def denoised(network: DenoiserNetwork, noisy: Tensor, dtype: str = "float32") -> Tensor:
    """By a denoiser that has converted nothing yet."""
    return Denoiser(network, device="cpu", runtime="openvino", dtype=dtype)(noisy)


def test_a_network_is_converted_once(cache: Path, conversions: list[object]) -> None:
    network, noisy = build("denoiser", "unet", 4, 2), torch.rand(3, 40, 61)
    expected = Denoiser(network, runtime="torch", dtype="float32")(noisy)
    for dtype in ("float32", "float32", "bfloat16"):
        result = denoised(network, noisy, dtype)
        torch.testing.assert_close(
            result, expected, rtol=0, atol=1e-5 if dtype == "float32" else 2e-2
        )
    assert len(conversions) == len(list(cache.iterdir())) == 1
    with torch.no_grad():
        next(network.parameters()).add_(0.1)
    assert not torch.equal(denoised(network, noisy), expected)
    assert len(conversions) == 2


@pytest.mark.parametrize("place", ["start", "graph", "weights", "end", "all"])
def test_what_is_damaged_is_made_again(cache: Path, conversions: list[object], place: str) -> None:
    network, noisy = build("denoiser", "unet", 4, 2), torch.rand(3, 40, 61)
    expected = denoised(network, noisy)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    if place == "all":
        kept.write_bytes(b"")
    else:
        first = {
            "start": 0,
            "graph": 1000,
            "weights": whole.index(b"network.bin") + 64,
            "end": len(whole) - 30,
        }[place]
        kept.write_bytes(
            whole[:first]
            + bytes(255 - byte for byte in whole[first : first + 8])
            + whole[first + 8 :]
        )
    assert torch.equal(denoised(network, noisy), expected)
    assert len(conversions) == 2
    assert torch.equal(denoised(network, noisy), expected)
    assert len(conversions) == 2


def test_no_place_to_keep_it_is_no_error(cache: Path) -> None:
    cache.parent.write_text("a file where the folder should be")
    network, noisy = build("denoiser", "unet", 4, 2), torch.rand(3, 40, 61)
    expected = Denoiser(network, runtime="torch", dtype="float32")(noisy)
    torch.testing.assert_close(denoised(network, noisy), expected, rtol=0, atol=1e-5)


def test_backbones_of_ones_own_are_not_kept(cache: Path, conversions: list[object]) -> None:
    class Mine(UNet):
        """May change while its weights stay."""

    network, noisy = DenoiserNetwork(Mine(3, width=4, depth=2)), torch.rand(3, 40, 61)
    assert torch.equal(denoised(network, noisy), denoised(network, noisy))
    assert len(conversions) == 2
    assert not cache.exists()


def test_few_are_kept(cache: Path) -> None:
    noisy = torch.rand(3, 16, 16)
    denoised(build("denoiser", "unet", 2, 2), noisy)
    (first,) = cache.iterdir()
    for _ in range(8):
        denoised(build("denoiser", "unet", 2, 2), noisy)
    assert len(list(cache.iterdir())) == 8
    assert not first.exists()
