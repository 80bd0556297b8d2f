"""How noisy a picture is: for each channel, by intensity, and from place to place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # which imports its parts where they are used
from numpy.typing import NDArray
from torch import Tensor

from danet.errors import ImageError, check_count
from danet.images import Picture, to_tensor

__all__ = ["NoiseLevel", "noise_level"]

# Of a normal distribution: the standard deviation over the median and the mean of |x|.
_OVER_MEDIAN = 1.482602218505602
_OVER_MEAN = math.sqrt(math.pi / 2)
# The difference of two Laplacians, which no slope and no straight edge along the axes passes.
_DIFFERENCES = np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32) / 6
_FEWEST = 100  # pixels of a bin


@dataclass(frozen=True, eq=False)
class NoiseLevel:
    """Standard deviations of noise, on the scale of [0, 1].

    Attributes:
        channels: C: the figure for each channel.
        intensity: B: the middles of the bins of intensity.
        by_intensity: C x B: the figure for each bin, NaN where it has too few pixels.
        map: H x W x C: the figure around each pixel.
    """

    channels: NDArray[np.float32]
    intensity: NDArray[np.float32]
    by_intensity: NDArray[np.float32]
    map: NDArray[np.float32]


def noise_level(
    image: Picture,
    residual: NDArray[Any] | Tensor | None = None,
    *,
    bins: int = 16,
    window: int = 15,
) -> NoiseLevel:
    """Estimate the noise of a picture, robustly against what is not noise.

    The figures are 1.4826 times the median of the absolute residual, after Donoho and Johnstone,
    "Ideal spatial adaptation by wavelet shrinkage" (Biometrika 1994), section 4.2; those of the
    map are sqrt(pi / 2) times its mean in a window.  Without a residual, it is the picture
    filtered as in Immerkaer, "Fast noise variance estimation" (CVIU 1996), divided by 6: that is
    right for noise without correlation between neighbours, and low for that of developed
    photographs and JPEG.  There, give the residual of a denoiser.  Fine texture raises
    either a little, and the clipping of black and white lowers it.

    Args:
        image: one picture as for `danet.images.to_tensor`.
        residual: its noise, as ``denoiser(image, residual=True)`` gives it.
        bins: number of bins of intensity, of equal width over [0, 1].  The intensity is
            that of the picture less its residual, or of a 5 x 5 mean without one.
        window: side of the map's window in pixels.

    Returns:
        The figures; C is 1 for a grey picture, else 3.

    Raises:
        ImageError: the picture cannot be taken, is more than one, or the residual is not of
            its layout.
        ConfigError: ``bins`` or ``window`` is not positive.

    Example:
        >>> noise = np.random.default_rng(0).normal(0, 0.05, (64, 64))
        >>> level = noise_level((0.5 + noise).clip(0, 1))
        >>> level.channels.round(2), level.map.shape
        (array([0.05], dtype=float32), (64, 64, 1))
    """
    for name, value in (("bins", bins), ("window", window)):
        check_count(name, value, 1)
    picture = _channels_first(image)
    if residual is None:
        noise = np.stack([scipy.ndimage.convolve(c, _DIFFERENCES, mode="mirror") for c in picture])
        smooth = np.stack([scipy.ndimage.uniform_filter(c, 5, mode="mirror") for c in picture])
    else:
        noise = _as_channels(residual, picture)
        smooth = picture - noise
    edges = np.linspace(0, 1, bins + 1, dtype=np.float32)
    size = np.abs(noise)
    places = np.digitize(smooth, edges[1:-1])
    return NoiseLevel(
        channels=np.array([_deviation(channel) for channel in size], np.float32),
        intensity=((edges[1:] + edges[:-1]) / 2).astype(np.float32),
        by_intensity=np.array(
            [
                [_deviation(channel[place == bin_], _FEWEST) for bin_ in range(bins)]
                for channel, place in zip(size, places, strict=True)
            ],
            np.float32,
        ),
        map=np.stack([_OVER_MEAN * scipy.ndimage.uniform_filter(c, window) for c in size], axis=-1),
    )


def _deviation(size: NDArray[np.float32], fewest: int = 1) -> float:
    return _OVER_MEDIAN * float(np.median(size)) if size.size >= fewest else math.nan


def _channels_first(image: Picture) -> NDArray[np.float32]:
    """C x H x W of one picture, C being 1 for grey."""
    tensor, form = to_tensor(image)
    if len(tensor) != 1:
        raise ImageError(f"{len(tensor)} pictures in one tensor; give them one by one")
    pixels: NDArray[np.float32] = tensor[0].detach().cpu().numpy()
    return pixels[:1] if form.grey else pixels


def _as_channels(residual: NDArray[Any] | Tensor, picture: NDArray[np.float32]) -> Any:
    """C x H x W of a residual, which must have the size of the picture."""
    if isinstance(residual, Tensor):
        array = residual.detach().cpu().numpy()
        array = array[0] if array.ndim == 4 else array
    else:
        array = residual[np.newaxis] if residual.ndim == 2 else np.moveaxis(residual, -1, 0)
    if array.shape != picture.shape or not np.isfinite(array).all():
        raise ImageError(
            f"the residual of shape {residual.shape} must be finite, and of the layout of the "
            f"picture, {picture.shape[1]} x {picture.shape[2]} pixels of {len(picture)} channels"
        )
    return array.astype(np.float32)
