"""How much of the noise is taken from a picture, and what is given of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from danet.errors import ConfigError, ImageError
from danet.images import ImageForm, Picture, difference_from_tensor, from_tensor, to_tensor
from danet.images.parts import raster
from danet.inference.ensemble import self_ensemble, views

__all__ = ["Spread", "Treatment", "check_out", "result_layout"]


@dataclass(frozen=True)
class Treatment:
    """How much of what a network does is done to a picture, and what is given of it.

    Attributes:
        strength: how much of the noise that the network finds is taken: 0 none, 1 all, and above 1
            more than that.
        self_ensemble: take the mean over eight flips and rotations of the picture as it is padded
            for the network, so that tiles do not change it; see `danet.inference.ensemble`.
        residual: give what is taken instead of the picture without it.

    Raises:
        ConfigError: the strength is negative or not finite.

    Example:
        >>> half = Treatment(strength=0.5)
        >>> half.tensor(torch.zeros_like, torch.full((1, 3, 16, 16), 0.5)).mean()
        tensor(0.2500)
    """

    strength: float = 1.0
    self_ensemble: bool = False
    residual: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.strength) and self.strength >= 0):
            raise ConfigError(
                f"strength is {self.strength}, and must be a finite number of at least 0"
            )

    def tensor(self, predict: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
        """Treat a part of a picture, with the result of the whole.

        Args:
            predict: computes the network for N x C x H x W of a size that it takes as it is, and
                gives N x 3 x H x W.
            pixels: what it takes.

        Returns:
            What becomes of the pixels, or what is taken from them; N x 3 x H x W.
        """
        result = self_ensemble(pixels, predict) if self.self_ensemble else predict(pixels)
        if self.strength != 1:
            result = torch.lerp(pixels.to(result.device), result, self.strength)
        return pixels.to(result.device) - result if self.residual else result

    def picture(self, tensor: Tensor, form: ImageForm) -> Picture:
        """Turn what `tensor` gave into a picture, or a difference, of a form."""
        return (difference_from_tensor if self.residual else from_tensor)(tensor, form)


@dataclass(frozen=True)
class Spread(Treatment):
    """The standard deviation of the results for eight flips and rotations, as a difference."""

    residual: bool = True

    def tensor(self, predict: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
        """As that of `Treatment`, but gives the standard deviation."""
        mean = squares = torch.zeros(())
        # Welford's sums: the eight results need not be held at once.
        for count, view in enumerate(views(pixels, predict), 1):
            result = view.clamp(0, 1)
            difference = result - mean
            mean = mean + difference / count
            squares = squares + difference * (result - mean)
        return (squares / 7).sqrt()


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
    like = treatment.picture(*to_tensor(image[:1, :1]))
    assert isinstance(like, np.ndarray)
    return (*size, *like.shape[2:]), like.dtype


def check_out(out: object, image: Picture, treatment: Treatment) -> None:
    """Refuse an array that the result of a treatment of a picture cannot be written to.

    Raises:
        ImageError: it is no array, is read-only, has another shape or type than the result, or
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
