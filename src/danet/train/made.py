"""Pairs made of clean pictures: many kinds of clean patches, and noise for a batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from danet.data import Pixels, scaled
from danet.data.drawn import drawn_lines, drawn_pattern, drawn_stars, drawn_text
from danet.data.patches import areas, draw_window, resize, turned
from danet.noise import DevelopedNoise, NoiseModel
from danet.noise.model import log_uniform
from danet.rules import SHARE, check_rules, finite, rising

__all__ = ["Array", "MadePatches", "Variety"]

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Variety:
    """How clean patches differ, so that what is learned from them harms no picture.

    Args:
        soft: share of the patches from the soft pictures, where there are some.
        enlarge: largest factor by which a sharp picture is enlarged, drawn uniformly from 1.
        enlarged: share of the patches from sharp pictures that are enlarged.
        shrink: largest factor by which a sharp picture is made smaller, drawn uniformly from 1, as
            far as the picture is large enough.
        shrunk: share, among those that are not enlarged, of patches that are made smaller.
        exposure: range of factors on the values of every patch.
        saturation: range of factors on the distance of a patch's colours from grey.
        tinted: share of the patches whose channels are each multiplied by a factor of their own.
        tint: smallest and largest factor of ``tinted``.
        flat: share of patches of one colour, or of two colours with an edge.
        drawn: share of patches of text, lines, fine patterns or stars.
        dark: share of pairs whose clean and noisy side are made darker together, as in a picture
            of 16 bits that was exposed too little.
        darkness: smallest and largest factor of ``dark``.
        untouched: share of pairs without noise.

    Raises:
        ConfigError: a share is not from 0 to 1, or a range has its ends in the wrong order.
    """

    soft: Annotated[float, SHARE] = 0.4
    enlarge: Annotated[float, finite(1)] = 2.2
    enlarged: Annotated[float, SHARE] = 0.75
    shrink: Annotated[float, finite(1)] = 2.0
    shrunk: Annotated[float, SHARE] = 0.25
    exposure: Annotated[tuple[float, float], rising(most=1)] = (1.0, 1.0)
    saturation: Annotated[tuple[float, float], rising()] = (1.0, 1.0)
    tinted: Annotated[float, SHARE] = 0.2
    tint: Annotated[tuple[float, float], rising()] = (0.35, 1.1)
    flat: Annotated[float, SHARE] = 0.04
    drawn: Annotated[float, SHARE] = 0.04
    dark: Annotated[float, SHARE] = 0.05
    darkness: Annotated[tuple[float, float], rising(most=1)] = (1 / 32, 1 / 2)
    untouched: Annotated[float, SHARE] = 0.03

    def __post_init__(self) -> None:
        check_rules(self, "data.extra.variety.")


class MadePatches(Dataset[tuple[Tensor, ...]]):
    """Patches of clean pictures with made noise: item ``i`` is drawn by (seed, i) alone.

    A loader that asks for several items at once gets the same ones sooner.

    Args:
        sharp: clean pictures, H x W x 3, uint8 or uint16, at least ``size`` high and wide.
        soft: others, already as soft as cameras make them; may be empty.
        size: height and width of a patch, in pixels.
        seed: fixes every item.
        noise: what adds the noise; by default `DevelopedNoise`.
        variety: how the clean patches differ.

    Items:
        (clean, noisy), each 3 x size x size, float32 in [0, 1].

    Raises:
        DataError: there are no sharp pictures, or one is too small.
    """

    def __init__(
        self,
        sharp: Sequence[Pixels],
        soft: Sequence[Pixels],
        size: int,
        seed: int,
        noise: NoiseModel | None = None,
        variety: Variety | None = None,
    ) -> None:
        self.sharp, self.soft, self.size, self.seed = sharp, soft, size, seed
        self.noise = noise or DevelopedNoise()
        self.variety = variety or Variety()
        setting = f"a patch size of {size}"
        self.sharp_areas = areas(sharp, size, setting)
        self.soft_areas = areas(soft, size, setting) if soft else None

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """The items of several indices."""
        sources = [np.random.default_rng((self.seed, index)) for index in indices]
        clean = torch.from_numpy(np.stack([self._clean(rng) for rng in sources]))
        noisy = self.noise.add_to_batch(clean, sources)
        return [self._finished(*pair) for pair in zip(clean, noisy, sources, strict=True)]

    def _clean(self, rng: np.random.Generator) -> Array:
        """A clean patch, 3 x size x size."""
        variety, kind = self.variety, rng.random()
        if kind < variety.flat:
            patch = _flat(rng, self.size)
        elif kind < variety.flat + variety.drawn:
            patch = _drawn(rng, self.size)
        elif self.soft_areas is not None and rng.random() < variety.soft:
            picture = self.soft[int(rng.choice(len(self.soft), p=self.soft_areas))]
            patch = scaled(picture[draw_window(rng, picture, self.size)])
        else:
            picture = self.sharp[int(rng.choice(len(self.sharp), p=self.sharp_areas))]
            patch = self._resized(picture, rng)
        if rng.random() < variety.tinted:
            patch = np.clip(patch * rng.uniform(*variety.tint, size=3).astype(np.float32), 0, 1)
        # Without a range nothing is drawn, and the draws after it stay as they are.
        if variety.exposure != (1, 1):
            patch = patch * np.float32(rng.uniform(*variety.exposure))
        if variety.saturation != (1, 1):
            grey = patch.mean(axis=-1, keepdims=True)
            patch = grey + np.float32(rng.uniform(*variety.saturation)) * (patch - grey)
            patch = np.clip(patch, 0, 1)
        return np.ascontiguousarray(turned(rng, patch).transpose(2, 0, 1))

    def _resized(self, picture: Pixels, rng: np.random.Generator) -> Array:
        """A patch of a sharp picture, larger or smaller than it was."""
        side = self.size
        if rng.random() < self.variety.enlarged:
            side = round(side / rng.uniform(1, self.variety.enlarge))
        elif rng.random() < self.variety.shrunk:
            most = min(self.variety.shrink, min(picture.shape[:2]) / side)
            side = round(side * rng.uniform(1, most))
        window = picture[draw_window(rng, picture, side)]
        return scaled(window if side == self.size else resize(window, self.size))

    def _finished(
        self, clean: Tensor, noisy: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        if rng.random() < self.variety.untouched:
            noisy = clean
        if rng.random() < self.variety.dark:
            factor = log_uniform(rng, *self.variety.darkness)
            clean, noisy = clean * factor, noisy * factor
        return clean, noisy


def _flat(rng: np.random.Generator, size: int) -> Array:
    """One colour, or two with a straight edge between them; a third of them saturated."""
    colours = rng.random((2, 3))
    if rng.random() < 1 / 3:
        colours = np.round(colours)
    rows, columns = np.indices((size, size)) / size
    angle = rng.uniform(0, 2 * np.pi)
    beyond = np.cos(angle) * rows + np.sin(angle) * columns > rng.uniform(-0.5, 1.5)
    patch: Array = np.where(beyond[..., None], colours[0], colours[1]).astype(np.float32)
    return patch


def _drawn(rng: np.random.Generator, size: int) -> Array:
    """Text, lines or a pattern in two colours, or stars on a dark sky."""
    kind = rng.random()
    if kind < 0.4:
        sky = rng.uniform(0, 0.2) * rng.uniform(0.5, 1, size=3)
        return (sky + drawn_stars(rng, size)).clip(0, 1).astype(np.float32)
    ground, ink = (
        rng.random((2, 3)) if rng.random() < 0.5 else rng.permutation([[0.0] * 3, [1.0] * 3])
    )
    draw = drawn_text if kind < 0.55 else drawn_lines if kind < 0.7 else drawn_pattern
    patch: Array = (ground + draw(rng, size)[..., None] * (ink - ground)).astype(np.float32)
    return patch
