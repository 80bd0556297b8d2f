"""Patches to train on: of real pairs, and mixtures of data sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from danet.data.pictures import Pixels, scaled
from danet.errors import DataError

__all__ = [
    "Mixture",
    "PairPatches",
    "areas",
    "draw_window",
    "resize",
    "turned",
]


def draw_window(rng: np.random.Generator, picture: Pixels, size: int) -> tuple[slice, slice]:
    """A window of a picture."""
    height, width = picture.shape[:2]
    top, left = rng.integers(0, height - size + 1), rng.integers(0, width - size + 1)
    return np.s_[top : top + size, left : left + size]


def areas(pictures: Iterable[Pixels], size: int, setting: str) -> NDArray[np.float64]:
    """The share that each picture has in the area of all; ``setting`` is why ``size`` is needed.

    Raises:
        DataError: there are no pictures, or one is smaller than that.
    """
    sides = np.array([picture.shape[:2] for picture in pictures], dtype=np.float64)
    if not sides.size:
        raise DataError("there are no pictures to draw patches from")
    areas = sides.prod(axis=1)
    smallest = round(sides.min())
    if smallest < size:
        raise DataError(
            f"a picture is only {smallest} pixels high or wide, and {setting} needs {size}"
        )
    shares: NDArray[np.float64] = areas / areas.sum()
    return shares


def resize(picture: Pixels, size: int) -> Pixels:
    """A square picture with other numbers of rows and columns, of the same type."""
    bicubic = Image.Resampling.BICUBIC
    if picture.dtype == np.uint8:
        return np.asarray(Image.fromarray(picture).resize((size, size), bicubic))
    # PIL has no colours of 16 bits.
    channels = [
        np.asarray(Image.fromarray(channel).resize((size, size), bicubic))
        for channel in np.moveaxis(picture.astype(np.float32), -1, 0)
    ]
    largest = np.iinfo(picture.dtype).max
    resized: Pixels = np.rint(np.clip(np.stack(channels, axis=-1), 0, largest))
    return resized.astype(picture.dtype)


def turned(
    rng: np.random.Generator, picture: NDArray[Any], *, sideways: bool = True
) -> NDArray[Any]:
    """One of the eight flips and rotations of an H x W x C picture, or of four that keep rows."""
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    if not sideways:
        turns -= turns % 2
    rotated: NDArray[Any] = np.rot90(picture, turns)
    return rotated[:, ::-1] if flip else rotated


class PairPatches(Dataset[tuple[Tensor, ...]]):
    """Patches of real pairs: item ``i`` is drawn by (seed, i) alone, so it has no end.

    Args:
        pairs: (clean, noisy) pictures, H x W x 3, uint8 or uint16, such as
            `danet.data.container.PackedPairs`; they are read as they are drawn.
        size: height and width of a patch, in pixels.
        seed: fixes every item.
        strength: range of factors on the noise, drawn uniformly in the logarithm.
        scale: range of factors on the size of the noise, drawn uniformly in the logarithm; above 1
            makes it coarser.
        levels: how strong the noise of each pair is, in any unit; or none.
        sideways: turn patches by a right angle, too.

    Items:
        (clean, noisy), each 3 x size x size, float32 in [0, 1]; with levels (clean, noisy, level).
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Pixels, Pixels]],
        size: int,
        seed: int,
        *,
        strength: tuple[float, float] = (1.0, 1.0),
        scale: tuple[float, float] = (1.0, 1.0),
        levels: Sequence[float] = (),
        sideways: bool = True,
    ) -> None:
        self.pairs = pairs
        self.size, self.seed, self.strength, self.scale = size, seed, strength, scale
        self.levels, self.sideways = levels, sideways
        setting = f"a patch size of {size} with a scale from {scale[0]}"
        self.areas = areas((clean for clean, _ in pairs), round(size / scale[0]), setting)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        rng = np.random.default_rng((self.seed, index))
        source = round(self.size / np.exp(rng.uniform(*np.log(self.scale))))
        number = int(rng.choice(len(self.areas), p=self.areas))
        clean, noisy = self.pairs[number]
        window = draw_window(rng, clean, source)
        clean, noisy = clean[window], noisy[window]
        if source != self.size:
            clean, noisy = resize(clean, self.size), resize(noisy, self.size)
        x, y = scaled(clean), scaled(noisy)
        factor = np.float32(np.exp(rng.uniform(*np.log(self.strength))))
        if factor != 1:
            # Rounded as the picture was.
            largest = np.float32(np.iinfo(noisy.dtype).max)
            y = np.rint(np.clip(x + factor * (y - x), 0, 1) * largest) / largest
        both = turned(rng, np.concatenate([x, y], axis=-1), sideways=self.sideways)
        both = both.transpose(2, 0, 1)
        patches = torch.from_numpy(both.copy()).split(3)
        return (*patches, torch.tensor(factor * self.levels[number])) if self.levels else patches


class Mixture(Dataset[tuple[Tensor, ...]]):
    """Items of several data sets, each drawn by its weight; item ``i`` depends on (seed, i) alone.

    Args:
        parts: the data sets.
        weights: one for each, in proportion to which they are drawn.
        seed: fixes which data set gives which item.
    """

    def __init__(
        self,
        parts: Sequence[Dataset[tuple[Tensor, ...]]],
        weights: Sequence[float],
        seed: int,
    ) -> None:
        self.parts, self.seed = parts, seed
        self.shares = np.array(weights, dtype=np.float64) / sum(weights)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return self.parts[self._part(index)][index]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, ...]]:
        """The items of several indices, those of one part at once where it gives them so."""
        shares: dict[int, list[int]] = {}
        for index in indices:
            shares.setdefault(self._part(index), []).append(index)
        items: dict[int, tuple[Tensor, ...]] = {}
        for number, some in shares.items():
            part = self.parts[number]
            together = getattr(part, "__getitems__", None)
            drawn = together(some) if together else [part[index] for index in some]
            items.update(zip(some, drawn, strict=True))
        return [items[index] for index in indices]

    def _part(self, index: int) -> int:
        rng = np.random.default_rng((self.seed, index))
        return int(rng.choice(len(self.parts), p=self.shares))
