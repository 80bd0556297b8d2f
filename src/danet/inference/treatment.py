"""How much of the noise is taken from a picture, and what is given of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from danet.arrays import is_tensor, library_of
from danet.errors import ConfigError, ImageError
from danet.filters import TAPS_7, smooth
from danet.images.conversion import (
    ImageForm,
    Picture,
    difference_from_array,
    from_array,
    to_array,
)
from danet.images.light import PLAIN, Light
from danet.images.parts import Area, raster
from danet.inference.ensemble import self_ensemble, views
from danet.inference.sizes import crop, pad
from danet.inference.tiling import Tile

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Number",
    "Spread",
    "Strength",
    "Treatment",
    "check_out",
    "even_planes",
    "result_layout",
    "strength_planes",
]

Number: TypeAlias = float | Literal["auto"]
"""A strength, or "auto" for the one that suits the picture, see `danet.inference.automatic`."""

Strength: TypeAlias = Number | tuple[Number, Number] | Image.Image | NDArray[Any]
"""One number, two for luma and chroma, or a mask of the picture's size."""

_ArrayT = TypeVar("_ArrayT", NDArray[Any], "Tensor")

# The weights of red, green and blue in luma: ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Treatment:
    """How much of what a network does is done to a picture, and what is given of it.

    The pixels are tensors of PyTorch or arrays of NumPy.

    Attributes:
        strength: how much of the noise that the network finds is taken: 0 none, 1 all, and above 1
            more than that; or two such numbers, for its luma and its chroma.  None: they are joined
            to each pixel as two more channels, see `strength_planes`.
        self_ensemble: take the mean over eight flips and rotations of the picture as it is padded
            for the network, so that tiles do not change it; see `danet.inference.ensemble`.
        residual: give what is taken instead of the picture without it.
        grain: the share of the fine, colourless part of what is taken that is given back: of the
            luma of the noise, less that smoothed over 7 x 7 pixels by `danet.filters.TAPS_7`, times
            the strength of the luma.
        light: how the numbers of the picture stand for light.

    Raises:
        ConfigError: a strength is negative, not finite, or no number; or ``grain`` is not from 0
            to 1.

    Example:
        >>> half = Treatment(strength=0.5)
        >>> half.tensor(np.zeros_like, np.full((1, 3, 16, 16), 0.5)).mean().item()
        0.25
    """

    strength: float | tuple[float, float] | None = 1.0
    self_ensemble: bool = False
    residual: bool = False
    grain: float = 0.0
    light: Light = PLAIN

    def __post_init__(self) -> None:
        if not 0 <= self.grain <= 1:
            raise ConfigError(f"grain is {self.grain}, and must be from 0 to 1")
        given = self.strength if isinstance(self.strength, tuple) else (self.strength,)
        for value in () if self.strength is None else given:
            if not isinstance(value, SupportsFloat):
                raise ConfigError(
                    f'strength is {value!r}, and must be a number or "auto", or a tuple of two'
                )
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"strength is {value}, and must be a finite number of at least 0")
        if isinstance(self.strength, tuple) and len(self.strength) != 2:
            raise ConfigError(
                f"strength is {self.strength}, and must be one number, or two: luma, chroma"
            )

    def tensor(self, predict: Callable[[_ArrayT], _ArrayT], pixels: _ArrayT) -> _ArrayT:
        """Treat a part of a picture, with the result of the whole.

        Args:
            predict: computes the network for N x C x H x W of a size that it takes as it is, and
                gives N x 3 x H x W.
            pixels: what it takes.

        Returns:
            What becomes of the pixels, or what is taken from them, N x 3 x H x W; and, for
            `finish`, where grain is given back: the luma of the noise, and the share that is taken
            of it, as two more channels.
        """
        seen = pixels[:, :3] if self.strength is None else pixels
        cleaned = self_ensemble(seen, predict) if self.self_ensemble else predict(seen)
        if is_tensor(pixels):  # the network may be elsewhere
            pixels = pixels.to(cleaned.device)
        shares: Any = self.strength
        if shares is None:
            shares = pixels[:, 3:4], pixels[:, 4:]
            pixels = pixels[:, :3]
        if isinstance(shares, tuple):
            result = pixels - _scaled(pixels - cleaned, *shares)
        else:
            result = cleaned if shares == 1 else pixels + shares * (cleaned - pixels)
        given: _ArrayT = pixels - result if self.residual else result
        if not self.grain:
            return given
        luma = _luma(pixels - cleaned)
        share = shares[0] if isinstance(shares, tuple) else shares
        library = library_of(luma)
        joined: _ArrayT = library.concatenate([given, luma, share * library.ones_like(luma)], 1)
        return joined

    @property
    def reach(self) -> int:
        """How many pixels around a part of a picture `finish` needs."""
        return len(TAPS_7) // 2 if self.grain else 0

    def finish(self, pixels: _ArrayT) -> _ArrayT:
        """Give the grain back to what `tensor` gave, without what is beyond the picture."""
        if not self.grain:
            return pixels
        result, luma, share = pixels[:, :3], pixels[:, 3:4], pixels[:, 4:]
        around = (self.reach,) * 4
        fine = luma - crop(smooth(pad(luma, around), TAPS_7), around)
        grain = self.grain * share * fine
        given: _ArrayT = result - grain if self.residual else result + grain
        return given

    def picture(self, result: NDArray[Any] | Tensor, form: ImageForm) -> Picture:
        """Turn what `tensor` gave into a picture, or a difference, of a form."""
        if not is_tensor(result):
            return (difference_from_array if self.residual else from_array)(result, form)
        from danet.images.tensors import difference_from_tensor, from_tensor

        return (difference_from_tensor if self.residual else from_tensor)(result, form)


