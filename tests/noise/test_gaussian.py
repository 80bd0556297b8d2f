from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from danet import data
from danet.errors import ConfigError, DataError, ImageError
from danet.noise import CorrelatedGaussian, PoissonGaussian, WhiteGaussian
from danet.noise.fitting import BINS, noise_levels

Pairs = list[tuple[NDArray[np.float32], NDArray[np.float32]]]
LINEAR = PoissonGaussian((4e-3, 2e-3, 6e-3), (0.01, 0.02, 0.015), srgb=False)
# Its shot noise is the stronger part in red, its read noise in green.
SRGB = PoissonGaussian((2e-3, 2e-4, 1e-3), (0.003, 0.006, 0.004))


def ramp(size: int = 192) -> NDArray[np.float32]:
    """Every intensity in every channel."""
    axis = np.linspace(0, 1, size, dtype=np.float32)
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    return np.stack([rows, columns, 1 - rows], axis=-1)


def pairs(model: Any, number: int = 4) -> Pairs:
    return [(ramp(), noisy) for noisy in model.sample(ramp(), n=number, seed=0)]


def test_white_noise_is_white_and_of_its_deviation() -> None:
    grey = np.full((256, 256, 3), 0.5, dtype=np.float32)
    noise = WhiteGaussian(0.1).add_noise(grey, np.random.default_rng(0)) - grey
    assert noise.std() == pytest.approx(0.1, rel=0.01)
    assert np.abs(np.corrcoef(noise.reshape(-1, 3).T) - np.eye(3)).max() < 0.02
    assert abs((noise[:, 1:] * noise[:, :-1]).mean()) < 0.02 * noise.var()


def test_results_are_not_rounded() -> None:
    levels = WhiteGaussian(0.1).add_noise(ramp(), np.random.default_rng(0)) * 255
    assert np.abs(levels - np.rint(levels)).mean() > 0.2


def test_the_variance_is_a_line_in_the_signal() -> None:
    for level in (0.2, 0.8):
        grey = np.full((256, 256, 3), level, dtype=np.float32)
        noise = LINEAR.add_noise(grey, np.random.default_rng(0)) - grey
        wanted = level * np.array(LINEAR.gain) + np.square(LINEAR.read)
        np.testing.assert_allclose(noise.var(axis=(0, 1)), wanted, rtol=0.03)


def test_of_srgb_the_variance_is_a_line_in_the_light() -> None:
    """The curve itself, on noise that is added to linear light, must give the same."""
    level = 0.4
    light = ((level + 0.055) / 1.055) ** 2.4
    deviation = np.sqrt(light * np.array(SRGB.gain) + np.square(SRGB.read))
    # Weak enough for the curve to be straight along it.
    factor = 0.05
    noisy = light + factor * deviation * np.random.default_rng(0).standard_normal((200_000, 3))
    display = 1.055 * noisy ** (1 / 2.4) - 0.055
    modelled = SRGB.deviation(np.full(3, level))
    np.testing.assert_allclose(display.std(axis=0) / factor, modelled, rtol=0.01)


@pytest.mark.parametrize("model", [LINEAR, SRGB], ids=["linear", "srgb"])
def test_a_fit_finds_gain_and_read_noise(model: PoissonGaussian) -> None:
    found = PoissonGaussian.fit(pairs(model))
    assert found == PoissonGaussian.fit(pairs(model), srgb=model.srgb)
    assert found.srgb == model.srgb
    np.testing.assert_allclose(found.gain, model.gain, rtol=0.1)
    np.testing.assert_allclose(found.read, model.read, rtol=0.1)


def test_a_fit_of_white_noise_finds_no_gain() -> None:
    white = pairs(WhiteGaussian(0.04))
    assert WhiteGaussian.fit(white).deviation == pytest.approx(0.04, rel=0.05)
    found = PoissonGaussian.fit(white, srgb=False)
    np.testing.assert_allclose(found.read, 0.04, rtol=0.05)
    assert max(found.gain) < 2e-4


