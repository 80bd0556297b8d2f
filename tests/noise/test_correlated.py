from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from danet import data
from danet.errors import ConfigError, DataError
from danet.noise import CorrelatedGaussian, PoissonGaussian
from danet.noise.fitting import residuals
from danet.noise.gaussian import unclipped

STRENGTH = PoissonGaussian((1e-3, 2e-3, 3e-3), (0.02, 0.01, 0.015), srgb=False)


def known_kernel() -> NDArray[np.float64]:
    """Grey that is wider along the rows, colours of their own, and red that trails one pixel."""
    kernel = np.zeros((3, 3, 5, 5))
    kernel[:, 0] = np.outer([0, 1, 2, 1, 0], [1, 2, 3, 2, 1])
    kernel[1, 1, 2, 2] = 4
    kernel[2, 2, 1:4, 2] = 3
    kernel[0, 0] = np.roll(kernel[0, 0], 1, axis=0)
    norm = np.sqrt(np.square(kernel).sum(axis=(1, 2, 3), keepdims=True))
    unit: NDArray[np.float64] = kernel / norm
    return unit


MODEL = CorrelatedGaussian(STRENGTH, known_kernel())
SHIFTS = [(0, 0), (0, 1), (1, 0), (1, 1), (-1, 1), (0, 2), (2, 0), (0, 4), (3, -3)]


def clean(size: int = 256) -> NDArray[np.float32]:
    axis = np.linspace(0.3, 0.7, size, dtype=np.float32)
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    return np.stack([rows, columns, 1 - rows], axis=-1)


def correlation(model: CorrelatedGaussian, seed: int) -> NDArray[np.float64]:
    """Of each channel with each, at each of SHIFTS, of noise that is divided by its deviation."""
    noisy = model.sample(clean(), n=4, seed=seed)
    noise = (noisy - clean()) / model.strength.deviation(clean())
    inner = noise[:, 8:-8, 8:-8]
    moved = [np.roll(noise, (-d, -e), axis=(1, 2))[:, 8:-8, 8:-8] for d, e in SHIFTS]
    return (
        np.array([np.einsum("nija,nijb->ab", inner, other) for other in moved]) / inner[..., 0].size
    )


def wanted() -> NDArray[np.float64]:
    """The same, of the kernel itself."""
    kernel = np.pad(known_kernel(), ((0, 0), (0, 0), (8, 8), (8, 8)))
    moved = [np.roll(kernel, (-d, -e), axis=(-2, -1)) for d, e in SHIFTS]
    # Noise at p is the sum of kernel(q) white(p - q), hence the order of a and b.
    return np.array([np.einsum("acij,bcij->ab", kernel, other) for other in moved])


def test_noise_has_the_covariance_of_its_kernel() -> None:
    np.testing.assert_allclose(correlation(MODEL, 0), wanted(), atol=0.03)


def test_a_fit_finds_strength_and_covariance() -> None:
    pairs = [(clean(), noisy) for noisy in MODEL.sample(clean(), n=6, seed=1)]
    found = CorrelatedGaussian.fit(pairs, radius=4, srgb=False)
    np.testing.assert_allclose(
        found.strength.deviation(clean()), STRENGTH.deviation(clean()), rtol=0.05
    )
    assert found.kernel.shape == (3, 3, 9, 9)
    np.testing.assert_allclose(correlation(found, 2), wanted(), atol=0.04)


def test_black_parts_do_not_disturb_the_fit() -> None:
    """Where there is no read noise, black has no noise, and cannot be divided by it."""
    shot = CorrelatedGaussian(PoissonGaussian((2e-3, 2e-3, 2e-3), (0, 0, 0)), known_kernel())
    picture = np.full((256, 256, 3), 0.5, dtype=np.float32)
    picture[:64] = 0
    noisy = shot.sample(picture, n=6, seed=1)
    noisy[:, :64:2] += np.float32(1 / 255)  # as rounding leaves it
    found = CorrelatedGaussian.fit([(picture, y) for y in noisy], radius=4)
    np.testing.assert_allclose(correlation(found, 2), wanted(), atol=0.05)


def test_noise_is_the_same_everywhere() -> None:
    """No border effects: variance and correlation at the edge are those of the middle."""
    grey = np.full((16, 40, 3), 0.5, dtype=np.float32)
    noise = MODEL.sample(grey, n=600, seed=0) - grey
    variance = noise.var(axis=0) / STRENGTH.deviation(grey) ** 2
    assert np.abs(variance - 1).max() < 0.3
    # Opposite borders are no neighbours.
    assert abs((noise[:, 0, :, 1] * noise[:, -1, :, 1]).mean()) < 0.02 * noise[..., 1].var()


def test_a_picture_smaller_than_the_kernel() -> None:
    tiny = np.full((1, 2, 3), 0.5, dtype=np.float32)
    assert MODEL.sample(tiny, n=2, seed=0).shape == (2, 1, 2, 3)


@pytest.mark.parametrize("shape", [(3, 3, 5), (1, 3, 5, 5), (3, 3, 5, 3), (3, 3, 4, 4)])
def test_bad_shape_of_the_kernel(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="kernel is"):
        CorrelatedGaussian(STRENGTH, np.zeros(shape))


def test_bad_sum_of_the_kernel() -> None:
    with pytest.raises(ConfigError, match="sum to"):
        CorrelatedGaussian(STRENGTH, 2 * known_kernel())


def test_bad_radius() -> None:
    with pytest.raises(ConfigError, match="radius is -1"):
        CorrelatedGaussian.fit([], radius=-1)


def test_a_channel_that_is_black_cannot_be_fitted() -> None:
    picture = clean(48) * np.array([1, 1, 0], dtype=np.float32)
    noisy = STRENGTH.sample(picture, n=1, seed=0)[0] * np.array([1, 1, 0], dtype=np.float32)
    with pytest.raises(DataError, match="a channel"):
        CorrelatedGaussian.fit([(picture, noisy)], srgb=False)


def test_real_photographs(data_root: Path) -> None:
    """Correlations of neighbours and of colours are those of the pair."""
    for files in data.polyu_pairs(data_root / "polyu", "train")[5::24]:
        clean, noisy = (side[:384, :384] for side in data.read_pair(files))
        picture = clean.astype(np.float32) / 255
        model = CorrelatedGaussian.fit([(clean, noisy)])
        fake = (picture, model.sample(picture, n=1, seed=0)[0])
        wanted, found = (summary(pair, model) for pair in ((clean, noisy), fake))
        np.testing.assert_allclose(found, wanted, atol=0.06)


def summary(pair: tuple[Any, Any], model: CorrelatedGaussian) -> NDArray[np.float64]:
    """Of each channel with its right neighbour and with the next channel."""
    ((picture, noise, smooth),) = residuals([pair])
    deviation = model.strength.deviation(picture)
    inside = (smooth & np.all(unclipped(picture, deviation), axis=-1))[..., np.newaxis]
    normal = np.where(inside, noise / np.maximum(deviation, 1e-8), 0)
    others = np.roll(normal, -1, axis=1), np.roll(normal, -1, axis=2)
    power = np.square(normal).mean(axis=(0, 1))
    return np.concatenate(
        [
            (normal * others[0]).mean(axis=(0, 1)) / power,
            (normal * others[1]).mean(axis=(0, 1)) / np.sqrt(power * np.roll(power, -1)),
        ]
    )
