"""The steps of a camera's processing that the pipelines share."""

from __future__ import annotations

import io

import numpy as np
import scipy  # which imports its parts where they are used
from PIL import Image

from danet.noise.model import Array

__all__ = [
    "demosaic_bilinear",
    "demosaic_malvar",
    "inverse_tone_curve",
    "jpeg",
    "mosaic",
    "to_display",
    "to_linear",
    "tone_curve",
]

# Bilinear interpolation of a Bayer mosaic: green has every second pixel, red and blue one in four.
_BILINEAR_GREEN = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], dtype=np.float32) / 4
_BILINEAR_RED_BLUE = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=np.float32) / 4

# Linear interpolation with the gradient of the colour that a photosite does have.
_GREEN_CROSS = (
    np.array(
        [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]],
        dtype=np.float32,
    )
    / 8
)
# Red or blue at green, from those to its left and right.
_BESIDE = (
    np.array(
        [
            [0, 0, 0.5, 0, 0],
            [0, -1, 0, -1, 0],
            [-1, 4, 5, 4, -1],
            [0, -1, 0, -1, 0],
            [0, 0, 0.5, 0, 0],
        ],
        dtype=np.float32,
    )
    / 8
)
# Red at blue, and blue at red.
_OPPOSITE = (
    np.array(
        [
            [0, 0, -1.5, 0, 0],
            [0, 2, 0, 2, 0],
            [-1.5, 0, 6, 0, -1.5],
            [0, 2, 0, 2, 0],
            [0, 0, -1.5, 0, 0],
        ],
        dtype=np.float32,
    )
    / 8
)


def to_linear(image: Array) -> Array:
    """Undo the sRGB curve."""
    return np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)


def to_display(linear: Array) -> Array:
    """Apply the sRGB curve."""
    # The straight piece of the sRGB curve is continued below black, so that noise there
    # is clipped once, at the end.
    bright = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, bright)


def inverse_tone_curve(image: Array) -> Array:
    """Undo `tone_curve`."""
    inverse: Array = 0.5 - np.sin(np.arcsin(1 - 2 * np.clip(image, 0, 1)) / 3)
    return inverse


def tone_curve(image: Array) -> Array:
    """Apply the S-shaped 3 x^2 - 2 x^3."""
    inside = np.clip(image, 0, 1)
    return inside * inside * (3 - 2 * inside)


def mosaic(image: Array, red_row: int, red_column: int) -> Array:
    """The one colour of an H x W x 3 picture that each photosite of a Bayer sensor sees, H x W."""
    sites: Array = image[..., 1].copy()
    sites[red_row::2, red_column::2] = image[red_row::2, red_column::2, 0]
    sites[1 - red_row :: 2, 1 - red_column :: 2] = image[1 - red_row :: 2, 1 - red_column :: 2, 2]
    return sites


def demosaic_bilinear(noise: Array, red_row: int, red_column: int) -> Array:
    """Noise of one value per photosite, H x W, as bilinear demosaicing spreads it to H x W x 3."""
    red = np.zeros_like(noise)
    blue = np.zeros_like(noise)
    red[red_row::2, red_column::2] = 1
    blue[1 - red_row :: 2, 1 - red_column :: 2] = 1
    green = 1 - red - blue
    return np.stack(
        [
            scipy.ndimage.convolve(noise * red, _BILINEAR_RED_BLUE, mode="mirror"),
            scipy.ndimage.convolve(noise * green, _BILINEAR_GREEN, mode="mirror"),
            scipy.ndimage.convolve(noise * blue, _BILINEAR_RED_BLUE, mode="mirror"),
        ],
        axis=-1,
    )


def demosaic_malvar(sites: Array, red_row: int, red_column: int) -> Array:
    """A mosaic of one value per photosite, H x W, as a picture, H x W x 3.

    Malvar, He, Cutler, "High-quality linear interpolation for demosaicing of Bayer-patterned color
    images" (ICASSP 2004), which MATLAB's ``demosaic`` also is.

    Args:
        sites: the values.
        red_row: 0 or 1, the first row with red photosites.
        red_column: 0 or 1, the first column with red photosites.
    """
    rows = np.arange(sites.shape[0])[:, np.newaxis] % 2 == red_row
    columns = np.arange(sites.shape[1]) % 2 == red_column
    red, blue = rows & columns, ~rows & ~columns
    cross, row, column, opposite = (
        scipy.ndimage.convolve(sites, kernel, mode="mirror")
        for kernel in (_GREEN_CROSS, _BESIDE, _BESIDE.T, _OPPOSITE)
    )
    # Green in a row of reds has red beside it, and blue above and below; in a row of blues not.
    return np.stack(
        [
            np.select([red, blue, rows], [sites, opposite, row], column),
            np.where(red | blue, cross, sites),
            np.select([red, blue, rows], [opposite, sites, column], row),
        ],
        axis=-1,
    )


def jpeg(image: Array, quality: int, subsampling: int) -> Array:
    """A picture in [0, 1], H x W x 3, after rounding to 8 bits and JPEG; settings as Pillow's."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(
        buffer, "JPEG", quality=quality, subsampling=subsampling
    )
    return np.asarray(Image.open(buffer), dtype=np.float32) / 255
