"""Whether the two pictures of a pair belong together: alignment, exposure, saturation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from danet.data.pictures import Pixels

from collections.abc import Iterator

__all__ = ["FAULTS", "Agreement", "Limits", "compare", "screened_tiles"]

_ROUNDING = 3.0  # grey levels

FAULTS = ("mismatched", "misaligned", "exposure", "saturated")


@dataclass(frozen=True)
class Limits:
    """Beyond which a pair, or a tile of one, is faulty.

    Args:
        likeness: least correlation of the two pictures, where the noise cancels the clean one.
        correlation: largest, of the noise with the clean picture's gradient.
        difference: largest, of the two means, in grey levels of 255.
        saturation: largest share of values at the end of the scale.
    """

    likeness: float = 0.5
    correlation: float = 0.12
    difference: float = 1.0
    saturation: float = 0.5


@dataclass(frozen=True)
class Agreement:
    """How well a noisy picture agrees with its clean one.

    Attributes:
        likeness: correlation of the two, or 1 where their difference does not cancel the
            clean picture: in a flat picture, noise alone makes them unlike.
        correlation: of the noise with the clean picture's gradient, along the axis where it is
            larger in size.  A shift of the picture leaves such noise; a tile that has it
            would teach a denoiser to move edges.
        difference: mean of noisy minus clean, in grey levels of 255.
        saturation: share of the clean picture's values at either end of the scale, where
            nothing is seen of the noise.
        noise: standard deviation of noisy minus clean, in grey levels of 255, of the channels'
            mean.
    """

    likeness: float
    correlation: float
    difference: float
    saturation: float
    noise: float

    def excesses(self, limits: Limits | None = None) -> dict[str, float]:
        """Each of `FAULTS`, with a number above 1 where its limit is passed: how far."""
        limits = limits or Limits()
        return {
            # A likeness of 0 is as bad as can be, so it comes before all others.
            "mismatched": 100.0 if self.likeness < limits.likeness else 0.0,
            "misaligned": abs(self.correlation) / limits.correlation,
            "exposure": abs(self.difference) / limits.difference,
            "saturated": self.saturation / limits.saturation,
        }

    def faults(self, limits: Limits | None = None) -> list[str]:
        """Those of `FAULTS` that it has."""
        return [name for name, excess in self.excesses(limits).items() if excess > 1]


def compare(clean: Pixels, noisy: Pixels) -> Agreement:
    """Measure how well two pictures of one size agree, on the mean of their channels.

    Args:
        clean: H x W x 3, at least 2 x 2 pixels.
        noisy: of the shape of ``clean``, and of any type of pixels.

    Example:
        >>> ramp = np.linspace(0, 200, 32 * 32 * 3).reshape(32, 32, 3).astype(np.uint8)
        >>> compare(ramp, ramp + np.uint8(2)).faults()
        ['exposure']
    """
    reference, observed = _levels(clean), _levels(noisy)
    noise = observed - reference
    along = [_correlation(noise, np.gradient(reference, axis=axis)) for axis in (0, 1)]
    # In the dark, rounding alone makes small noise that cancels the picture.
    cancels = _correlation(noise, reference) < -0.5 and noise.std() > _ROUNDING
    at_end = (clean == 0) | (clean == np.iinfo(clean.dtype).max)
    return Agreement(
        likeness=_correlation(observed, reference) if cancels else 1.0,
        correlation=max(along, key=abs),
        difference=float(noise.mean()),
        saturation=float(at_end.mean()),
        noise=float(noise.std()),
    )


def _levels(picture: Pixels) -> NDArray[np.float64]:
    """The mean of the channels, H x W, in [0, 255]."""
    levels: NDArray[np.float64] = picture.mean(axis=-1) * (255 / np.iinfo(picture.dtype).max)
    return levels


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 0 else 0.0


def screened_tiles(
    clean: Pixels, noisy: Pixels, *, size: int = 256, limits: Limits | None = None
) -> Iterator[tuple[Pixels, Pixels]]:
    """The tiles of a pair in which `danet.data.screening` finds no fault, as (clean, noisy).

    Args:
        clean: H x W x 3.
        noisy: of the shape of ``clean``.
        size: height and width of a tile, in pixels; what is left at the border is dropped.
        limits: beyond which a tile is faulty, by default those of ``Limits``.
    """
    for top in range(0, clean.shape[0] - size + 1, size):
        for left in range(0, clean.shape[1] - size + 1, size):
            window = np.s_[top : top + size, left : left + size]
            if not compare(clean[window], noisy[window]).faults(limits):
                yield clean[window].copy(), noisy[window].copy()
