"""What holds in bfloat16, which is asked for by name and computed without units for it too.

It has 8 bits: each layer errs by a part in 2^9, and a whole network by less than one in 2^6.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from danet.networks import BACKBONES, Kind, build
from danet.pretrained import Denoiser, NoiseGenerator
from danet.weights import load_network

ERROR = 2**-6


def test_denoiser_is_near_that_of_the_authors(
    golden_folder: Path, golden: Callable[[str], dict[str, Tensor]]
) -> None:
    path = golden_folder / "joint_checkpoint.pt"
    denoiser = Denoiser(path, device="cpu", border=0, dtype="bfloat16")
    values = golden("inference")
    for noisy, denoised in [("noisy", "denoised"), ("noisy_odd", "denoised_odd")]:
        expected = values[denoised].clamp(0, 1)
        limit = ERROR * float((expected - values[noisy]).abs().max())
        torch.testing.assert_close(denoiser(values[noisy]), expected, rtol=0, atol=limit)


# With a depth of 2, those of one level have no layers but the outer ones, which are in float32.
@pytest.mark.parametrize("size", [(40, 61), (200, 3), (3, 200), (1, 1)])
@pytest.mark.parametrize("backbone", sorted(BACKBONES.keys() - {"modulated"}))
def test_every_backbone_is_near_float32(backbone: str, size: tuple[int, int]) -> None:
    network = build("denoiser", backbone, 4, 2 if backbone == "unet" else 4)
    noisy = torch.rand(2, 3, *size)
    # With a border, a picture of one column or row is computed as a large one.
    exact = Denoiser(network, border=0, dtype="float32")(noisy, residual=True)
    short = Denoiser(network, border=0, dtype="bfloat16")(noisy, residual=True)
    assert 0 < (short - exact).abs().max() < ERROR * exact.abs().max()


def test_modulated_noise_is_near_float32() -> None:
    network = build("generator", "modulated", 4, 2, 3)
    clean = torch.full((2, 3, 40, 61), 0.5)
    exact, short = (
        NoiseGenerator(network, dtype=dtype).sample(clean, n=2, seed=1) - clean
        for dtype in ("float32", "bfloat16")
    )
    assert 0 < (short - exact).abs().max() < ERROR * exact.abs().max()


@pytest.mark.parametrize(("kind", "channels"), [("denoiser", 3), ("generator", 4)])
def test_a_single_column_in_the_deepest_level_is_near_float32(
    kind: Kind, channels: int, tiny_weights: Path
) -> None:
    network = load_network(tiny_weights / kind, kind)
    pixels = torch.rand(1, channels, 1024, network.size_multiple)
    with torch.no_grad():
        exact = network.backbone(pixels)
        with torch.autocast("cpu", torch.bfloat16):
            short = network.backbone(pixels)
    assert 0 < (short - exact).abs().max() < ERROR * exact.abs().max()


def test_tiles_and_pictures_together_are_near_the_whole() -> None:
    denoiser = Denoiser(build("denoiser", "unet", 4, 2), dtype="bfloat16")
    noisy = torch.rand(2, 3, 101, 83)
    whole = denoiser(noisy, residual=True)
    limit = ERROR * float(whole.abs().max())
    denoiser.engine.settings.tile = 32
    for index in range(2):
        alone = denoiser(noisy[index], residual=True)
        torch.testing.assert_close(alone, whole[index], rtol=0, atol=limit)


def test_generated_noise_is_near_float32() -> None:
    network, clean = build("generator", "unet", 4, 3), torch.rand(3, 40, 61)
    exact, short = (
        NoiseGenerator(network, dtype=dtype).sample(clean, n=2, seed=1) - clean
        for dtype in ("float32", "bfloat16")
    )
    assert 0 < (short - exact).abs().max() < ERROR * exact.abs().max()
