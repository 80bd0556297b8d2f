from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from danet.errors import ConfigError
from danet.noise import DevelopedNoise

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def generators(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng((5, index)) for index in range(count)]


def noises(model: DevelopedNoise, level: float, count: int = 40) -> NDArray[np.float32]:
    """The noise on flat grey pictures of 48 x 48, in 8-bit levels, N x 48 x 48 x 3."""
    clean = torch.full((count, 3, 48, 48), level)
    noisy = model.add_to_batch(clean, generators(count))
    noise: NDArray[np.float32] = ((noisy - clean) * 255).movedim(1, -1).numpy()
    return noise


def correlation(noise: NDArray[np.float32], distance: int) -> float:
    """Of neighbours in a row, the mean over pictures N x H x W."""
    noise = noise - noise.mean(axis=(1, 2), keepdims=True)
    products = (noise[:, :, distance:] * noise[:, :, :-distance]).mean(axis=(1, 2))
    return float((products / noise.var(axis=(1, 2))).mean())


def test_a_picture_gets_its_noise_whatever_else_is_in_the_batch() -> None:
    clean = torch.rand(5, 3, 24, 40)
    model = DevelopedNoise()
    together = model.add_to_batch(clean, generators(5))
    for index in range(5):
        alone = model.add_noise(clean[index].movedim(0, -1).numpy(), generators(5)[index])
        np.testing.assert_allclose(alone, together[index].movedim(0, -1).numpy(), atol=1.1 / 255)
        assert np.mean(alone != together[index].movedim(0, -1).numpy()) < 0.01


@pytest.mark.parametrize("phones", [0.0, 1.0])
def test_the_strength_is_that_of_brightness_at_middle_grey(phones: float) -> None:
    model = DevelopedNoise((6, 6), (6, 6), phones=phones, white=0, jpeg=0, rounded=0)
    deviations = (noises(model, 0.5) @ LUMA).std(axis=(1, 2))
    assert np.mean(deviations) == pytest.approx(6, rel=0.06)
    strengths = (noises(DevelopedNoise((2, 20), phones=0, white=0, jpeg=0), 0.5) @ LUMA).std(
        axis=(1, 2)
    )
    assert 1.5 < strengths.min() < 4
    assert 12 < strengths.max() < 23


@pytest.mark.parametrize("level", [0.25, 0.4, 0.6])
def test_a_camera_s_noise_has_mean_0_and_a_phone_s_darkens(level: float) -> None:
    camera = noises(DevelopedNoise((3, 3), phones=0, white=0, jpeg=0, rounded=0), level)
    phone = noises(DevelopedNoise(phone=(20, 20), phones=1, white=0, jpeg=0), level)
    # Where noise is coarse, its mean over a picture is far from 0: the middle one of many is not.
    assert abs(np.median(camera.mean(axis=(1, 2, 3)))) < 0.25
    assert phone.mean() < -0.5


def test_a_camera_s_colour_is_coarse_and_its_brightness_fine() -> None:
    noise = noises(DevelopedNoise((8, 8), phones=0, white=0, jpeg=0, rounded=0), 0.5)
    luma = noise @ LUMA
    blue = noise[..., 2] - luma
    assert 0.3 < correlation(luma, 1) < 0.65
    assert correlation(luma, 2) < 0.3
    assert 0.7 < correlation(blue, 1) < 0.95
    assert 0.2 < correlation(blue, 4) < 0.6


def test_a_phone_s_noise_is_nearly_white_and_strong_in_colour() -> None:
    noise = noises(DevelopedNoise(phone=(12, 12), phones=1, white=0, jpeg=0, rounded=0), 0.5)
    luma = noise @ LUMA
    blue = noise[..., 2] - luma
    assert correlation(luma, 1) < 0.35
    assert 0.3 < correlation(blue, 1) < 0.8
    assert 0.8 < np.median(blue.std(axis=(1, 2)) / luma.std(axis=(1, 2))) < 1.8


def test_white_noise_is_independent_and_of_one_strength() -> None:
    model = DevelopedNoise(phone=(12, 12), white=1, jpeg=0, rounded=0)
    noise = noises(model, 0.3)
    assert np.std(noise) == pytest.approx(12, rel=0.02)
    assert np.std(noises(model, 0.7)) == pytest.approx(12, rel=0.02)
    assert abs(correlation(noise[..., 2], 1)) < 0.02
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02


def test_the_two_sides_of_a_picture_have_different_noise() -> None:
    """The filters wrap around what they filter."""
    luma = noises(DevelopedNoise((8, 8), phones=0, white=0, jpeg=0, rounded=0), 0.5) @ LUMA
    assert abs(np.corrcoef(luma[:, :, 0].ravel(), luma[:, :, -1].ravel())[0, 1]) < 0.1


def test_rounding_and_jpeg_give_multiples_of_a_level() -> None:
    levels = noises(DevelopedNoise(rounded=1, jpeg=1), 0.4) + 0.4 * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)
    unrounded = noises(DevelopedNoise(rounded=0, jpeg=0), 0.4) + 0.4 * 255
    assert np.abs(unrounded - np.rint(unrounded)).mean() > 0.2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"camera": (0.0, 3.0)}, r"camera is \(0.0, 3.0\)"),
        ({"phone": (9.0, 3.0)}, r"phone is \(9.0, 3.0\)"),
        ({"phones": 1.5}, "phones is 1.5"),
        ({"white": -0.1}, "white is -0.1"),
        ({"jpeg_quality": (0, 90)}, r"jpeg_quality is \(0, 90\)"),
    ],
)
def test_settings_of_no_use_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DevelopedNoise(**settings)
