"""Pairs of noisy and clean pictures: finding, screening, and drawing training patches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from danet import images
from danet.errors import DataError

__all__ = [
    "Mixture",
    "NoisedPatches",
    "Pair",
    "PairPatches",
    "Pixels",
    "folder_pairs",
    "picture_files",
    "polyu_clean",
    "polyu_pairs",
    "read_pair",
    "read_picture",
    "screened_tiles",
]

# A picture as it is trained on, H x W x 3.
Pixels: TypeAlias = NDArray[np.uint8]
AddNoise = Callable[[NDArray[np.floating], np.random.Generator], NDArray[np.floating]]

_NAMES = (("_real", "_mean"), ("_Real", "_mean"), ("_noisy", "_clean"))


class Pair(NamedTuple):
    """The two files of one pair."""

    noisy: Path
    clean: Path


def polyu_pairs(root: Path, part: str, kind: str = "crops") -> list[Pair]:
    """The pairs of PolyU in one part of its scene-disjoint split.

    Args:
        root: folder that holds ``crops/``, ``full/`` and ``split.json``.
        part: ``"train"`` or ``"val"``.
        kind: ``"crops"`` of 512 px, or ``"full"`` frames, which need ``screened_tiles``.

    Raises:
        DataError: the split cannot be read or has no such part.
    """
    names = _polyu_split(root, kind, part)
    clean = [name.replace("_real", "_mean").replace("_Real", "_mean") for name in names]
    folder = root / kind
    return [Pair(folder / y, folder / x) for y, x in zip(names, clean, strict=True)]


def polyu_clean(root: Path, part: str) -> list[Path]:
    """The clean sides of PolyU's whole frames in one part of its split.

    Args:
        root: folder that holds ``full/`` and ``split.json``.
        part: ``"train"`` or ``"val"``.

    Raises:
        DataError: the split cannot be read or has no such part.
    """
    return [root / "full" / name for name in _polyu_split(root, "clean_only", part)]


def _polyu_split(root: Path, kind: str, part: str) -> list[str]:
    path = root / "split.json"
    try:
        names: list[str] = json.loads(path.read_text())[kind][part]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} gives no {kind!r} pictures for {part!r}: {error}") from error
    return names


def folder_pairs(root: Path) -> list[Pair]:
    """Pairs of a folder: ``noisy/`` beside ``clean/`` with equal stems, or names with endings.

    The endings are ``_noisy`` and ``_clean``, or ``_real`` and ``_mean``.

    Raises:
        DataError: the folder holds no pairs, or a noisy picture has no clean one or several.
    """
    if (root / "noisy").is_dir():
        files = picture_files(root / "clean")
        wanted = [(path, path.stem) for path in picture_files(root / "noisy")]
    else:
        files = picture_files(root)
        wanted = [
            (path, path.stem.removesuffix(noisy_end) + clean_end)
            for path in files
            for noisy_end, clean_end in _NAMES
            if path.stem.endswith(noisy_end)
        ]
    stems = {stem for _, stem in wanted}
    clean: dict[str, Path] = {}
    for path in files:
        if path.stem in stems and (first := clean.setdefault(path.stem, path)) != path:
            raise DataError(f"two clean pictures of one name: {first} and {path}")
    missing = [str(path) for path, stem in wanted if stem not in clean]
    if missing:
        raise DataError(f"no clean picture for {len(missing)} noisy ones, {missing[0]} the first")
    if not wanted:
        raise DataError(f"{root} holds no pairs: noisy/ and clean/, or *_noisy.* and *_clean.*")
    return [Pair(path, clean[stem]) for path, stem in wanted]


def picture_files(folder: Path) -> list[Path]:
    """The pictures of one folder, sorted by name, without hidden files.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    return sorted(
        path
        for path in folder.iterdir()
        # Some systems put a hidden file of the same suffix beside each picture.
        if path.suffix.lower() in images.READABLE
        and not path.name.startswith(".")
        and path.is_file()
    )


