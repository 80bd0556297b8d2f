"""PSNR and SSIM of denoised pictures, and whether a pair belongs together."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from danet.errors import DanetWarning, check_count, require
from danet.metrics.inputs import check_least, chosen, take_pair

__all__ = ["QUALITY_PRESETS", "check_pair", "psnr", "ssim"]

QUALITY_PRESETS = ("2d", "matlab3d", "y")

Preset = Literal["2d", "matlab3d", "y"]
Order = Literal["rgb", "bgr"]
Array = NDArray[Any]

_RANGE = 255
_RADIUS = 5  # of the window of SSIM, 11 x 11
_SSIM = {
    "data_range": _RANGE,
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
}
# Share of the squared error that must go away before a pair is called swapped or shifted.
_CLEARLY = 0.8


def psnr(
    clean: Any,
    image: Any,
    preset: Preset = "2d",
    *,
    border: int = 0,
    rounding: bool = True,
    clamp: bool = True,
    order: Order = "rgb",
) -> float:
    """Peak signal-to-noise ratio of a picture: 10 log10(255^2 / mean squared error).

    By scikit-image, of levels from 0 to 255.  PSNR is taken of each picture and then averaged;
    that of the pooled error of many pictures is another number.

    Args:
        clean: the true picture, or N of them in a tensor, in [0, 1] where it is of floats.
        image: the picture to judge, of the same size; floats may lie outside [0, 1].
        preset: ``"2d"`` and ``"matlab3d"`` are the same here, over all pixels and channels;
            ``"y"`` is of the brightness alone, Y of ITU-R BT.601 in [16, 235] as MATLAB's
            ``rgb2ycbcr`` has it, not rounded.
        border: pixels left out along each side.
        rounding: whether to round both pictures to 8 bits first, as saving them would.
        clamp: whether to clamp ``image`` to [0, 1] first; otherwise floats outside are an
            error.
        order: of the channels, in both pictures; it matters to ``"y"`` alone.

    Returns:
        Decibels, the mean over the pictures; infinite where one equals its true one.

    Raises:
        ImageError: the sizes differ, or nothing is left within the border.
        ConfigError: a setting is out of its range or unknown, or scikit-image is not installed.

    Example:
        >>> import numpy as np
        >>> clean = np.full((16, 16, 3), 100, dtype=np.uint8)
        >>> round(psnr(clean, clean + np.uint8(2)), 2)
        42.11
    """
    chosen(preset, QUALITY_PRESETS)
    tensors = take_pair(clean, image, clamp)
    _check_border(border, tensors[0], 1, "PSNR")
    scores = []
    for truth, judged in _in_levels(tensors, border, rounding, order):
        if np.array_equal(truth, judged):
            return float("inf")
        measure = require("skimage.metrics", "metrics", "PSNR").peak_signal_noise_ratio
        if preset == "y":
            truth, judged = _brightness(truth), _brightness(judged)  # noqa: PLW2901
        scores.append(measure(truth, judged, data_range=_RANGE))
    return float(np.mean(scores))


def ssim(
    clean: Any,
    image: Any,
    preset: Preset = "2d",
    *,
    border: int = 0,
    rounding: bool = True,
    clamp: bool = True,
    order: Order = "rgb",
) -> float:
    """Structural similarity of a picture, after clamping and rounding to 8 bits.

    "Image quality assessment: from error visibility to structural similarity" (IEEE TIP 2004),
    equation 13, by scikit-image: Gaussian window of 11 pixels and standard deviation 1.5,
    population covariance, K1 .01, K2 .03, levels from 0 to 255.  The presets give different
    numbers for the same pictures, ``"matlab3d"`` about .04 more than ``"2d"`` on SIDD's
    validation set: compare only what has the same one.

    Args:
        clean: the true picture, or N of them in a tensor, in [0, 1] where it is of floats.
        image: the picture to judge, of the same size; floats may lie outside [0, 1].
        preset: ``"2d"``, the paper's: each channel by itself, without the outer 5 pixels that
            the window does not fill, then the mean over channels; at least 11 x 11 pixels.
            ``"matlab3d"``, of the later literature: MATLAB's ``ssim`` given an RGB picture,
            which takes H x W x 3 as a volume, its window 11 x 11 x 11, borders replicated.
            ``"y"``: as ``"2d"`` of the brightness alone, as `psnr` has it.
        border: pixels left out along each side before anything is measured.
        rounding: whether to round both pictures to 8 bits first, as saving them would.
        clamp: whether to clamp ``image`` to [0, 1] first; otherwise floats outside are an
            error.
        order: of the channels, in both pictures; it matters to ``"y"`` alone.

    Returns:
        At most 1, which equal pictures have; the mean over the pictures.

    Raises:
        ImageError: the sizes differ or are too small.
        ConfigError: a setting is out of its range or unknown, or scikit-image is not installed.

    Example:
        >>> import numpy as np
        >>> clean = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
        >>> ssim(clean, clean)
        1.0
    """
    chosen(preset, QUALITY_PRESETS)
    tensors = take_pair(clean, image, clamp)
    _check_border(border, tensors[0], 1 if preset == "matlab3d" else 2 * _RADIUS + 1, "SSIM")
    measure = require("skimage.metrics", "metrics", "SSIM").structural_similarity
    scores = []
    for truth, judged in _in_levels(tensors, border, rounding, order):
        if preset == "2d":
            score = measure(truth, judged, channel_axis=-1, **_SSIM)
        elif preset == "y":
            score = measure(_brightness(truth), _brightness(judged), **_SSIM)
        else:
            # scikit-image leaves out as much at each end as is replicated here.
            volumes = (np.pad(levels, _RADIUS, mode="edge") for levels in (truth, judged))
            score = measure(*volumes, **_SSIM)
        scores.append(score)
    return float(np.mean(scores))


def check_pair(clean: Any, image: Any) -> list[str]:
    """Warn when a pair looks like swapped channels or a shifted crop.

    Channels are called swapped where reversing them, RGB to BGR, takes away more than a fifth
    of the mean squared error; a crop, shifted, where moving it by whole pixels does so.  All
    shifts up to a quarter of the picture are tried, in its middle 512 x 512 pixels.  In
    strong noise a small shift is not seen.

    Args:
        clean: the true picture, or N of them in a tensor, in [0, 1] where it is of floats, at
            least 16 pixels each way.
        image: the noisy, denoised or generated one, of the same size.

    Returns:
        What was found, each also given as a ``danet.errors.DanetWarning``; empty where
        all is well.

    Raises:
        ImageError: the sizes differ or are too small.

    Example:
        >>> import numpy as np
        >>> clean = np.random.default_rng(0).random((32, 32, 3))
        >>> check_pair(clean, clean)
        []
    """
    truths, images = take_pair(clean, image)
    check_least(truths, 16, "the check of a pair")
    found: list[str] = []
    for truth, judged in zip(truths, images, strict=True):
        error = (truth - judged).square().mean()
        if (truth - judged.flip(0)).square().mean() < _CLEARLY * error:
            found.append("the channels of one picture look swapped: RGB against BGR")
        shift = _shift(truth, judged)
        if shift is not None:
            found.append(
                "one picture looks like a shifted crop of the other: by "
                f"{shift[0]} rows and {shift[1]} columns"
            )
    for message in found:
        warnings.warn(message, DanetWarning, stacklevel=2)
    return found


def _shift(truth: Tensor, judged: Tensor) -> tuple[int, int] | None:
    """By how much the judged picture must move to fit the true one clearly better."""
    from scipy import signal  # takes longer to import than all the rest

    centre = tuple(slice(max(0, side // 2 - 256), side // 2 + 256) for side in truth.shape[1:])
    grey, other = (
        picture.mean(dim=0)[centre].cpu().double().numpy() for picture in (truth, judged)
    )
    limits = np.array(grey.shape) // 4
    lags = tuple(
        slice(side - 1 - limit, side + limit)
        for side, limit in zip(grey.shape, limits, strict=True)
    )

    def sums(first: Array, second: Array) -> Array:
        """Of first(p + lag) second(p) over all p, for each lag."""
        products: Array = signal.correlate(first, second, method="fft")[lags]
        return products

    whole = np.ones_like(grey)
    # The squared error where the two overlap, with one moved by the lag and as they lie.
    moved = sums(grey**2, whole) + sums(whole, other**2) - 2 * sums(grey, other)
    lying = sums((grey - other) ** 2, whole)
    rounding = 1e-9 * grey.size
    share = (moved + rounding) / (lying + rounding)
    rows, columns = np.array(np.unravel_index(share.argmin(), share.shape)) - limits
    return (int(rows), int(columns)) if share.min() < _CLEARLY else None


def _in_levels(
    tensors: tuple[Tensor, Tensor], border: int, rounding: bool, order: Order
) -> Iterator[tuple[Array, Array]]:
    """The pairs of a batch, one by one, each H x W x 3, RGB, float64 from 0 to 255."""
    chosen(order, ("rgb", "bgr"), "order")

    def levels(tensor: Tensor) -> Array:
        inner = tensor[..., border : tensor.shape[2] - border, border : tensor.shape[3] - border]
        values = (inner * _RANGE).round() if rounding else inner * _RANGE
        values = values if order == "rgb" else values.flip(1)
        array: Array = values.permute(0, 2, 3, 1).cpu().to(torch.float64).numpy()
        return array

    truth, judged = map(levels, tensors)
    return zip(truth, judged, strict=True)


def _brightness(levels: Array) -> Array:
    colours = require("skimage.color", "metrics", "SSIM")
    brightness: Array = colours.rgb2ycbcr(levels / _RANGE)[..., 0]
    return brightness


def _check_border(border: int, pictures: Tensor, least: int, measure: str) -> None:
    check_count("border", border)
    check_least(pictures, least + 2 * border, measure)
