"""Drawn pictures: text and lines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["drawn_lines", "drawn_text"]


def drawn_text(rng: np.random.Generator, size: int) -> NDArray[np.floating]:
    """Lines of text of several heights, size x size, 1 where there is ink and 0 where none."""
    picture = Image.new("L", (size, size))
    draw = ImageDraw.Draw(picture)
    top = -int(rng.integers(8))
    while top < size:
        height = int(rng.integers(7, 22))
        letters = "".join(map(chr, rng.integers(33, 127, size=40)))
        draw.text(
            (-int(rng.integers(9)), top), letters, fill=255, font=ImageFont.load_default(height)
        )
        top += round(1.3 * height)
    return np.asarray(picture) / 255


def drawn_lines(rng: np.random.Generator, size: int) -> NDArray[np.floating]:
    """Straight lines of several widths and greys, size x size in [0, 1]."""
    # Twice as large and reduced, so that slanted ones are smooth.
    picture = Image.new("L", (2 * size, 2 * size))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(2, 20)):
        ends = rng.uniform(0, 2 * size, size=4).tolist()
        draw.line(ends, fill=int(rng.integers(60, 256)), width=int(rng.integers(1, 8)))
    return np.asarray(picture.resize((size, size), Image.Resampling.BOX)) / 255