def test_a_fit_of_falling_variance_is_flat() -> None:
    clean = ramp()
    rng = np.random.default_rng(0)
    noise = (0.06 - 0.05 * clean) * rng.standard_normal(clean.shape, dtype=np.float32)
    noisy = np.clip(clean + noise, 0, 1)
    assert PoissonGaussian.fit([(clean, noisy)], srgb=False).gain == (0, 0, 0)


def test_a_difference_of_exposure_is_no_noise() -> None:
    shifted = [(x, np.clip(y + 0.03 * x, 0, 1)) for x, y in pairs(WhiteGaussian(0.02))]
    assert WhiteGaussian.fit(shifted).deviation == pytest.approx(0.02, rel=0.05)


def test_edges_that_are_out_of_line_are_no_noise() -> None:
    """Bars of 12 pixels, moved by a tenth of a pixel."""
    bars = np.repeat(np.tile([0.3, 0.7], 8), 12).astype(np.float32)
    clean = np.broadcast_to(bars[:, np.newaxis, np.newaxis], (192, 192, 3))
    moved = 0.9 * clean + 0.1 * np.roll(clean, 1, axis=0)
    noisy = WhiteGaussian(0.01).sample(moved, n=1, seed=0)[0]
    assert (noisy - clean).std() > 0.013
    assert WhiteGaussian.fit([(clean, noisy)]).deviation == pytest.approx(0.01, rel=0.05)


def test_pairs_of_every_kind_fit_alike() -> None:
    eight = [
        (np.rint(x * 255).astype(np.uint8), torch.from_numpy(y).permute(2, 0, 1))
        for x, y in pairs(WhiteGaussian(0.04))
    ]
    assert WhiteGaussian.fit(eight).deviation == pytest.approx(0.04, rel=0.05)


@pytest.mark.parametrize("model", [WhiteGaussian, PoissonGaussian, CorrelatedGaussian])
def test_pairs_that_cannot_be_fitted(model: Any) -> None:
    clean = ramp(48)
    with pytest.raises(DataError, match="no pairs"):
        model.fit([])
    with pytest.raises(DataError, match="no noise"):
        model.fit([(clean, clean)])
    with pytest.raises(ImageError, match="differ in size"):
        model.fit([(clean, clean[:-1])])
    with pytest.raises(ImageError, match="from 0 to 1"):
        model.fit([(clean, clean * 255)])


@pytest.mark.parametrize("deviation", [-0.1, float("nan"), float("inf")])
def test_bad_deviation(deviation: float) -> None:
    with pytest.raises(ConfigError, match="deviation is"):
        WhiteGaussian(deviation)
    with pytest.raises(ConfigError, match="read is"):
        PoissonGaussian((0, 0, 0), (0.1, deviation, 0.1))


def test_one_value_for_all_channels_is_refused() -> None:
    with pytest.raises(ConfigError, match="gain has 1 values"):
        PoissonGaussian((1e-3,), (0, 0, 0))  # type: ignore[arg-type]


def test_real_photographs(data_root: Path) -> None:
    """The curve of the fitted model runs nearer to the measured one than one strength does."""
    centres = np.stack([(np.arange(BINS) + 0.5) / BINS] * 3, axis=-1)
    errors = []
    for files in data.polyu_pairs(data_root / "polyu", "train")[::12]:
        real = [data.read_pair(files)]
        count, variance = noise_levels(real)
        weight = count * (count > 200)
        measured = np.sqrt(variance)
        measured[weight == 0] = 1
        white = np.full_like(measured, WhiteGaussian.fit(real).deviation)
        model = PoissonGaussian.fit(real).deviation(centres).T
        strengths = [np.sqrt((count * squares).sum()) for squares in (model**2, variance)]
        assert strengths[0] == pytest.approx(strengths[1], rel=0.1)
        errors.append(
            [
                (weight * np.abs(curve / measured - 1)).sum() / weight.sum()
                for curve in (white, model)
            ]
        )
    ours, theirs = np.mean(errors, axis=0)[::-1]
    assert ours < 0.2
    assert ours < 0.7 * theirs
