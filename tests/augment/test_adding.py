from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from danet import NoiseGenerator
from danet.augment import add_noise, check_settings, noise_source
from danet.errors import ConfigError, WeightsError
from danet.networks import build
from danet.noise import WhiteGaussian

WHITE = WhiteGaussian(0.02)


def pictures() -> list[Any]:
    """One of each kind, away from black and white."""
    array = np.random.default_rng(0).integers(100, 150, (20, 30, 3), np.uint8)
    tensor = torch.from_numpy(array).movedim(-1, 0)
    return [
        Image.fromarray(array),
        array,
        array[..., 0],
        (array / 255).astype(np.float32),
        tensor,
        tensor[:1] / 255,
        torch.stack([tensor / 255] * 3),
    ]


def values(picture: Any) -> Tensor:
    """Its values on the scale of [0, 1]."""
    tensor = torch.as_tensor(np.asarray(picture).copy())
    return tensor.double() / (255 if tensor.dtype == torch.uint8 else 1)


NUMBER = len(pictures())


@pytest.mark.parametrize("index", range(NUMBER))
def test_the_kind_of_a_picture_stays(index: int) -> None:
    clean = pictures()[index]
    noisy = add_noise(clean, WHITE, seed=1)
    assert type(noisy) is type(clean)
    assert values(noisy).shape == values(clean).shape
    assert np.asarray(noisy).dtype == np.asarray(clean).dtype
    assert not torch.equal(values(noisy), values(clean))


@pytest.mark.parametrize("index", range(NUMBER))
def test_strength_0_adds_nothing(index: int) -> None:
    clean = pictures()[index]
    assert torch.equal(values(add_noise(clean, WHITE, seed=1, strength=0)), values(clean))


@pytest.mark.parametrize("index", range(NUMBER))
def test_strength_2_doubles_the_noise(index: int) -> None:
    clean = pictures()[index]
    once, twice = (
        values(add_noise(clean, WHITE, seed=1, strength=strength)) - values(clean)
        for strength in (1, 2)
    )
    rounding = 1.5 / 255 if np.asarray(clean).dtype == np.uint8 else 0
    assert once.abs().max() > 0.02
    torch.testing.assert_close(twice, 2 * once, rtol=1e-4, atol=max(rounding, 1e-6))


def test_strength_1_is_what_the_source_makes() -> None:
    generator = NoiseGenerator(build("generator", "unet", width=2))
    for source in (generator, WHITE):
        clean = torch.rand(2, 3, 20, 30)
        assert torch.equal(add_noise(clean, source, seed=3), source.sample(clean, n=1, seed=3)[0])


def test_results_are_clamped_and_rounded() -> None:
    dark = torch.full((3, 64, 64), 2, dtype=torch.uint8)
    noisy = add_noise(dark, WHITE, seed=1, strength=3)
    assert noisy.min() == 0
    assert noisy.max() > 20  # a negative value that wraps around would be near 255
    assert noisy.max() < 128
    rounded = add_noise(dark.movedim(0, -1).numpy(), WHITE, seed=1, strength=3)
    assert np.array_equal(noisy.movedim(0, -1).numpy(), rounded)


def test_pictures_of_a_batch_have_their_own_strength_and_noise() -> None:
    clean = torch.full((3, 3, 64, 64), 0.5)
    noise = add_noise(clean, WHITE, seed=1, strength=[0, 1, 2]) - clean
    deviations = noise.std(dim=(1, 2, 3))
    torch.testing.assert_close(deviations, torch.tensor([0, 0.02, 0.04]), rtol=0.05, atol=0)
    assert (noise[1].flatten() @ noise[2].flatten()).abs() < 0.1 * noise[1].norm() * noise[2].norm()


