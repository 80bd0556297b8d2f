"""The estimate of noise against noise that is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from danet.errors import ConfigError, ImageError
from danet.metrics.level import noise_level

Array = NDArray[Any]


def scene(height: int = 160, width: int = 200) -> Array:
    """Slopes and edges, H x W x 3 in [0.2, 0.8]."""
    rows, columns = np.mgrid[0:height, 0:width]
    slope = 0.2 + 0.6 * columns / width
    boxes = np.where((rows // 40 + columns // 50) % 2 == 0, slope, 1 - slope)
    return np.stack([boxes, slope, 1 - slope], axis=2)


def normal(shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("sigma", [0.01, 0.03])
def test_white_noise_is_found_in_spite_of_edges(sigma: float, known: bool) -> None:
    noise = sigma * np.array([1, 2, 0.5]) * normal((160, 200, 3))
    level = noise_level((scene() + noise).clip(0, 1), noise if known else None)
    np.testing.assert_allclose(level.channels, sigma * np.array([1, 2, 0.5]), rtol=0.05)
    assert level.map.shape == (160, 200, 3)
    assert np.median(level.map[..., 1]) == pytest.approx(2 * sigma, rel=0.1)


@pytest.mark.parametrize("known", [False, True])
def test_it_grows_with_the_intensity_where_the_noise_does(known: bool) -> None:
    clean = scene(300, 300)
    noise = 0.1 * clean * normal(clean.shape)
    level = noise_level((clean + noise).clip(0, 1), noise if known else None, bins=5)
    np.testing.assert_allclose(level.intensity, [0.1, 0.3, 0.5, 0.7, 0.9], rtol=1e-6)
    filled = level.by_intensity[1:2, 1:4]
    np.testing.assert_allclose(filled, [0.1 * level.intensity[1:4]], rtol=0.1)


def test_the_map_shows_where_the_noise_is() -> None:
    noise = 0.02 * normal((100, 100))
    noise[:, 50:] *= 3
    level = noise_level(0.5 + noise)
    assert level.map[:, :40].mean() == pytest.approx(0.02, rel=0.1)
    assert level.map[:, 60:].mean() == pytest.approx(0.06, rel=0.1)


def test_a_residual_shows_correlated_noise_that_the_picture_alone_hides() -> None:
    from scipy import ndimage

    noise = ndimage.gaussian_filter(normal((150, 150)), 1)
    noise *= 0.05 / noise.std()
    picture = 0.5 + noise
    assert noise_level(picture).channels[0] < 0.03
    assert noise_level(picture, noise).channels[0] == pytest.approx(0.05, rel=0.05)


def test_every_kind_of_picture_gives_the_same() -> None:
    values = (255 * (scene() + 0.05 * normal((160, 200, 3))).clip(0, 1)).astype(np.uint8)
    expected = noise_level(values)
    for other in (Image.fromarray(values), torch.tensor(values / 255.0).movedim(2, 0)):
        np.testing.assert_allclose(noise_level(other).channels, expected.channels, rtol=1e-5)
    alpha = np.dstack([values, np.zeros(values.shape[:2], np.uint8)])
    np.testing.assert_array_equal(noise_level(alpha).channels, expected.channels)
    assert noise_level(values[..., 0]).channels.shape == (1,)


def test_flat_and_tiny_pictures_have_figures() -> None:
    assert noise_level(np.full((20, 30), 0.5)).channels == 0
    level = noise_level(np.full((1, 1, 3), 100, np.uint8))
    assert level.channels.shape == (3,)
    assert np.isnan(level.by_intensity).all()


@pytest.mark.parametrize(
    ("residual", "settings", "error", "message"),
    [
        (np.zeros((4, 5)), {}, ImageError, r"shape \(4, 5\).* 5 x 4 pixels of 3 channels"),
        (np.full((5, 4, 3), np.nan), {}, ImageError, "must be finite"),
        (None, {"bins": 0}, ConfigError, "bins is 0"),
        (None, {"window": 0}, ConfigError, "window is 0"),
    ],
)
def test_what_cannot_be_taken(
    residual: Any, settings: dict[str, int], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        noise_level(np.zeros((5, 4, 3)), residual, **settings)
    with pytest.raises(ImageError, match="2 pictures"):
        noise_level(torch.zeros(2, 3, 5, 4))
