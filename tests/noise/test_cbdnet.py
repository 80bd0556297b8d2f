from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from danet.errors import ConfigError
from danet.noise import CBDNetPipeline
from danet.noise.processing import demosaic_malvar, mosaic

# Nothing is left but the response curve and back.
STILL = CBDNetPipeline(shot=(0, 0), read=(0, 0), mosaic=0, jpeg=0)


def ramp(size: int = 64) -> NDArray[np.float32]:
    axis = np.linspace(0, 1, size, dtype=np.float32)
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    return np.stack([rows, columns, 1 - rows], axis=-1)


def grey(level: float) -> NDArray[np.float32]:
    return np.full((96, 96, 3), level, dtype=np.float32)


def noise_of(model: CBDNetPipeline, clean: NDArray[np.float32], n: int = 8) -> NDArray[np.float32]:
    return model.sample(clean, n=n, seed=0) - clean


@pytest.mark.parametrize("contrast", [0, 0.5, 1])
def test_without_noise_the_curve_is_undone(contrast: float) -> None:
    model = replace(STILL, contrast=(contrast, contrast))
    assert np.abs(noise_of(model, ramp())).max() < 2e-3


def test_a_linear_camera_has_the_papers_variance() -> None:
    model = replace(STILL, shot=(0.1, 0.1), read=(0.02, 0.02), gamma=(1, 1), contrast=(0, 0))
    for level in (0.3, 0.6):
        deviation = noise_of(model, grey(level)).std()
        assert deviation == pytest.approx(np.sqrt(level * 0.1**2 + 0.02**2), rel=0.02)


def test_gamma_makes_the_dark_noisier() -> None:
    model = replace(STILL, read=(0.01, 0.01), gamma=(2.2, 2.2))
    dark, bright = (noise_of(model, grey(level)).std() for level in (0.3, 0.8))
    assert dark > 2 * bright


def test_the_mosaic_correlates_neighbours() -> None:
    def neighbours(model: CBDNetPipeline) -> float:
        noise = noise_of(model, grey(0.5))
        return float((noise[:, :, 1:] * noise[:, :, :-1]).mean() / noise.var())

    level = replace(STILL, read=(0.02, 0.02))
    assert neighbours(level) == pytest.approx(0, abs=0.02)
    assert neighbours(replace(level, mosaic=1)) > 0.1


def test_jpeg_gives_8_bit_levels_and_floats_without_it() -> None:
    for share, low, high in ((1, 0, 1e-4), (0, 0.2, 0.3)):
        levels = CBDNetPipeline(jpeg=share).sample(ramp(), n=3, seed=0) * 255
        assert low <= np.abs(levels - np.rint(levels)).mean() <= high


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("column", [0, 1])
def test_demosaicing_keeps_what_is_seen_and_what_is_smooth(row: int, column: int) -> None:
    plane = ramp(24)
    smooth = demosaic_malvar(mosaic(plane, row, column), row, column)
    np.testing.assert_allclose(smooth[3:-3, 3:-3], plane[3:-3, 3:-3], atol=1e-5)
    rough = np.random.default_rng(0).random((24, 24, 3), dtype=np.float32)
    sites = mosaic(rough, row, column)
    np.testing.assert_array_equal(mosaic(demosaic_malvar(sites, row, column), row, column), sites)


def test_demosaicing_takes_a_colours_detail_from_the_others() -> None:
    """Of a grey picture it loses less than plain interpolation: the filters' purpose."""
    texture = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    texture[1:] += texture[:-1]
    texture[:, 1:] += texture[:, :-1]
    picture = np.stack([texture / 4] * 3, axis=-1)
    error = demosaic_malvar(mosaic(picture, 0, 0), 0, 0) - picture
    assert error.std() < 0.5 * picture.std()


@pytest.mark.parametrize(
    "settings",
    [
        {"shot": (-0.1, 0.1)},
        {"read": (0.06, 0.01)},
        {"read": (0, float("nan"))},
        {"gamma": (0, 2)},
        {"gamma": (1, float("inf"))},
        {"contrast": (0, 1.1)},
        {"mosaic": 1.1},
        {"jpeg": -1},
        {"jpeg_quality": (0, 90)},
    ],
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(ConfigError, match=f"{name} is"):
        CBDNetPipeline(**settings)
