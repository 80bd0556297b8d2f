from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from danet.data import Limits, Pixels, screened_tiles
from danet.data.screening import Agreement, compare
from tests.data.samples import texture, with_noise


def scene(seed: int, deviation: float = 30.0, sigma: float = 3.0) -> Pixels:
    """A smooth random picture, 128 x 128, around 120."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(128, 128)), sigma)
    grey: Pixels = np.rint(np.clip(120 + deviation * field / field.std(), 1, 254)).astype(np.uint8)
    return grey[..., None].repeat(3, axis=-1)


def noised(clean: Pixels, deviation: float = 5.0, shift: float = 0.0) -> Pixels:
    noise = np.random.default_rng(9).normal(shift, deviation, clean.shape)
    return np.rint(np.clip(clean + noise, 0, 255)).astype(np.uint8)


FLAT = np.full((128, 128, 3), 120, np.uint8)


@pytest.mark.parametrize(
    ("clean", "noisy", "faults"),
    [
        (scene(0), noised(scene(0)), []),
        (scene(0), scene(0), []),
        (scene(0), noised(scene(0), 40), []),
        (FLAT, noised(FLAT), []),
        (scene(0), noised(np.roll(scene(0), 1, axis=0)), ["misaligned"]),
        (scene(0), noised(np.roll(scene(0), -1, axis=1)), ["misaligned"]),
        (scene(0), noised(scene(0), shift=1.5), ["exposure"]),
        (scene(0), noised(scene(0), shift=-1.5), ["exposure"]),
        (np.where(scene(0) > 110, 255, scene(0)).astype(np.uint8), None, ["saturated"]),
        (np.where(scene(0) < 130, 0, scene(0)).astype(np.uint8), None, ["saturated"]),
    ],
)
def test_each_fault_is_found_and_no_other(
    clean: Pixels, noisy: Pixels | None, faults: list[str]
) -> None:
    assert compare(clean, clean if noisy is None else noisy).faults() == faults


@pytest.mark.parametrize("sigma", [0.5, 3.0])
def test_another_picture_is_mismatched(sigma: float) -> None:
    assert "mismatched" in compare(scene(0, sigma=sigma), noised(scene(1, sigma=sigma))).faults()


def test_rounding_in_the_dark_is_no_other_picture() -> None:
    clean = (scene(0) % 2).astype(np.uint8)
    assert "mismatched" not in compare(clean, np.zeros_like(clean)).faults()


def test_what_is_measured_of_known_noise() -> None:
    found = compare(scene(0), noised(scene(0), 6.0, shift=2.0))
    # The mean of three channels has the deviation of one, divided by the square root of 3.
    assert found.noise == pytest.approx(6 / 3**0.5, rel=0.03)
    assert found.difference == pytest.approx(2.0, abs=0.1)
    assert found.saturation == 0
    assert found.likeness == 1
    assert abs(found.correlation) < 0.05


def test_pictures_of_16_bits_are_measured_alike() -> None:
    clean, noisy = scene(0), noised(scene(0))
    wide = [side.astype(np.uint16) * np.uint16(257) for side in (clean, noisy)]
    expected = compare(clean, noisy)
    for found in (compare(wide[0], wide[1]), compare(wide[0], noisy)):
        for name in Agreement.__dataclass_fields__:
            assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-9)
    white = np.full((8, 8, 3), 65535, np.uint16)
    assert compare(white, white).saturation == 1


def test_limits_decide() -> None:
    found = compare(scene(0), noised(scene(0), shift=1.5))
    assert found.faults(Limits(difference=2.0)) == []
    assert found.excesses(Limits(difference=0.5))["exposure"] == pytest.approx(3, rel=0.1)


def test_screening_keeps_aligned_tiles_and_drops_shifted_ones() -> None:
    clean = texture(0, 256, 512)
    aligned, shifted = with_noise(clean), with_noise(np.roll(clean, 1, axis=1))
    brighter = with_noise((clean + 2).astype(np.uint8))
    assert len(list(screened_tiles(clean, aligned))) == 2
    assert not list(screened_tiles(clean, shifted))
    assert not list(screened_tiles(clean, brighter))
    # Only the shifted half is dropped.
    half = np.concatenate([aligned[:, :256], shifted[:, 256:]], axis=1)
    (kept,) = screened_tiles(clean, half)
    np.testing.assert_array_equal(kept[1], half[:, :256])
