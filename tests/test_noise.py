from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from danet.errors import ConfigError, ImageError
from danet.noise import CameraPipeline

# Nothing but noise in the raw file and a plain development.
PLAIN = CameraPipeline(mosaic=0, reduction=0, sharpening=0, jpeg=0)


@pytest.fixture(scope="module")
def clean() -> NDArray[np.float32]:
    """A smooth picture of many colours, away from black and white."""
    axis = np.linspace(0.2, 0.8, 96, dtype=np.float32)
    ramp = np.stack(np.meshgrid(axis, axis), axis=-1)
    return np.concatenate([ramp, 1 - ramp[..., :1]], axis=-1)


def autocorrelation(noise: NDArray[np.float32], distance: int) -> float:
    noise = noise - noise.mean(axis=(0, 1))
    product = (noise[:, distance:] * noise[:, :-distance]).mean()
    return float(product / noise.var())


def test_without_noise_only_rounding_is_left(clean: NDArray[np.float32]) -> None:
    still = replace(PLAIN, shot_gain=(1e-13, 1e-13))
    for seed in range(8):
        noisy = still.add_noise(clean, np.random.default_rng(seed))
        assert np.abs(noisy - clean).max() <= 0.51 / 255


def test_noise_grows_with_the_gain_as_its_square_root(clean: NDArray[np.float32]) -> None:
    strengths = [
        np.std(
            replace(PLAIN, shot_gain=(gain, gain)).add_noise(clean, np.random.default_rng(0))
            - clean
        )
        for gain in (4e-4, 1.6e-3)
    ]
    assert strengths[1] / strengths[0] == pytest.approx(2, rel=0.1)


def test_noise_has_mean_zero(clean: NDArray[np.float32]) -> None:
    noisy = replace(PLAIN, shot_gain=(1e-4, 1e-4)).sample(clean, n=16, seed=1)
    assert np.abs((noisy - clean).mean(axis=(0, 1, 2))).max() < 0.5 / 255


def test_mosaic_and_reduction_make_noise_coarser(clean: NDArray[np.float32]) -> None:
    gain = (1e-3, 1e-3)
    mosaicked = replace(PLAIN, shot_gain=gain, mosaic=1)
    reduced = replace(mosaicked, reduction=1, chroma_blur=(3, 3))

    def coarseness(pipeline: CameraPipeline, distance: int) -> float:
        noisy = pipeline.sample(clean, n=8, seed=0)
        return float(np.mean([autocorrelation(y - clean, distance) for y in noisy]))

    assert coarseness(replace(PLAIN, shot_gain=gain), 1) == pytest.approx(0, abs=0.05)
    assert coarseness(mosaicked, 1) > 0.2
    assert coarseness(reduced, 4) > coarseness(mosaicked, 4) + 0.1


def test_only_strong_noise_is_coarse_in_colour() -> None:
    grey = np.full((64, 64, 3), 0.5, dtype=np.float32)
    camera = CameraPipeline(reduction=1, jpeg=0, sharpening=0)
    strength, coarseness = [], []
    for noise in camera.sample(grey, n=90, seed=0) - grey:
        colour = noise[..., 0] - noise[..., 1]
        strength.append(noise.std())
        coarseness.append((colour[:, 4:] * colour[:, :-4]).mean() / colour.var())
    ranked = np.array(coarseness)[np.argsort(strength)]
    assert ranked[:30].max() < 0.2
    assert ranked[60:].max() > 0.5


def test_results_are_8_bit_pictures(clean: NDArray[np.float32]) -> None:
    for seed in range(12):
        levels = CameraPipeline().add_noise(clean, np.random.default_rng(seed)) * 255
        assert levels.dtype == np.float32
        assert levels.min() >= 0
        assert levels.max() <= 255
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)


def test_the_seed_fixes_the_noise_whatever_the_number(clean: NDArray[np.float32]) -> None:
    pipeline = CameraPipeline()
    many = pipeline.sample(clean, n=5, seed=3)
    np.testing.assert_array_equal(many[:2], pipeline.sample(clean, n=2, seed=3))
    assert not np.array_equal(many[0], many[1])
    assert not np.array_equal(many[0], pipeline.sample(clean, n=1, seed=4)[0])


def test_the_picture_is_left_as_it_is(clean: NDArray[np.float32]) -> None:
    before = clean.copy()
    CameraPipeline().sample(clean, n=3, seed=0)
    np.testing.assert_array_equal(clean, before)


def test_samples_are_8_bit_levels_whatever_the_type(clean: NDArray[np.float32]) -> None:
    levels = CameraPipeline().sample(clean.astype(np.float64), n=2, seed=0) * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
    deep = CameraPipeline().sample((clean * 65535).astype(np.uint16), n=2, seed=0)
    assert not (deep % 257).any()


@pytest.mark.parametrize(("n", "seed"), [(0, 1), (-1, None), (1, -1)])
def test_bad_number_or_seed_is_an_error_at_once(
    clean: NDArray[np.float32], n: int, seed: int | None
) -> None:
    with pytest.raises(ConfigError, match=r"n is|seed is"):
        CameraPipeline().stream(clean, n, seed)


def test_bad_picture_is_an_error_at_once(clean: NDArray[np.float32]) -> None:
    with pytest.raises(ImageError):
        CameraPipeline().stream(clean * 255)


@pytest.mark.parametrize(
    "settings",
    [
        {"shot_gain": (0, 1e-3)},
        {"shot_gain": (1e-2, 1e-3)},
        {"shot_gain": (1e-3, float("inf"))},
        {"chroma_blur": (0, 5)},
        {"chroma_blur": (float("nan"), 5)},
        {"mosaic": 1.1},
        {"reduction": -0.1},
        {"sharpening": float("nan")},
        {"jpeg": 2},
        {"jpeg_quality": (0, 90)},
        {"jpeg_quality": (60, 101)},
        {"jpeg_quality": (90, 60)},
    ],
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(ConfigError, match=f"{name} is"):
        CameraPipeline(**settings)


def test_a_tensor_gives_a_tensor() -> None:
    noisy = CameraPipeline().sample(torch.full((2, 3, 24, 40), 0.5), n=3, seed=0)
    assert noisy.shape == (3, 2, 3, 24, 40)
    assert not torch.equal(noisy[0, 0], noisy[0, 1])
