"""What the noise of a picture is like, and how far apart two kinds of noise are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from danet.errors import ConfigError, check_count
from danet.metrics.inputs import check_least, take_pair

__all__ = ["NoiseDistances", "NoiseStatistics", "noise_statistics"]

_LEAST = 1e-10  # of a variance, as in AKLD
_FREQUENCIES = 32


@dataclass(frozen=True)
class NoiseDistances:
    """How far apart two kinds of noise are; 0 for the same statistics, larger is farther.

    Attributes:
        variance: mean over the intensities and channels of |ln(v' / v)|, in nats, the
            intensities weighted by their pixels.
        channel_correlation: root mean square difference of the three correlations.
        autocorrelation: root of the sum over the lags of the squared differences, the mean over
            the channels.
        power_spectrum: root mean square over frequencies and channels of 10 log10(P' / P), the
            log-spectral distance, in decibels.
    """

    variance: float
    channel_correlation: float
    autocorrelation: float
    power_spectrum: float


@dataclass(frozen=True, eq=False)
class NoiseStatistics:
    """Statistics of the noise n = y - x; tensors of float64 on the CPU, pictures in [0, 1].

    Attributes:
        intensity: B, the middles of the bins of the clean picture's intensity.
        variance: 3 x B, of the noise of each channel at that intensity, about its mean there; NaN
            where there are no pixels.
        pixels: 3 x B, how many there are.
        channel_correlation: 3 x 3, Pearson's; 0 with a channel that has no noise.
        autocorrelation: 3 x (2 L + 1) x (2 L + 1), the correlation of the noise with itself by
            0 to L rows and columns away, 1 in the middle; 0 where there is no noise.
        frequency: F, middles of the bins of spatial frequency, cycles per pixel up to 0.5.
        power_spectrum: 3 x F, |DFT(n)|^2 / (H W), averaged over all directions: white noise has
            its variance everywhere.  NaN where a small picture has no such frequency.
    """

    intensity: Tensor
    variance: Tensor
    pixels: Tensor
    channel_correlation: Tensor
    autocorrelation: Tensor
    frequency: Tensor
    power_spectrum: Tensor

    def distances(self, other: NoiseStatistics) -> NoiseDistances:
        """How far another kind of noise, v' and P', is from this one, v and P.

        Raises:
            ConfigError: the two have other bins or lags, or share no intensity.

        Example:
            >>> import numpy as np
            >>> rng = np.random.default_rng(0)
            >>> clean = np.full((64, 64, 3), 0.5)
            >>> weak, strong = (clean + rng.normal(0, s, clean.shape) for s in (0.01, 0.02))
            >>> real = noise_statistics(clean, weak)
            >>> round(real.distances(noise_statistics(clean, strong)).power_spectrum)
            6
        """
        if (
            self.variance.shape != other.variance.shape
            or self.autocorrelation.shape != other.autocorrelation.shape
        ):
            raise ConfigError("the statistics differ in bins or lags, and must have the same")
        shared = (self.pixels > 0) & (other.pixels > 0)
        if not shared.any():
            raise ConfigError("the clean pictures share no intensity, and must share some")
        weights = self.pixels[shared]
        logs = _log_ratio(self.variance[shared], other.variance[shared]).abs()
        upper = torch.triu_indices(3, 3, offset=1).unbind()
        correlation = (self.channel_correlation - other.channel_correlation)[upper]
        lags = (self.autocorrelation - other.autocorrelation).flatten(1)
        known = self.power_spectrum.isfinite() & other.power_spectrum.isfinite()
        decibels = _log_ratio(self.power_spectrum[known], other.power_spectrum[known])
        decibels *= 10 / torch.log(torch.tensor(10.0))
        return NoiseDistances(
            variance=float((weights * logs).sum() / weights.sum()),
            channel_correlation=float(correlation.square().mean().sqrt()),
            autocorrelation=float(lags.norm(dim=1).mean()),
            power_spectrum=float(decibels.square().mean().sqrt()),
        )


def noise_statistics(clean: Any, noisy: Any, *, bins: int = 16, lags: int = 5) -> NoiseStatistics:
    """Measure what AKLD is blind to, or sees only in sum, in real or generated noise.

    Of a tensor of N pictures, the statistics are those of all together.  Estimates scatter:
    two draws of the same noise have small distances, not 0.  By the Wiener-Khinchin theorem
    spectrum and autocorrelation say the same; the first shows periods, the second how far
    noise is coarse.

    Args:
        clean: the true picture, or N of them in a tensor, in [0, 1] where it is of floats.
        noisy: the real or a generated noisy picture, of the same size.
        bins: how many equal bins of intensity.
        lags: L, how far the autocorrelation goes, in pixels; pictures must be larger.

    Returns:
        The statistics; ``real.distances(generated)`` compares two.

    Raises:
        ImageError: the sizes differ or are too small.
        ConfigError: ``bins`` or ``lags`` is not positive.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> clean = np.full((64, 64, 3), 0.5)
        >>> grey = rng.normal(0, 0.02, (64, 64, 1))
        >>> found = noise_statistics(clean, clean + grey)
        >>> round(float(found.channel_correlation[0, 1]), 3)
        1.0
    """
    for name, value in (("bins", bins), ("lags", lags)):
        check_count(name, value, 1)
    pair = take_pair(clean, noisy)
    check_least(pair[0], lags + 1, "the autocorrelation")
    # These are few numbers of much data: exact rather than quick.
    truth, observed = (picture.cpu().double() for picture in pair)
    noise = observed - truth
    pixels, variance = _by_intensity(truth, noise, bins)
    centred = noise - noise.mean(dim=(0, 2, 3), keepdim=True)
    frequency, power = _power_spectrum(centred)
    return NoiseStatistics(
        intensity=(torch.arange(bins, dtype=torch.float64) + 0.5) / bins,
        variance=variance,
        pixels=pixels,
        channel_correlation=_channel_correlation(centred),
        autocorrelation=_autocorrelation(centred, lags),
        frequency=frequency,
        power_spectrum=power,
    )


def _by_intensity(truth: Tensor, noise: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Pixels and variance by channel and bin, 3 x bins each."""
    index = (truth * bins).long().clamp_max(bins - 1)
    index = (index + bins * torch.arange(3).reshape(1, 3, 1, 1)).flatten()

    def total(values: Tensor) -> Tensor:
        sums = torch.bincount(index, weights=values.flatten(), minlength=3 * bins)
        return sums.reshape(3, bins)

    pixels = total(torch.ones_like(noise))
    mean = total(noise) / pixels
    return pixels, (total(noise.square()) / pixels - mean.square()).clamp_min(0)


def _channel_correlation(centred: Tensor) -> Tensor:
    rows = centred.transpose(0, 1).flatten(1)
    covariance = rows @ rows.T
    deviation = covariance.diagonal().sqrt()
    return torch.nan_to_num(covariance / torch.outer(deviation, deviation), posinf=0, neginf=0)


def _autocorrelation(centred: Tensor, lags: int) -> Tensor:
    height, width = centred.shape[2:]
    # Room around the picture, so that no lag reaches round to its other side.
    size = (height + lags, width + lags)
    power = torch.fft.rfft2(centred, s=size).abs().square().sum(dim=0)
    sums = torch.fft.irfft2(power, s=size)
    steps = torch.arange(-lags, lags + 1)
    overlap = torch.outer(height - steps.abs(), width - steps.abs())
    covariance = sums[:, steps][:, :, steps] / overlap
    middle = covariance[:, lags, lags].reshape(3, 1, 1)
    return torch.where(middle > 0, covariance / middle, 0)


def _power_spectrum(centred: Tensor) -> tuple[Tensor, Tensor]:
    height, width = centred.shape[2:]
    power = torch.fft.fft2(centred).abs().square().mean(dim=0) / (height * width)
    radius = torch.hypot(
        torch.fft.fftfreq(height, dtype=torch.float64)[:, None],
        torch.fft.fftfreq(width, dtype=torch.float64),
    )
    index = (radius * (2 * _FREQUENCIES)).long()
    # The mean has been taken away, and the corners are seen in the diagonal directions alone.
    kept = (radius > 0) & (index < _FREQUENCIES)
    count = torch.bincount(index[kept], minlength=_FREQUENCIES)
    sums = [
        torch.bincount(index[kept], weights=channel[kept], minlength=_FREQUENCIES)
        for channel in power
    ]
    middles = (torch.arange(_FREQUENCIES, dtype=torch.float64) + 0.5) / (2 * _FREQUENCIES)
    return middles, torch.stack(sums) / count


def _log_ratio(values: Tensor, others: Tensor) -> Tensor:
    return (others.clamp_min(_LEAST) / values.clamp_min(_LEAST)).log()
