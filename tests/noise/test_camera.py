from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from danet.errors import ConfigError
from danet.noise import CameraPipeline

# Nothing but noise in the raw file and a plain development.
PLAIN = CameraPipeline(mosaic=0, reduction=0, sharpening=0, jpeg=0)

PINNED = [
    (98, 24, 173, 218, 159, 55),
    (0, 0, 119, 222, 171, 34),
    (61, 35, 194, 219, 163, 40),
    (66, 35, 199, 220, 166, 42),
    (74, 34, 215, 241, 178, 0),
    (76, 21, 200, 218, 162, 67),
    (74, 28, 192, 218, 161, 39),
    (73, 32, 172, 199, 160, 29),
    (60, 30, 193, 216, 162, 37),
    (41, 28, 160, 213, 148, 66),
    (89, 63, 186, 235, 144, 4),
    (78, 29, 191, 217, 155, 21),
]


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


def test_the_draws_are_those_that_the_recipes_were_trained_with() -> None:
    """Levels at two places for each seed, made before the class had a base."""
    axis = np.linspace(0, 1, 48, dtype=np.float32)
    ramp = np.stack(np.meshgrid(axis, axis[:40]), axis=-1)
    picture = np.concatenate([ramp, 1 - ramp[..., :1]], axis=-1)
    for seed, wanted in enumerate(PINNED):
        noisy = CameraPipeline().add_noise(picture, np.random.default_rng(seed)) * 255
        # Arithmetic and JPEG differ in the last bit between machines.
        np.testing.assert_allclose(np.concatenate([noisy[7, 11], noisy[30, 40]]), wanted, atol=2.1)


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


def test_samples_are_8_bit_levels_whatever_the_type(clean: NDArray[np.float32]) -> None:
    levels = CameraPipeline().sample(clean.astype(np.float64), n=2, seed=0) * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
    deep = CameraPipeline().sample((clean * 65535).astype(np.uint16), n=2, seed=0)
    assert not (deep % 257).any()


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
        {"tone_curve": 1.5},
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


def test_unprocessing_has_mosaic_and_nothing_after_the_raw_file(
    clean: NDArray[np.float32],
) -> None:
    camera = CameraPipeline.unprocessing()
    assert (camera.mosaic, camera.tone_curve) == (1, 1)
    assert camera.shot_gain == CameraPipeline().shot_gain
    for noisy in camera.sample(clean, n=4, seed=0):
        # Of demosaicing alone: none at a distance, and no rings of sharpening.
        assert autocorrelation(noisy - clean, 1) > 0.2
        assert autocorrelation(noisy - clean, 4) == pytest.approx(0, abs=0.1)


def test_the_tone_curve_takes_noise_from_the_dark(clean: NDArray[np.float32]) -> None:
    dark = np.full((64, 64, 3), 0.1, dtype=np.float32)
    gain = replace(PLAIN, shot_gain=(1e-4, 1e-4))
    curved, plain = (
        np.std(replace(gain, tone_curve=share).sample(dark, n=8, seed=0) - dark) for share in (1, 0)
    )
    assert curved != pytest.approx(plain, rel=0.05)