@dataclass(frozen=True)
class Spread(Treatment):
    """The standard deviation of the results for eight flips and rotations, as a difference."""

    residual: bool = True

    def tensor(self, predict: Callable[[Any], Any], pixels: Any) -> Any:
        """As that of `Treatment`, but gives the standard deviation."""
        mean: Any = 0.0
        squares: Any = 0.0
        # Welford's sums: the eight results need not be held at once.
        for count, view in enumerate(views(pixels, predict), 1):
            result = view.clip(0, 1)
            difference = result - mean
            mean = mean + difference / count
            squares = squares + difference * (result - mean)
        return (squares / 7) ** 0.5


def _scaled(noise: _ArrayT, luma: Any, chroma: Any) -> _ArrayT:
    """Noise, N x 3 x H x W, with its luma and its chroma multiplied by factors."""
    scaled: _ArrayT = chroma * noise + (luma - chroma) * _luma(noise)
    return scaled


def _luma(noise: _ArrayT) -> _ArrayT:
    red, green, blue = _LUMA
    luma: _ArrayT = red * noise[:, :1] + green * noise[:, 1:2] + blue * noise[:, 2:]
    return luma


def strength_planes(
    strength: Image.Image | NDArray[Any], image: Picture
) -> Callable[[range, Area], NDArray[np.float32]]:
    """Strengths of each pixel of a picture, as the engine joins them to its parts.

    Args:
        strength: a grey picture, of integers or a PIL image, whose white is 1; or floats of at
            least 0, H x W, or H x W x 2 for luma and chroma.
        image: the picture, H x W.

    Returns:
        What gives N x 2 x h x w for N pictures and an area, which may reach beyond them.

    Raises:
        ImageError: the strengths are not of the picture's size, have colours, or are negative
            or not finite.

    Example:
        >>> planes = strength_planes(np.full((45, 70), 0.5), np.zeros((45, 70, 3)))
        >>> planes(range(1), (slice(-3, 48), slice(0, 70))).shape
        (1, 2, 51, 70)
    """
    size = raster(image).size
    if isinstance(strength, np.ndarray) and strength.dtype.kind == "f":
        values = strength if strength.ndim == 3 else strength[..., None]
        if not (np.isfinite(values).all() and values.min(initial=0) >= 0):
            raise ImageError("the strengths of a mask must be finite numbers of at least 0")
    else:
        pixels, form = to_array(strength)
        if not form.grey:
            raise ImageError("a mask must be a grey picture, and it has colours")
        values = pixels[0, :1].transpose(1, 2, 0)
    if values.ndim != 3 or values.shape[2] not in (1, 2):
        raise ImageError(f"a mask is H x W or H x W x 2, and this one {values.shape}")
    if values.shape[:2] != size:
        raise ImageError(
            f"the mask has {values.shape[1]} x {values.shape[0]} pixels, and the picture "
            f"{size[1]} x {size[0]}; they must be of one size"
        )
    both = np.broadcast_to(values, (*size, 2)).astype(np.float32)
    whole = both.transpose(2, 0, 1)[None]

    def planes(group: range, area: Area) -> NDArray[np.float32]:
        rows, columns = (
            slice(max(span.start, 0), min(span.stop, length))
            for span, length in zip(area, size, strict=True)
        )
        part = pad(whole[..., rows, columns], Tile(area, (rows, columns), (rows, columns)).beyond)
        return np.repeat(part, len(group), axis=0)

    return planes


