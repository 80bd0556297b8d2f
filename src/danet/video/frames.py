"""The frames of a video as arrays of pixels, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.errors import require

__all__ = ["EXTRA", "frame_of", "libav", "pixels_of"]

EXTRA = "video"

# The numbers that swscale has for the matrices between RGB and luma and chroma, by those that a
# frame is tagged with: BT.709, FCC, BT.601 (twice), SMPTE 240M, and BT.2020 (twice).
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_FULL_RANGE = 2
# SWS_LANCZOS, and SWS_ACCURATE_RND, SWS_FULL_CHR_H_INT and SWS_FULL_CHR_H_INP, which not every
# PyAV has names for.  Without these three swscale is quicker, and several levels off.
_INTERPOLATION = 0x200 | 0x40000 | 0x2000 | 0x4000


def libav() -> Any:
    """PyAV.

    Raises:
        ConfigError: it is not installed.
    """
    return require("av", EXTRA, "a video")


def pixels_of(frame: Any) -> NDArray[np.uint16]:
    """The pixels of a frame of PyAV: H x W of grey, or H x W x 3 or 4 of RGB, as they are stored.

    Chroma of a lower resolution is enlarged.  Luma and chroma of no colour in [0, 1] are clipped.
    """
    pixels: NDArray[np.uint16] = frame.reformat(
        format=_whole_format(frame.format),
        src_colorspace=_matrix(frame),
        dst_color_range=_FULL_RANGE,
        interpolation=_INTERPOLATION,
    ).to_ndarray()
    return pixels


def frame_of(pixels: NDArray[np.uint16], like: Any, pixel_format: str) -> Any:
    """Pixels of `pixels_of` as a frame, with the time, colours and range of values of another.

    Args:
        pixels: what it shows.
        like: the frame that it takes the place of.
        pixel_format: how libav calls the layout of its values, such as "yuv420p".
    """
    av = libav()
    whole = av.VideoFrame.from_ndarray(
        np.ascontiguousarray(pixels), format=_whole_format(like.format)
    )
    frame = whole.reformat(
        format=pixel_format,
        dst_colorspace=_matrix(like),
        src_color_range=_FULL_RANGE,
        dst_color_range=like.color_range,
        interpolation=_INTERPOLATION,
    )
    for name in ("pts", "time_base", "duration", "colorspace", "color_range"):
        setattr(frame, name, getattr(like, name))
    return frame


def _whole_format(given: Any) -> str:
    """Of 16 bits, so that nothing is lost of what has less."""
    if any(component.is_alpha for component in given.components):
        return "rgba64le"
    is_grey = len(given.components) == 1 and given.components[0].is_luma
    return "gray16le" if is_grey else "rgb48le"


def _matrix(frame: Any) -> int:
    # Where nothing is said, players take BT.709 for large pictures and BT.601 for small ones.
    return _MATRICES.get(frame.colorspace, 1 if frame.height >= 720 else 5)
