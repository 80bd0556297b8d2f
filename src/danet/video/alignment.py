"""Pictures of one scene, laid over each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from danet.errors import require
from danet.video.frames import EXTRA

__all__ = ["Shot", "aligned", "steadied"]

Floats = NDArray[np.float32]

# Two denoised pictures of one scene differ by what is left of the noise.  Where the square of their
# difference is this many times its median, the other one counts 1 / e of the picture itself.
# Chosen by benchmarks/video.py: more blurs what moves.
_TOLERANCE = 2.5
# That square is at least and at most this many times that of the noise that was taken.
_SHARES = 0.64, 4
# Nothing counts if the median is this many times that: in fine texture, of which a network takes
# little noise, it is 5 times, and after a cut 20 and more.
_ANOTHER = 8
# Of the Gaussian window that they are compared in.
_WINDOW = 1.5
# A grey level of 8 bits: no two pictures are compared finer.
_LEAST = 1 / 255
# Pixels of a side: of smaller pictures OpenCV finds no flow, and of some the process dies.
_SMALLEST = 16


class Shot(NamedTuple):
    """A picture before and after denoising.

    Attributes:
        noisy: H x W, or H x W x C, in [0, 1].
        clean: of the same shape.
    """

    noisy: Floats
    clean: Floats


def aligned(shot: Shot, other: Shot) -> tuple[Any, Floats]:
    """Find another picture of the same scene in the place of the first.

    The flow between the two is that of "Fast Optical Flow using Dense Inverse Search" (ECCV
    2016), by OpenCV, found between the denoised pictures.  A pixel counts the less, the more these
    differ around it, in relation to what they differ by at most places: where something moved out
    of the way, or the flow is wrong, it does not count at all.  If most of the other picture
    differs by more than the noise, it shows another scene, and nothing of it counts.

    Args:
        shot: whose places are taken.
        other: of the same size.

    Returns:
        A function that lays an array, H x W or H x W x C, of ``other`` over ``shot``; and how much
        each of its pixels counts beside the picture itself, H x W, in [0, 1].

    Raises:
        ConfigError: OpenCV is not installed.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> import scipy
        >>> scene = scipy.ndimage.gaussian_filter(rng.random((64, 80), np.float32), 2)
        >>> shots = [Shot(part, part) for part in (scene[2:50, 3:67], scene[:48, :64])]
        >>> lay, weights = aligned(*shots)
        >>> bool(abs(lay(shots[1].clean) - shots[0].clean)[8:-8, 8:-8].max() < 0.05)
        True
    """
    cv2 = require("cv2", EXTRA, "aligning pictures")
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = shot.clean.shape[:2]
    flow = search.calc(_grey(shot.clean), _grey(other.clean), None)[:height, :width]
    columns = flow[..., 0] + np.arange(width, dtype=np.float32)
    rows = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]

    def lay(pixels: Floats) -> Floats:
        laid: Floats = cv2.remap(
            pixels, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        return laid

    squares = _mean_square(shot.clean - lay(other.clean))
    squares = cv2.GaussianBlur(squares, (0, 0), _WINDOW)
    inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    noise = max(float(np.mean(np.square(shot.noisy - shot.clean))), _LEAST**2)
    least, most = (share * noise for share in _SHARES)
    typical = float(np.median(squares[inside])) if inside.any() else np.inf
    if typical >= _ANOTHER * noise:
        return lay, np.zeros_like(squares)
    scale = min(max(_TOLERANCE * typical, least), most)
    return lay, np.exp(-squares / scale) * inside


def steadied(shots: Iterable[Shot], reach: int) -> Iterator[Floats]:
    """Average each denoised picture with its neighbours in time.

    Args:
        shots: in their order; some are held, ``2 * reach + 1`` at most.
        reach: how many neighbours before and after are taken.

    Yields:
        The averages, one for each picture.

    Example:
        >>> shots = [Shot(np.full((32, 32), level), np.full((32, 32), 0.5)) for level in (0.4, 0.6)]
        >>> len(list(steadied(shots, reach=1)))
        2
    """
    window: deque[Shot | None] = deque([None] * (2 * reach + 1), 2 * reach + 1)
    for shot in chain(shots, repeat(None, reach)):
        window.append(shot)
        if (middle := window[reach]) is not None:
            others = [other for other in window if other is not None and other is not middle]
            yield _average(middle, others)


def _average(shot: Shot, others: Iterable[Shot]) -> Floats:
    total = shot.clean.copy()
    counts = np.ones(total.shape[:2], np.float32)
    for other in others:
        lay, weights = aligned(shot, other)
        total += _by_pixel(weights, total) * lay(other.clean)
        counts += weights
    mean: Floats = total / _by_pixel(counts, total)
    return mean


def _by_pixel(values: Floats, pixels: Floats) -> Floats:
    """Values of each pixel, to be multiplied with pixels of any number of channels."""
    return values if pixels.ndim == 2 else values[..., None]


def _grey(pixels: Floats) -> NDArray[np.uint8]:
    """Grey levels, continued below and to the right of a small picture."""
    grey = pixels if pixels.ndim == 2 else pixels[..., :3].mean(axis=2)
    levels: NDArray[np.uint8] = np.rint(grey.clip(0, 1) * 255).astype(np.uint8)
    return np.pad(levels, [(0, max(0, _SMALLEST - side)) for side in levels.shape], mode="edge")


def _mean_square(difference: Floats) -> Floats:
    squares: Floats = np.square(difference)
    return squares if squares.ndim == 2 else squares.mean(axis=2, dtype=np.float32)