def read_picture(path: Path) -> Pixels:
    """A picture file as H x W x 3, uint8.

    Args:
        path: a file of any format and mode that `danet.images.read_image` takes.

    Raises:
        ImageError: there is no such file, it is no picture, or it is damaged.
    """
    return np.asarray(images.read_image(path).convert("RGB"))


def read_pair(pair: Pair) -> tuple[Pixels, Pixels]:
    """Both pictures of a pair, (clean, noisy), each H x W x 3, uint8.

    Raises:
        DataError: their sizes differ.
        ImageError: as `read_picture`.
    """
    clean, noisy = read_picture(pair.clean), read_picture(pair.noisy)
    if clean.shape != noisy.shape:
        raise DataError(
            f"{pair.noisy} is {noisy.shape[1]} x {noisy.shape[0]} pixels, "
            f"{pair.clean} is {clean.shape[1]} x {clean.shape[0]}"
        )
    return clean, noisy


def screened_tiles(
    clean: Pixels,
    noisy: Pixels,
    *,
    size: int = 256,
    max_correlation: float = 0.12,
    max_shift: float = 1.0,
) -> Iterator[tuple[Pixels, Pixels]]:
    """The tiles of a pair that are aligned and equally exposed, as (clean, noisy).

    A shift of the picture leaves noise that follows the clean picture's gradient; a tile
    where the two correlate would teach a denoiser to move edges.

    Args:
        clean: H x W x 3, uint8.
        noisy: the same shape.
        size: height and width of a tile, in pixels; what is left at the border is dropped.
        max_correlation: between the noise and the gradient, along either axis.
        max_shift: between the means of the two, in grey levels of 255.
    """
    for top in range(0, clean.shape[0] - size + 1, size):
        for left in range(0, clean.shape[1] - size + 1, size):
            window = np.s_[top : top + size, left : left + size]
            reference = clean[window].mean(axis=-1)
            noise = noisy[window].mean(axis=-1) - reference
            gradients = np.gradient(reference)
            if abs(noise.mean()) <= max_shift and all(
                abs(_correlation(noise, gradient)) <= max_correlation for gradient in gradients
            ):
                yield clean[window].copy(), noisy[window].copy()


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 0 else 0.0


def _draw_window(
    rng: np.random.Generator, pictures: Sequence[Pixels], areas: NDArray[np.float64], size: int
) -> tuple[int, tuple[slice, slice]]:
    """A picture, drawn by its area, and a window of it."""
    which = int(rng.choice(len(pictures), p=areas))
    height, width = pictures[which].shape[:2]
    top, left = rng.integers(0, height - size + 1), rng.integers(0, width - size + 1)
    return which, np.s_[top : top + size, left : left + size]


def _areas(pictures: Sequence[Pixels], size: int, setting: str) -> NDArray[np.float64]:
    """The share that each picture has in the area of all; ``setting`` is why ``size`` is needed."""
    if not pictures:
        raise DataError("there are no pictures to draw patches from")
    areas = np.array([p.shape[0] * p.shape[1] for p in pictures], dtype=np.float64)
    smallest = min(min(p.shape[:2]) for p in pictures)
    if smallest < size:
        raise DataError(
            f"a picture is only {smallest} pixels high or wide, and {setting} needs {size}"
        )
    shares: NDArray[np.float64] = areas / areas.sum()
    return shares


def _resize(picture: Pixels, size: int) -> Pixels:
    resized = Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def _finish(
    rng: np.random.Generator, clean: NDArray[np.floating], noisy: NDArray[np.floating]
) -> tuple[Tensor, Tensor]:
    """One of the eight flips and rotations, as two 3 x H x W tensors."""
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    parts = []
    for array in (clean, noisy):
        turned = np.rot90(array, turns)
        turned = turned[:, ::-1] if flip else turned
        parts.append(torch.from_numpy(turned.transpose(2, 0, 1).copy()))
    return parts[0], parts[1]


