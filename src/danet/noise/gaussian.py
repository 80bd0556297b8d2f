"""White Gaussian noise, of one strength or of one that depends on the intensity."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray

from danet.errors import ConfigError
from danet.noise.fitting import BINS, noise_levels
from danet.noise.model import Array, NoiseModel
from danet.noise.processing import to_linear
from danet.rules import Settings, check, finite

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["PoissonGaussian", "WhiteGaussian", "unclipped"]

_CENTRES = (np.arange(BINS) + 0.5) / BINS
_LEAST = 1e-10  # of a variance, far below that of 8-bit rounding


@dataclass(frozen=True)
class WhiteGaussian(NoiseModel, Settings):
    """Gaussian noise of one standard deviation, independent in every value (AWGN).

    The model of most denoising literature, such as "Beyond a Gaussian denoiser: residual
    learning of deep CNN for image denoising" (DnCNN, Zhang et al., IEEE TIP 2017).  Results
    are clamped to [0, 1] and not rounded.

    Args:
        deviation: standard deviation, on the scale of [0, 1].

    Raises:
        ConfigError: the deviation is negative or not finite.

    Example:
        >>> clean = np.full((32, 32, 3), 0.5, dtype=np.float32)
        >>> noisy = WhiteGaussian(25 / 255).sample(clean, n=4, seed=0)
        >>> noisy.shape, round(float(noisy.std() * 255))
        ((4, 32, 32, 3), 25)
    """

    deviation: Annotated[float, finite(0)]

    @classmethod
    def fit(cls, pairs: Iterable[tuple[Any, Any]]) -> Self:
        """The model with the mean variance of the noise of pairs, in their smooth parts.

        What differs systematically between the two pictures is taken off first, as
        `danet.noise.fitting.residuals` says.

        Args:
            pairs: (clean, noisy) pictures of equal size: PIL images, arrays or tensors, such
                as `danet.data.read_pair` gives.

        Raises:
            ImageError: a picture cannot be taken, or the two of a pair differ in size.
            DataError: there are no pairs, or there is no noise in them.
        """
        count, variance = noise_levels(pairs)
        return cls(float(math.sqrt((count * variance).sum() / count.sum())))

    def add_noise(self, clean: Array, rng: np.random.Generator) -> Array:
        """See `NoiseModel.add_noise`."""
        noise = rng.standard_normal(clean.shape, dtype=np.float32)
        noisy: Array = np.clip(clean + np.float32(self.deviation) * noise, 0, 1)
        return noisy


@dataclass(frozen=True)
class PoissonGaussian(NoiseModel):
    """Gaussian noise with variance ``gain * x + read**2``, independent in every value.

    Shot noise, whose variance grows with the light x, and read noise: the heteroscedastic
    approximation of "Practical Poissonian-Gaussian noise modeling and fitting for single-image
    raw-data" (Foi et al., IEEE TIP 2008).  Of an sRGB picture, x is the linear light, and the
    slope of the sRGB curve there brings the deviation to the picture's values; that curve makes the
    noise of photographs stronger in the dark.  Results are clamped to [0, 1] and not rounded.

    Args:
        gain: variance that is added from black to white, for red, green and blue.
        read: standard deviation at black, for red, green and blue.
        srgb: pictures are sRGB, and gain and read those of linear light; if not, they are taken
            as linear themselves, as raw data are.

    Raises:
        ConfigError: there are not three of each, or one is negative or not finite.

    Example:
        >>> model = PoissonGaussian((4e-3, 2e-3, 6e-3), (0.01, 0.01, 0.02), srgb=False)
        >>> clean = np.full((256, 256, 3), 0.5, dtype=np.float32)
        >>> noise = model.sample(clean, n=1, seed=0)[0] - clean
        >>> [round(float(noise[..., channel].std()), 3) for channel in range(3)]
        [0.046, 0.033, 0.058]
    """

    gain: tuple[float, float, float]
    read: tuple[float, float, float]
    srgb: bool = True

    def __post_init__(self) -> None:
        for name in ("gain", "read"):
            values = getattr(self, name)
            if len(values) != 3:
                raise ConfigError(f"{name} has {len(values)} values, and must have 3")
            for value in values:
                check(name, value, finite(0))

    @classmethod
    def fit(cls, pairs: Iterable[tuple[Any, Any]], *, srgb: bool | None = None) -> Self:
        """The model that makes the noise of pairs likeliest.

        The variance is measured where the clean picture is smooth, in 64 bins of its intensity
        (`danet.noise.fitting.noise_levels`), and fitted by weighted least squares; gain and
        read noise are held at or above 0.  Each bin weighs as its variance is known, n /
        variance**2 with the fitted variance, and the fit is repeated until it settles, where the
        likelihood is largest.  Bins within three measured standard deviations of black or
        white are left out, since clipping cuts the noise there.

        Args:
            pairs: as for `WhiteGaussian.fit`.
            srgb: as for the class; None takes the likelier of the two, as the noise of finished
                photographs often falls with the intensity, and then again does not.

        Raises:
            ImageError: a picture cannot be taken, or the two of a pair differ in size.
            DataError: there are no pairs, or there is no noise in them.
        """
        count, variance = noise_levels(pairs)
        models = []
        for form in (True, False) if srgb is None else (srgb,):
            basis = _basis(_CENTRES, form)
            parts = [_fit_curve(basis, *channel) for channel in zip(count, variance, strict=True)]
            red, green, blue = ((float(gain), math.sqrt(base)) for gain, base in parts)
            models.append(cls((red[0], green[0], blue[0]), (red[1], green[1], blue[1]), form))

        def surprise(model: Self) -> float:
            deviation = model.deviation(np.stack([_CENTRES] * 3, axis=-1)).T
            fitted = np.maximum(np.square(deviation), _LEAST)
            return float((count * (np.log(fitted) + variance / fitted)).sum())

        return min(models, key=surprise)

    def deviation(self, clean: Array) -> Array:
        """Standard deviation of the noise of a clean picture, before it is clamped.

        Args:
            clean: ... x 3, float in [0, 1].

        Returns:
            The same shape and type.
        """
        gain, read = (np.array(values, dtype=clean.dtype) for values in (self.gain, self.read))
        shot, base = np.moveaxis(_basis(clean, self.srgb), -1, 0)
        deviation: Array = np.sqrt(shot * gain + base * read * read)
        return deviation

    def add_noise(self, clean: Array, rng: np.random.Generator) -> Array:
        """See `NoiseModel.add_noise`."""
        noise = rng.standard_normal(clean.shape, dtype=np.float32)
        noisy: Array = np.clip(clean + self.deviation(clean) * noise, 0, 1)
        return noisy


def unclipped(clean: Array, deviation: Array) -> NDArray[np.bool_]:
    """Where noise of a deviation seldom reaches black or white, which would cut it."""
    # Black itself is never inside: without read noise, its deviation is 0.
    inside: NDArray[np.bool_] = (clean > 2 * deviation) & (clean < 1 - 2 * deviation)
    return inside


def _basis(values: Array, srgb: bool) -> Array:
    """What gain and squared read noise are multiplied with for the variance, ... x 2."""
    if not srgb:
        return np.stack([values, np.ones_like(values)], axis=-1)
    # The slope of light against the picture's values, as `processing.to_linear` has it.
    bright = 2.4 / 1.055 * ((values + 0.055) / 1.055) ** 1.4
    slope = np.where(values <= 0.04045, 1 / 12.92, bright).astype(values.dtype)
    return np.stack([to_linear(values), np.ones_like(values)], axis=-1) / slope[..., None] ** 2


def _fit_curve(basis: Array, count: Array, variance: Array) -> Array:
    """The two coefficients, not negative, with which a basis, BINS x 2, fits the variance."""
    from scipy.optimize import nnls

    # Where noise is cut, less is measured than there is: three of the one, two of the other.
    inside = count * unclipped(_CENTRES, 1.5 * np.sqrt(variance))
    used = inside if inside.any() else count
    # The first round starts from noise of one strength.
    fitted = np.full(BINS, max((used * variance).sum() / max(used.sum(), 1), _LEAST))
    parts = np.zeros(2)
    for _ in range(10):
        weight = np.sqrt(used) / fitted
        # The columns are scaled alike, as the solver's tolerance is an absolute one.
        scale = basis.max(axis=0)
        parts = nnls(basis / scale * weight[:, None], variance * weight)[0] / scale
        fitted = np.maximum(basis @ parts, _LEAST)
    return parts
