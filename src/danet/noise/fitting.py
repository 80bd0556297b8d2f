"""Measurements of the noise of pairs, for the models that are fitted to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet import images
from danet.errors import DataError, ImageError
from danet.noise.model import Array

__all__ = ["BINS", "noise_levels", "residuals"]

# Bins of the clean picture's intensity, of four 8-bit levels each.
BINS = 64


def residuals(
    pairs: Iterable[tuple[Any, Any]],
) -> Iterator[tuple[Array, Array, NDArray[np.bool_]]]:
    """The noise of each pair, without what is systematic, and where it can be measured.

    A difference of exposure or of tone curve between the two pictures is not noise: in each
    channel, the mean noise of each bin of intensity is taken off.  A small shift between them
    leaves edges in the noise, so it is to be measured in the smoother half of the pixels
    alone: those where the clean picture's gradient is not above its median.

    Args:
        pairs: (clean, noisy) pictures of equal size, as `danet.images.to_tensor` takes them.

    Returns:
        An iterator over (clean, noise, smooth): two of H x W x 3, float32, and H x W.

    Raises:
        ImageError: a picture cannot be taken, or the two of a pair differ in size.
    """
    for pair in pairs:
        clean, noisy = (images.to_tensor(picture)[0].detach().cpu() for picture in pair)
        if clean.shape != noisy.shape:
            raise ImageError(
                "the pictures of a pair differ in size: N x C x H x W of "
                f"{tuple(clean.shape)} and {tuple(noisy.shape)}"
            )
        for x, noise in zip(clean.movedim(1, -1), (noisy - clean).movedim(1, -1), strict=True):
            reference, residual = x.numpy(), noise.numpy().copy()
            smooth = _smooth(reference)
            for channel in range(3):
                bins = _bins(reference[..., channel])
                count, total, _ = _moments(bins[smooth], residual[..., channel][smooth])
                residual[..., channel] -= (total / np.maximum(count, 1)).astype(np.float32)[bins]
            yield reference, residual, smooth


def noise_levels(
    pairs: Iterable[tuple[Any, Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The variance of the noise against the clean picture's intensity.

    Args:
        pairs: as for `residuals`.

    Returns:
        Two arrays of 3 x BINS, for each channel and bin of intensity: how many pixels, less
        one for each picture's mean, and the variance of their noise, 0 where there are none.

    Raises:
        ImageError: as `residuals`.
        DataError: there are no pairs, or there is no noise in them.
    """
    freedom, square = np.zeros((2, 3, BINS))
    for clean, noise, smooth in residuals(pairs):
        for channel in range(3):
            bins = _bins(clean[..., channel][smooth])
            count, _, squares = _moments(bins, noise[..., channel][smooth])
            freedom[channel] += np.maximum(count - 1, 0)
            square[channel] += squares
    if not freedom.any():
        raise DataError("there are no pairs to fit to, at least 1 is needed")
    if not square.any():
        raise DataError("the pictures of each pair are the same: there is no noise to fit to")
    return freedom, square / np.maximum(freedom, 1)


def _smooth(picture: Array) -> NDArray[np.bool_]:
    grey = picture.mean(axis=-1)
    slope = np.zeros_like(grey)
    for axis in (0, 1):
        if grey.shape[axis] > 1:
            slope += np.gradient(grey, axis=axis) ** 2
    smooth: NDArray[np.bool_] = slope <= np.median(slope)
    return smooth


def _bins(channel: Array) -> NDArray[np.intp]:
    return np.minimum((channel * BINS).astype(np.intp), BINS - 1)


def _moments(bins: NDArray[np.intp], noise: Array) -> list[NDArray[np.float64]]:
    """For each bin: how many values, their sum, and the sum of their squares."""
    weights = (None, noise, np.square(noise, dtype=np.float64))
    return [np.bincount(bins, weight, BINS).astype(np.float64) for weight in weights]