def even_planes(
    strengths: Sequence[float | tuple[float, float]],
) -> Callable[[range, Area], NDArray[np.float32]]:
    """Strengths of each of several pictures, as the engine joins them to their parts.

    Args:
        strengths: one number for each picture, or two, for its luma and its chroma.

    Returns:
        As `strength_planes`.

    Example:
        >>> planes = even_planes([0.5, (0, 1)])
        >>> planes(range(1, 2), (slice(0, 45), slice(0, 70))).mean(axis=(2, 3))
        array([[0., 1.]], dtype=float32)
    """
    both = [one if isinstance(one, tuple) else (one, one) for one in strengths]
    numbers = np.array(both, np.float32)

    def planes(group: range, area: Area) -> NDArray[np.float32]:
        some = numbers[group.start : group.stop]
        whole = np.empty((*some.shape, *(span.stop - span.start for span in area)), np.float32)
        whole[:] = some[..., None, None]
        return whole

    return planes


def result_layout(
    image: NDArray[Any], treatment: Treatment
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of the array that a treatment of an array gives.

    Raises:
        ImageError: the array is no picture.

    Example:
        >>> result_layout(np.zeros((45, 70, 4), np.uint8), Treatment(residual=True))
        ((45, 70, 3), dtype('float32'))
    """
    size = raster(image).size
    like = treatment.picture(*to_array(image[:1, :1], treatment.light))
    assert isinstance(like, np.ndarray)
    return (*size, *like.shape[2:]), like.dtype


def check_out(out: object, image: Picture, treatment: Treatment) -> None:
    """Refuse an array that the result of a treatment of a picture cannot be written to.

    Raises:
        ImageError: ``out`` is no array, is read-only, has another shape or type than the result, or
            shares memory with the picture, whose pixels are still needed when the first results
            are written.
    """
    if not isinstance(image, np.ndarray) or not isinstance(out, np.ndarray):
        raise ImageError(
            f"out is for arrays: it is a {type(out).__name__}, and the picture is a "
            f"{type(image).__name__}"
        )
    shape, dtype = result_layout(image, treatment)
    if (out.shape, out.dtype) != (shape, dtype):
        raise ImageError(
            f"out is {out.dtype} of shape {out.shape}, and must be {dtype} of shape {shape}"
        )
    if not out.flags.writeable:
        raise ImageError("out is read-only")
    if np.may_share_memory(out, image):
        raise ImageError("out shares memory with the picture")