class PairPatches(Dataset[tuple[Tensor, Tensor]]):
    """Patches of real pairs: item ``i`` is drawn by (seed, i) alone, so it has no end.

    Args:
        pairs: (clean, noisy) pictures, H x W x 3, uint8.
        size: height and width of a patch, in pixels.
        seed: fixes every item.
        strength: range of factors on the noise, drawn uniformly in the logarithm.
        scale: likewise, of factors on the size; above 1 makes the noise coarser.

    Items:
        (clean, noisy), each 3 x size x size, float32 in [0, 1].
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Pixels, Pixels]],
        size: int,
        seed: int,
        *,
        strength: tuple[float, float] = (1.0, 1.0),
        scale: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        self.clean = [clean for clean, _ in pairs]
        self.noisy = [noisy for _, noisy in pairs]
        self.size, self.seed, self.strength, self.scale = size, seed, strength, scale
        setting = f"a patch size of {size} with a scale from {scale[0]}"
        self.areas = _areas(self.clean, round(size / scale[0]), setting)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, index))
        source = round(self.size / np.exp(rng.uniform(*np.log(self.scale))))
        which, window = _draw_window(rng, self.clean, self.areas, source)
        clean, noisy = self.clean[which][window], self.noisy[which][window]
        if source != self.size:
            clean, noisy = _resize(clean, self.size), _resize(noisy, self.size)
        x, y = clean.astype(np.float32) / 255, noisy.astype(np.float32) / 255
        factor = np.float32(np.exp(rng.uniform(*np.log(self.strength))))
        if factor != 1:
            y = np.rint(np.clip(x + factor * (y - x), 0, 1) * 255) / np.float32(255)
        return _finish(rng, x, y)


class NoisedPatches(Dataset[tuple[Tensor, Tensor]]):
    """Patches of clean pictures with noise that a model makes; items as ``PairPatches``.

    Args:
        pictures: clean ones, H x W x 3, uint8.
        size: height and width of a patch, in pixels.
        seed: fixes every item.
        add_noise: makes the noisy one of a clean picture, H x W x 3 in [0, 1], such as
            ``CameraPipeline().add_noise``.
        shrink: largest factor by which a picture is made smaller first, which leaves it
            sharper and cleaner; drawn uniformly from 1.
        exposure: range of factors on its values, at most 1, drawn uniformly.
        saturation: range of factors on its colours' distance from grey, drawn uniformly.
    """

    def __init__(
        self,
        pictures: Sequence[Pixels],
        size: int,
        seed: int,
        add_noise: AddNoise,
        *,
        shrink: float = 1.0,
        exposure: tuple[float, float] = (1.0, 1.0),
        saturation: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        self.pictures, self.size, self.seed = pictures, size, seed
        self.add_noise, self.shrink = add_noise, shrink
        self.exposure, self.saturation = exposure, saturation
        setting = f"a patch size of {size} with a shrink of {shrink}"
        self.areas = _areas(pictures, round(size * shrink), setting)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, index))
        source = round(self.size * rng.uniform(1, self.shrink))
        which, window = _draw_window(rng, self.pictures, self.areas, source)
        picture = self.pictures[which][window]
        if source != self.size:
            picture = _resize(picture, self.size)
        clean = picture.astype(np.float32) / 255 * np.float32(rng.uniform(*self.exposure))
        more = np.float32(rng.uniform(*self.saturation) - 1)
        clean = np.clip(clean + more * (clean - clean.mean(axis=-1, keepdims=True)), 0, 1)
        return _finish(rng, clean, self.add_noise(clean, rng))


class Mixture(Dataset[tuple[Tensor, Tensor]]):
    """Items of several data sets, each drawn by its weight; item ``i`` depends on (seed, i) alone.

    Args:
        parts: the data sets.
        weights: one for each, in proportion to which they are drawn.
        seed: fixes which data set gives which item.
    """

    def __init__(
        self,
        parts: Sequence[Dataset[tuple[Tensor, Tensor]]],
        weights: Sequence[float],
        seed: int,
    ) -> None:
        self.parts, self.seed = parts, seed
        self.shares = np.array(weights, dtype=np.float64) / sum(weights)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, index))
        return self.parts[int(rng.choice(len(self.parts), p=self.shares))][index]