def test_the_seed_decides() -> None:
    clean = torch.rand(3, 20, 30)
    first, again, other = (add_noise(clean, WHITE, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_source_is_taken_or_loaded_on_the_cpu(tiny_weights: Path) -> None:
    assert noise_source(WHITE) is WHITE
    for name in (tiny_weights, str(tiny_weights)):
        loaded = noise_source(name)
        assert isinstance(loaded, NoiseGenerator)
        assert loaded.device == torch.device("cpu")
    with pytest.raises(WeightsError, match="attic"):
        noise_source("attic")
    with pytest.raises(ConfigError, match="GeneratorNetwork"):
        noise_source(build("generator", "unet", width=2))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("p", "strength", "match"),
    [
        (-0.1, (1, 1), "p is -0.1"),
        (1.5, (1, 1), "p is 1.5"),
        (1, (2, 1), r"strength is \(2, 1\)"),
        (1, (-1, 1), r"strength is \(-1, 1\)"),
        (1, (0, float("nan")), r"strength is \(0, nan\)"),
        (1, (1,), r"strength is \(1,\), and must be two numbers"),
        (1, 1.0, "strength is 1.0, and must be two numbers"),
        (1, "ab", "strength is 'ab', and must be two numbers"),
        (1, (1, None), r"strength is \(1, None\), and must be two numbers"),
        ("x", (1, 1), "p is 'x', and must be a number from 0 to 1"),
    ],
)
def test_settings_of_no_use(p: Any, strength: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        check_settings(p, strength, None)


def test_settings_may_be_numbers_of_numpy() -> None:
    pair: Any = np.array([0, 2])
    assert check_settings(np.float32(0.5), pair, pair / 2) == ((0, 2), (0, 1))


@pytest.mark.parametrize("level", [(2, 1), (-1, 1), 0.01, (0.01,)])
def test_levels_of_no_use(level: Any) -> None:
    with pytest.raises(ConfigError, match="level is "):
        check_settings(1, (1, 1), level)


@pytest.mark.parametrize(
    ("strength", "match"),
    [
        (-3, "strength is -3, and must be finite numbers from 0"),
        (float("nan"), "strength is nan"),
        ([1, float("inf")], r"strength is \[1, inf\]"),
        (1e300, "strength is 1e\\+300"),  # infinite in float32
        ("ab", "strength is 'ab'"),
        ([1, 2, 3], "strength has 3 values for 2 pictures"),
        ([], "strength has 0 values for 2 pictures"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_strengths_of_no_use(strength: Any, match: str, dtype: torch.dtype) -> None:
    with pytest.raises(ConfigError, match=match):
        add_noise(torch.ones(2, 3, 8, 8, dtype=dtype), WHITE, seed=1, strength=strength)


def test_a_source_may_be_named(tiny_weights: Path) -> None:
    clean = torch.rand(3, 20, 30)
    expected = add_noise(clean, noise_source(tiny_weights), seed=1)
    assert torch.equal(add_noise(clean, str(tiny_weights), seed=1), expected)
    with pytest.raises(ConfigError, match="noise is a int"):
        add_noise(clean, 3, seed=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("library", ["albumentations", "torchvision"])
def test_without_the_library_it_says_what_to_install(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"danet.augment.{library}", raising=False)
    with pytest.raises(ConfigError, match=rf"pip install 'danet\[{library}\]'"):
        importlib.import_module(f"danet.augment.{library}")


def test_a_level_is_the_sources() -> None:
    source = NoiseGenerator(build("generator", "modulated", 2, 2, levels=(0.01, 0.02, 0.03)))
    clean = np.full((24, 32, 3), 128, np.uint8)
    expected = source.sample(clean, n=1, seed=1, level=0.05)[0]
    assert np.array_equal(add_noise(clean, source, seed=1, level=0.05), expected)
    tensor = torch.from_numpy(clean).permute(2, 0, 1)
    assert torch.equal(
        add_noise(tensor, source, seed=1, level=0.05), torch.from_numpy(expected).permute(2, 0, 1)
    )
