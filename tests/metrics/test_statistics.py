from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from danet import metrics
from danet.errors import ConfigError, ImageError


def flat(*strengths: float, blur: float = 0) -> tuple[Any, list[Any]]:
    """A grey picture and noisy versions of it, float64."""
    rng = np.random.default_rng(0)
    clean = np.full((96, 80, 3), 0.5)
    noise = [s * rng.normal(0, 1, clean.shape) for s in strengths]
    return clean, [clean + ndimage.gaussian_filter(n, (blur, blur, 0)) for n in noise]


def test_variance_against_intensity() -> None:
    rng = np.random.default_rng(0)
    ramp = np.linspace(0.2001, 0.7999, 200 * 300).reshape(200, 300, 1) * np.ones(3)
    noisy = ramp + np.sqrt(0.01 * ramp) * rng.normal(0, 1, ramp.shape) * 0.3
    found = metrics.noise_statistics(ramp, noisy, bins=10)
    assert int(found.pixels.sum()) == ramp.size
    seen = found.pixels[0] > 0
    assert seen.tolist() == [False, False, *[True] * 6, False, False]
    assert found.variance.isnan()[0].tolist() == (~seen).tolist()
    expected = 0.0009 * found.intensity[seen].expand(3, -1)
    torch.testing.assert_close(found.variance[:, seen], expected, rtol=0.1, atol=0)


def test_channel_correlation_is_numpys() -> None:
    clean, (noisy,) = flat(0.02)
    noisy[..., 1] += 0.5 * (noisy[..., 0] - 0.5)
    found = metrics.noise_statistics(clean, noisy).channel_correlation
    expected = np.corrcoef((noisy - clean).reshape(-1, 3).T)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found[0, 1] > 0.3


def test_autocorrelation_by_its_definition() -> None:
    clean, (noisy,) = flat(0.05, blur=1)
    found = metrics.noise_statistics(clean, noisy, lags=3).autocorrelation
    assert found.shape == (3, 7, 7)
    noise = noisy[..., 2] - clean[..., 2]
    noise = noise - noise.mean()
    for rows, columns in ((0, 0), (1, 0), (2, 3)):
        product = noise[rows:, columns:] * noise[: 96 - rows, : 80 - columns]
        expected = pytest.approx(product.mean() / np.square(noise).mean(), abs=1e-5)
        assert float(found[2, 3 + rows, 3 + columns]) == expected
        assert float(found[2, 3 - rows, 3 - columns]) == expected
    product = noise[1:, :-2] * noise[:-1, 2:]
    expected = pytest.approx(product.mean() / np.square(noise).mean(), abs=1e-5)
    assert float(found[2, 4, 1]) == expected


def test_power_spectrum() -> None:
    clean, (white,) = flat(0.02)
    found = metrics.noise_statistics(clean, white)
    level = torch.full((3, 24), 0.0004).double()
    torch.testing.assert_close(found.power_spectrum[:, 8:], level, rtol=0.35, atol=0)
    rows = np.sin(2 * np.pi * np.arange(96) / 8)[:, None, None]
    waves = metrics.noise_statistics(clean, clean + 0.1 * rows * np.ones(clean.shape))
    place = int(waves.power_spectrum[0].argmax())
    assert abs(float(waves.frequency[place]) - 1 / 8) <= 1 / 128
    assert waves.power_spectrum[0, place] > 1e6 * waves.power_spectrum[0].median()


def test_a_batch_is_taken_together() -> None:
    clean = torch.rand(2, 3, 32, 32)
    noisy = clean + torch.tensor([0.01, 0.03]).reshape(2, 1, 1, 1) * torch.randn(clean.shape)
    found, *alone = (
        metrics.noise_statistics(x, y)
        for x, y in ((clean, noisy), (clean[0], noisy[0]), (clean[1], noisy[1]))
    )
    torch.testing.assert_close(found.pixels, alone[0].pixels + alone[1].pixels)
    mean = (alone[0].power_spectrum + alone[1].power_spectrum) / 2
    torch.testing.assert_close(found.power_spectrum, mean, rtol=0.02, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("variance", lambda noise: 2 * noise),
        ("channel_correlation", lambda noise: noise[..., :1] + 0 * noise),
        ("autocorrelation", lambda noise: 3 * ndimage.gaussian_filter(noise, (1, 1, 0))),
        ("power_spectrum", lambda noise: 3 * ndimage.gaussian_filter(noise, (1, 1, 0))),
    ],
)
def test_each_distance_sees_its_own_fault(name: str, changed: Any) -> None:
    clean, (real, alike, other) = flat(0.02, 0.02, 0.02)
    statistics = metrics.noise_statistics(clean, real)
    near, far = (
        getattr(statistics.distances(metrics.noise_statistics(clean, fake)), name)
        for fake in (alike, clean + changed(other - clean))
    )
    assert 0 < near < far / 5
    assert getattr(statistics.distances(statistics), name) == 0


def test_akld_is_blind_to_what_the_statistics_see() -> None:
    clean, (real, alike, other) = flat(0.02, 0.02, 0.02)
    grey = clean + (other - clean)[..., :1]
    assert metrics.akld(clean, real, [grey]) < 1.1 * metrics.akld(clean, real, [alike])


def test_no_noise_has_finite_distances() -> None:
    clean, (real,) = flat(0.02)
    none = metrics.noise_statistics(clean, clean)
    assert torch.equal(none.channel_correlation, torch.zeros(3, 3).double())
    assert none.autocorrelation.abs().max() == 0
    for one, other in ((metrics.noise_statistics(clean, real), none), (none, none)):
        for value in vars(one.distances(other)).values():
            assert np.isfinite(value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    clean = torch.full((3, 64, 64), 0.5)
    noisy = clean + 0.05 * torch.randn(clean.shape)
    exact, half = (
        metrics.noise_statistics(*(picture.to(kind) for picture in (clean, noisy)))
        for kind in (torch.float32, dtype)
    )
    assert half.power_spectrum.dtype == torch.float64
    assert exact.distances(half).power_spectrum < 0.1


def test_arguments_of_no_use() -> None:
    picture: Tensor = torch.zeros(3, 16, 16)
    for name in ("bins", "lags"):
        with pytest.raises(ConfigError, match=f"{name} is 0"):
            metrics.noise_statistics(picture, picture, **{name: 0})
    with pytest.raises(ImageError, match="16 x 16 is too small: the autocorrelation needs 17"):
        metrics.noise_statistics(picture, picture, lags=16)
    found = metrics.noise_statistics(picture, picture)
    with pytest.raises(ConfigError, match="bins or lags"):
        found.distances(metrics.noise_statistics(picture, picture, lags=2))
    with pytest.raises(ConfigError, match="share no intensity"):
        found.distances(metrics.noise_statistics(picture + 0.5, picture))
