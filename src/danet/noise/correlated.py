"""Gaussian noise that is correlated between neighbours and between colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy  # which imports its parts where they are used
from numpy.typing import NDArray

from danet.errors import ConfigError, DataError, check_count
from danet.noise.fitting import residuals
from danet.noise.gaussian import PoissonGaussian, unclipped
from danet.noise.model import Array, NoiseModel

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CorrelatedGaussian"]


@dataclass(frozen=True, eq=False)
class CorrelatedGaussian(NoiseModel):
    """Stationary Gaussian noise with the correlations of real noise, scaled by the intensity.

    White Gaussian noise is filtered by a small kernel, which gives it the autocovariance and
    the covariance of the colours that were measured, and is then multiplied by the standard
    deviation of a `PoissonGaussian`.  A stationary Gaussian field is fixed by its
    autocovariance: Galerne, Gousseau, Morel, "Random phase textures: theory and synthesis" (IEEE
    TIP 2011).  Results are clamped to [0, 1] and not rounded.

    Args:
        strength: the standard deviation at each intensity.
        kernel: 3 x 3 x K x K with odd K, [to channel, from channel, row, column]; the squares
            for each channel that it makes sum to 1.

    Raises:
        ConfigError: the kernel has another shape, or other sums.

    Example:
        >>> kernel = np.zeros((3, 3, 3, 3))
        >>> kernel[:, 0, 1, :] = [2 / 3, 2 / 3, 1 / 3]  # grey, and blurred along the rows
        >>> model = CorrelatedGaussian(PoissonGaussian((0, 0, 0), (0.05, 0.05, 0.05)), kernel)
        >>> clean = np.full((256, 256, 3), 0.5, dtype=np.float32)
        >>> noise = model.sample(clean, n=1, seed=0)[0, ..., 0] - clean[..., 0]
        >>> round(float(np.corrcoef(noise[:, 1:].flat, noise[:, :-1].flat)[0, 1]), 1)
        0.7
    """

    strength: PoissonGaussian
    kernel: NDArray[np.floating]

    def __post_init__(self) -> None:
        shape = self.kernel.shape
        if len(shape) != 4 or shape[:2] != (3, 3) or shape[2] != shape[3] or shape[2] % 2 == 0:
            raise ConfigError(f"kernel is {shape}, and must be 3 x 3 x K x K with K odd")
        sums = np.square(self.kernel).sum(axis=(1, 2, 3))
        if not np.allclose(sums, 1, atol=1e-3):
            raise ConfigError(
                f"kernel has squares that sum to {sums.tolist()}, and they must sum to 1 for each "
                "channel"
            )

    @classmethod
    def fit(
        cls, pairs: Sequence[tuple[Any, Any]], radius: int = 7, *, srgb: bool | None = None
    ) -> Self:
        """The model fitted to pairs.

        The noise is divided by the standard deviation of the `PoissonGaussian` that is fitted
        first.  Its covariances, between channels and up to ``2 * radius`` pixels each way, are
        measured where the picture is smooth (`danet.noise.fitting.residuals`), away from black
        and white.  The kernel is the symmetric square root of their spectrum.

        Args:
            pairs: as for `WhiteGaussian.fit`; they are gone through twice.
            radius: of the kernel, in pixels.
            srgb: as for `PoissonGaussian.fit`.

        Raises:
            ConfigError: the radius is negative.
            ImageError: a picture cannot be taken, or the two of a pair differ in size.
            DataError: there are no pairs, or a channel has no noise that can be measured.
        """
        check_count("radius", radius)
        strength = PoissonGaussian.fit(pairs, srgb=srgb)
        return cls(strength, _square_root(_covariance(pairs, strength, 2 * radius), radius))

    def add_noise(self, clean: Array, rng: np.random.Generator) -> Array:
        """See `NoiseModel.add_noise`."""
        border = self.kernel.shape[-1] - 1
        sides = [side + border for side in clean.shape[:2]]
        white = rng.standard_normal((3, *sides), dtype=np.float32)
        size = [scipy.fft.next_fast_len(side, real=True) for side in sides]
        filters = scipy.fft.rfft2(self.kernel.astype(np.float32), size)
        spectrum = np.einsum("abij,bij->aij", filters, scipy.fft.rfft2(white, size))
        # What wraps around falls into the border.
        planes = scipy.fft.irfft2(spectrum, size)[:, border : sides[0], border : sides[1]]
        noise = self.strength.deviation(clean) * np.moveaxis(planes, 0, -1)
        noisy: Array = np.clip(clean + noise, 0, 1)
        return noisy


def _covariance(
    pairs: Sequence[tuple[Any, Any]], strength: PoissonGaussian, reach: int
) -> NDArray[np.float64]:
    """E[z_a(p) z_b(p + d)] of the normalised noise z, [a, b, d], for d up to ``reach`` each way."""
    lags = np.arange(-reach, reach + 1)
    window = np.ix_(lags, lags)
    products = np.zeros((3, 3, len(lags), len(lags)))
    counts = np.zeros((len(lags), len(lags)))
    for clean, noise, smooth in residuals(pairs):
        deviation = strength.deviation(clean)
        used: NDArray[np.bool_] = smooth & np.all(unclipped(clean, deviation), axis=-1)
        normal = np.where(used[..., np.newaxis], noise / np.maximum(deviation, 1e-8), 0)
        size = [scipy.fft.next_fast_len(side + reach, real=True) for side in used.shape]
        spectra = scipy.fft.rfft2(np.moveaxis(normal, -1, 0), size)
        mask = scipy.fft.rfft2(used.astype(np.float32), size)
        counts += scipy.fft.irfft2(np.abs(mask) ** 2, size)[window]
        for a in range(3):
            for b in range(3):
                product = scipy.fft.irfft2(spectra[a].conj() * spectra[b], size)
                products[a, b] += product[window]
    # Exact: of no pixels and of pixels without noise, every product is 0.
    if not np.einsum("aa->a", products[..., reach, reach]).all():
        raise DataError("a channel of the pairs has no noise to fit to, away from black and white")
    return products / np.maximum(counts, 1)


def _square_root(covariance: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """A kernel that gives white noise a covariance, 3 x 3 x K x K."""
    reach = covariance.shape[-1] // 2
    # Room for a root that is wider than the covariance.
    size = scipy.fft.next_fast_len(4 * reach + 1)
    padded = np.zeros((3, 3, size, size))
    padded[..., : 2 * reach + 1, : 2 * reach + 1] = covariance
    spectrum = scipy.fft.fft2(np.roll(padded, (-reach, -reach), axis=(-2, -1)))
    # Noise A w of white w has the covariance conj(A A^H) in this order of a and b.
    matrices = np.moveaxis(spectrum.conj(), (0, 1), (-2, -1))
    matrices = (matrices + matrices.conj().swapaxes(-2, -1)) / 2
    values, vectors = np.linalg.eigh(matrices)
    scaled = vectors * np.sqrt(np.maximum(values, 0))[..., np.newaxis, :]
    roots = np.moveaxis(scaled @ vectors.conj().swapaxes(-2, -1), (-2, -1), (0, 1))
    centred = np.roll(scipy.fft.ifft2(roots).real, (radius, radius), axis=(-2, -1))
    kernel = centred[..., : 2 * radius + 1, : 2 * radius + 1]
    norm = np.sqrt(np.square(kernel).sum(axis=(1, 2, 3), keepdims=True))
    root: NDArray[np.float64] = kernel / norm
    return root
