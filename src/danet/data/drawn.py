"""Drawn pictures: text, lines, fine patterns and stars."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["drawn_lines", "drawn_pattern", "drawn_stars", "drawn_text"]


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


def drawn_pattern(rng: np.random.Generator, size: int) -> NDArray[np.floating]:
    """Stripes, a checkerboard, waves, a fan or rings, down to the finest, size x size in [0, 1]."""
    rows, columns = np.indices((size, size))
    kind = rng.integers(5)
    if kind < 2:
        high, wide = rng.integers(1, 5, size=2)
        stripes = rows // high + (columns // wide if kind else 0)
        return np.asarray(stripes % 2, dtype=np.float64)
    down, across = (axis - rng.uniform(0, size) for axis in (rows, columns))
    if kind == 2:
        phase = np.pi * (rng.uniform(-1, 1) * down + rng.uniform(-1, 1) * across)
    elif kind == 3:
        phase = rng.integers(8, 80) * np.arctan2(down, across)
    else:
        phase = rng.uniform(0.2, 1.5) * np.pi * (down**2 + across**2) / (2 * size)
    return (0.5 + rng.uniform(0.5, 3) * np.cos(phase)).clip(0, 1)


def drawn_stars(rng: np.random.Generator, size: int) -> NDArray[np.floating]:
    """Points of light, sharp to soft, many of them faint, size x size x 3 in [0, 1]."""
    count = rng.poisson(size**2 * np.exp(rng.uniform(np.log(3e-4), np.log(0.02))))
    light = np.exp(rng.uniform(np.log(0.02), 0, size=(count, 1))) * rng.uniform(0.6, 1, (count, 3))
    width = rng.uniform(0.3, 1.4) + rng.exponential(0.15, size=(2, count, 1))
    away = (np.arange(size) - rng.uniform(0, size, size=(2, count, 1))) / width
    across, along = np.exp(-(away**2) / 2)
    stars: NDArray[np.floating] = np.einsum("ny,nx,nc->yxc", across, along, light)
    return stars.clip(0, 1)
