"""The strength that suits a picture, by the noise that a network finds in parts of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from danet.images.parts import Area
from danet.inference.treatment import Number, Strength, Treatment

__all__ = ["FoundNoise", "found_noise", "is_automatic", "sample_areas", "settled"]

_SIDE = 256  # of a part, in pixels
_MOST = 4  # parts along an axis
_BLOCK = 8  # pixels
_BINS = 4  # of intensity, each with as many blocks
_SMOOTHEST = 0.05  # of the blocks of a bin
# The level over that of what is taken: a network leaves the noise that is coarse.  Measured with
# `photo` over noise of several kinds, and real pairs, by benchmarks/noise_level.py.
_LEFT = 1.1
# Grey levels of 255.  What a network finds in clean photographs is mostly below the first: their
# film's grain, their fine texture.
_NONE, _ALL = 1.3, 2.3


class FoundNoise(NamedTuple):
    """The noise of a picture, and what to do about it.

    Attributes:
        level: its standard deviation over all pixels and channels, where white is 1.
        strength: the share of it to take: 0 for what clean pictures show, 1 for noisy ones.
    """

    level: float
    strength: float

    def fill_in(self, strength: Number | tuple[Number, Number]) -> float | tuple[float, float]:
        """The strength with this one in the place of "auto".

        Raises:
            ConfigError: as `danet.inference.Treatment`.

        Example:
            >>> FoundNoise(level=0.008, strength=0.75).fill_in((0.5, "auto"))
            (0.5, 0.75)
        """
        both = strength if isinstance(strength, tuple) else (strength,)
        numbers: Any = tuple(self.strength if one == "auto" else one for one in both)
        filled = numbers if isinstance(strength, tuple) else numbers[0]
        return cast("float | tuple[float, float]", Treatment(filled).strength)


def is_automatic(strength: Strength) -> bool:
    """Whether a strength, or one of two, is "auto"."""
    both = strength if isinstance(strength, tuple) else (strength,)
    return any(isinstance(one, str) and one == "auto" for one in both)  # arrays are masks


def settled(
    strength: Strength | Callable[[FoundNoise], Strength], find: Callable[[], FoundNoise]
) -> Strength:
    """A strength itself, or what "auto" or a function makes of the noise that is found."""
    if callable(strength):
        return strength(find())
    return find().fill_in(cast(Any, strength)) if is_automatic(strength) else strength


def sample_areas(size: tuple[int, int]) -> list[Area]:
    """Parts that stand for a picture: evenly spread, at most 16, by its size alone.

    Example:
        >>> sample_areas((45, 400))
        [(slice(0, 45, None), slice(0, 256, None)), (slice(0, 45, None), slice(144, 400, None))]
    """
    rows, columns = ([slice(s, s + min(_SIDE, n)) for s in _starts(n)] for n in size)
    return [(row, column) for row in rows for column in columns]


def found_noise(pixels: NDArray[Any], residual: NDArray[Any]) -> FoundNoise:
    """Judge the noise of a picture by what a network takes from parts of it.

    Texture that a network takes for noise is in the residual, and noise that it takes for
    texture is not.  Both are rare where the picture is smooth.  So the residual is measured in
    blocks of 8 x 8 pixels, in the smoothest twentieth of those of a similar intensity, whose noise
    is alike; the result is the root mean square over the four intensities and the channels, and a
    tenth more for the coarse noise that networks leave.

    Args:
        pixels: the parts, N x C x H x W in [0, 1].
        residual: what the network takes from them; of the same shape.

    Returns:
        The noise.

    Example:
        >>> noise = np.random.default_rng(0).normal(0, 0.02, (1, 3, 64, 64))
        >>> found = found_noise(0.5 + noise, noise)
        >>> round(found.level, 3), found.strength
        (0.022, 1.0)
    """
    smooth, noise = _blocks(pixels - residual), _blocks(residual)
    squares = np.square(noise).mean(axis=2)
    texture = smooth.mean(axis=1).std(axis=1)
    variances = []
    for means, channel in zip(smooth.mean(axis=2).T, squares.T, strict=True):
        for chosen in np.array_split(np.argsort(means, kind="stable"), min(_BINS, len(means))):
            most = np.quantile(texture[chosen], _SMOOTHEST)
            variances.append(channel[chosen][texture[chosen] <= most].mean())
    level = _LEFT * math.sqrt(np.mean(variances))
    strength = (255 * level - _NONE) / (_ALL - _NONE)
    return FoundNoise(level, min(max(strength, 0.0), 1.0))


def _starts(length: int) -> list[int]:
    count = min(_MOST, -(-length // _SIDE))
    return [round(place) for place in np.linspace(0, max(length - _SIDE, 0), count)]


def _blocks(parts: NDArray[Any]) -> NDArray[np.float64]:
    """B x C x P: the P pixels of each block, without what is over at the right and below."""
    count, channels, height, width = parts.shape
    row, column = min(_BLOCK, height), min(_BLOCK, width)
    down, across = height // row, width // column
    whole = parts[..., : down * row, : across * column].astype(np.float64)
    cut = whole.reshape(count, channels, down, row, across, column)
    blocks: NDArray[np.float64] = cut.transpose(0, 2, 4, 1, 3, 5)
    return blocks.reshape(-1, channels, row * column)
