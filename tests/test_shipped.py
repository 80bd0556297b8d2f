"""The weights that ship with the package."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from skimage import data as pictures

import danet
from danet import data, metrics, weights
from danet.noise import CameraPipeline

KINDS: tuple[weights.Kind, ...] = ("denoiser", "generator")


def picture(name: str) -> NDArray[np.uint8]:
    made: NDArray[np.uint8] = getattr(pictures, name)()
    return made


@pytest.fixture(scope="module")
def card() -> str:
    folder = weights.find("photo", "denoiser").parent
    return (folder / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=["photo", "photo-fast"])
def denoiser(request: pytest.FixtureRequest) -> danet.Denoiser:
    return danet.Denoiser(request.param)


@pytest.fixture(scope="module")
def generator() -> danet.NoiseGenerator:
    return danet.NoiseGenerator()


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_those_of_the_card(kind: weights.Kind, card: str) -> None:
    path = weights.find("photo", kind) / "model.safetensors"
    assert path.stat().st_size <= 19_000_000
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float16}


def test_the_card_says_what_must_be_known(card: str) -> None:
    for word in ("non-commercial", "PolyU", "Kodak", "seed", "hours", "AKLD", "nam25", "Gaussian"):
        assert word in card


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
@pytest.mark.parametrize("gain", [1e-3, 5e-3])
def test_noise_goes_and_the_picture_stays(denoiser: danet.Denoiser, name: str, gain: float) -> None:
    clean = picture(name)[40:296, 100:356]
    camera = CameraPipeline(shot_gain=(gain, gain), reduction=0, jpeg=0)
    noisy = camera.sample(clean, n=1, seed=1)[0]
    assert metrics.psnr(clean, denoiser(noisy)) > metrics.psnr(clean, noisy) + 3


# White noise of two levels has hardly a chance beside detail.
@pytest.mark.parametrize(("deviation", "gain"), [(2, -1.2), (5, 1), (10, 3), (25, 6)])
def test_white_noise_is_not_answered_with_nonsense(
    denoiser: danet.Denoiser, deviation: int, gain: float
) -> None:
    clean = picture("astronaut")[40:232, 100:292]
    noise = np.random.default_rng(deviation).normal(0, deviation, clean.shape)
    noisy = np.rint((clean + noise).clip(0, 255)).astype(np.uint8)
    assert metrics.psnr(clean, denoiser(noisy)) > metrics.psnr(clean, noisy) + gain


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize("name", ["photo", "photo-fast"])
def test_bfloat16_costs_a_tenth_of_a_level_where_there_is_little_noise(
    name: str, runtime: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip(runtime)
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path))
    source = torch.Generator().manual_seed(0)
    ramp = torch.linspace(0.2, 0.8, 128).expand(3, 128, 128)
    noisy = ramp + 2 / 255 * torch.randn(ramp.shape, generator=source)
    full = danet.Denoiser(name, device="cpu", runtime="torch", dtype="float32")(noisy)
    short = danet.Denoiser(name, device="cpu", runtime=runtime, dtype="bfloat16")(noisy)
    assert 255 * (full - short).square().mean().sqrt() < 0.1


def test_a_clean_picture_is_hardly_changed(denoiser: danet.Denoiser) -> None:
    clean = picture("astronaut")[:256, :256]
    assert metrics.psnr(clean, denoiser(clean)) > 41


@pytest.mark.parametrize("colour", [(0, 255, 255), (255, 0, 0), (0, 0, 0), (255, 255, 255)])
def test_a_flat_colour_is_hardly_changed(
    denoiser: danet.Denoiser, colour: tuple[int, int, int]
) -> None:
    flat = np.full((80, 96, 3), colour, np.uint8)
    change = np.abs(denoiser(flat).astype(int) - flat)
    assert change[24:-24, 24:-24].max() <= 1
    assert change.max() <= 12


def test_noise_is_made_of_the_right_strength(generator: danet.NoiseGenerator) -> None:
    clean = picture("astronaut")[:128, 128:256]
    first, second = generator.sample(clean, n=2, seed=0).astype(float)
    # Twice the variance: what the two have in common is not noise.
    deviation = np.std(first - second) / 2**0.5
    assert 1 < deviation < 12


@pytest.mark.parametrize("level", [0.005, 0.012, 0.024])
def test_noise_of_a_level_has_that_level(generator: danet.NoiseGenerator, level: float) -> None:
    found = []
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        clean = picture(name)[40:296, 100:356] / np.float32(255)
        (noisy,) = generator.stream(clean, 1, seed=0, level=level)
        found.append(metrics.noise_level(noisy, noisy - clean).channels.mean())
    assert np.mean(found) == pytest.approx(level, rel=0.25)


def pairs(data_root: Path, name: str) -> list[Any]:
    if name == "nam25":
        return data.folder_pairs(data_root / "nam25")
    return data.polyu_pairs(data_root / "polyu", "val")


@pytest.mark.parametrize("name", ["nam25", "polyu"])
def test_real_photographs(denoiser: danet.Denoiser, data_root: Path, name: str) -> None:
    part = np.s_[128:384, 128:384]
    for pair in pairs(data_root, name)[::8]:
        clean, noisy = (side[part] for side in data.read_pair(pair))
        assert metrics.psnr(clean, denoiser(noisy)) > metrics.psnr(clean, noisy), pair.noisy.name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nam25", "polyu"])
def test_the_card_has_the_figures_of_these_files(data_root: Path, card: str, name: str) -> None:
    denoiser = danet.Denoiser(dtype="bfloat16")
    scores = []
    for pair in pairs(data_root, name):
        clean, noisy = data.read_pair(pair)
        scores.append((metrics.psnr(clean, noisy), metrics.psnr(clean, denoiser(noisy))))
    before, after = np.mean(scores, axis=0)
    assert f"{before:.2f} dB" in card
    assert f"{after:.2f} dB" in card


def test_generated_noise_is_closer_than_gaussian(
    generator: danet.NoiseGenerator, data_root: Path
) -> None:
    scores = []
    # Pieces of all: how far each of the two is off differs much from scene to scene.
    for pair in pairs(data_root, "polyu"):
        clean, noisy = (side[128:384, 128:384] / 255.0 for side in data.read_pair(pair))
        noise = np.random.default_rng(0).normal(0, (noisy - clean).std(), clean.shape)
        level = float(metrics.noise_level(noisy, noisy - clean).channels.mean())
        scores.append(
            (
                metrics.akld(clean, noisy, generator.stream(clean, 1, seed=0, level=level)),
                metrics.akld(clean, noisy, [clean + noise]),
            )
        )
    ours, gaussian = np.mean(scores, axis=0)
    assert ours < gaussian
