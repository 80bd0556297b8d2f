"""Pictures for model cards."""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ["drawing", "side_by_side"]


def drawing(side: int = 192) -> Image.Image:
    """A clean picture of gradients and shapes, for model cards."""
    from PIL import ImageDraw  # slow to import

    ramp = np.linspace(40, 215, side).astype(np.uint8)
    pixels = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], ramp[::-1, None]), axis=-1)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    draw = ImageDraw.Draw(picture)
    for step, colour in enumerate(["white", "firebrick", "seagreen", "navy", "black"]):
        inset = 16 * (step + 1)
        draw.ellipse((inset, inset, side - inset, side - inset), fill=colour)
    return picture


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    """Two RGB pictures of one height, joined."""
    joined = Image.new("RGB", (left.width + right.width, left.height))
    joined.paste(left, (0, 0))
    joined.paste(right, (left.width, 0))
    return joined
