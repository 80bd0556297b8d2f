"""Pairs of noisy and clean pictures: finding, screening, and drawing training patches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from danet import images
from danet.errors import DataError, ImageError, one_line
from danet.screening import Limits, compare

__all__ = [
    "Mixture",
    "NoisedPatches",
    "Pair",
    "PairPatches",
    "Pixels",
    "areas",
    "check_same_size",
    "draw_window",
    "fingerprint",
    "folder_pairs",
    "picture_files",
    "polyu_clean",
    "polyu_pairs",
    "read_pair",
    "read_picture",
    "resize",
    "scaled",
    "screened_tiles",
    "turned",
]

# A picture as it is trained on, H x W x 3.
Pixels: TypeAlias = NDArray[np.uint8 | np.uint16]
AddNoise = Callable[[NDArray[np.floating], np.random.Generator], NDArray[np.floating]]

_PIXEL_FILES = images.READABLE | {".npy"}
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

    The endings are ``_noisy`` and ``_clean``, or ``_real`` and ``_mean``.  The files are
    pictures, or arrays as ``read_picture`` takes them.

    Raises:
        DataError: the folder holds no pairs, or a noisy picture has no clean one or several.
    """
    if (root / "noisy").is_dir():
        files = _files(root / "clean", _PIXEL_FILES)
        wanted = [(path, path.stem) for path in _files(root / "noisy", _PIXEL_FILES)]
    else:
        files = _files(root, _PIXEL_FILES)
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
    return _files(folder, images.READABLE)


def _files(folder: Path, suffixes: Container[str]) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    return sorted(
        path
        for path in folder.iterdir()
        # Some systems put a hidden file of the same suffix beside each picture.
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    )


def read_picture(path: Path) -> Pixels:
    """A picture file as H x W x 3, uint8, or uint16 where it has more than 8 bits.

    Grey becomes three equal channels, and transparency is dropped.

    Args:
        path: a file that `danet.images.read_pixels` takes, of floats in [0, 1] if of floats.  Or
            an array of NumPy, ``.npy``, H x W x 3, uint8 or uint16.

    Raises:
        DataError: a ``.npy`` file holds something else.
        ImageError: there is no such file, it is no picture, or it is damaged; or it needs the
            packages of ``danet[formats]``.
    """
    if path.suffix.lower() == ".npy":
        return _read_array(path)
    pixels = images.read_pixels(path)
    if pixels.dtype in (np.uint8, np.uint16):
        colours = pixels.reshape(*pixels.shape[:2], -1)
        colours = colours[..., : 3 if colours.shape[2] > 2 else 1]
        copied: Pixels = np.broadcast_to(colours, (*pixels.shape[:2], 3)).copy()
        return copied
    try:
        tensor, _ = images.to_tensor(pixels)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    wide: Pixels = np.rint(np.asarray(tensor[0].permute(1, 2, 0)) * 65535).astype(np.uint16)
    return wide


def _read_array(path: Path) -> Pixels:
    try:
        array: Pixels = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except (OSError, ValueError, EOFError) as error:
        raise ImageError(f"{path}: cannot be read: {one_line(error)}") from error
    if array.dtype not in (np.uint8, np.uint16) or array.ndim != 3 or array.shape[2] != 3:
        raise DataError(
            f"{path}: an array must be H x W x 3 of uint8 or uint16, "
            f"and this one is {array.shape} of {array.dtype}"
        )
    return array


def read_pair(pair: Pair) -> tuple[Pixels, Pixels]:
    """Both pictures of a pair, (clean, noisy), as `read_picture`.

    Raises:
        DataError: their sizes differ; and as `read_picture`.
        ImageError: as `read_picture`.
    """
    clean, noisy = read_picture(pair.clean), read_picture(pair.noisy)
    check_same_size(clean, noisy, pair.noisy)
    return clean, noisy


def check_same_size(clean: Pixels, noisy: Pixels, name: object) -> None:
    """Refuse the two pictures of a pair, by the pair's name, where their sizes differ.

    Raises:
        DataError: they do.
    """
    if clean.shape != noisy.shape:
        raise DataError(
            f"{name}: the noisy picture has {noisy.shape[1]} x {noisy.shape[0]} pixels, "
            f"its clean one {clean.shape[1]} x {clean.shape[0]}"
        )


def fingerprint(pairs: Iterable[tuple[Pixels, Pixels]]) -> str:
    """A digest of all pixels of pairs, which tells whether others were used.

    Example:
        >>> clean = np.zeros((8, 8, 3), np.uint8)
        >>> fingerprint([(clean, clean)]) == fingerprint([(clean, clean + np.uint8(1))])
        False
    """
    digest = hashlib.sha256()
    for pair in pairs:
        for picture in pair:
            digest.update(f"{picture.shape} {picture.dtype}".encode())
            digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()


def screened_tiles(
    clean: Pixels, noisy: Pixels, *, size: int = 256, limits: Limits | None = None
) -> Iterator[tuple[Pixels, Pixels]]:
    """The tiles of a pair in which `danet.screening` finds no fault, as (clean, noisy).

    Args:
        clean: H x W x 3.
        noisy: the same shape.
        size: height and width of a tile, in pixels; what is left at the border is dropped.
        limits: beyond which a tile is faulty, by default those of ``Limits``.
    """
    for top in range(0, clean.shape[0] - size + 1, size):
        for left in range(0, clean.shape[1] - size + 1, size):
            window = np.s_[top : top + size, left : left + size]
            if not compare(clean[window], noisy[window]).faults(limits):
                yield clean[window].copy(), noisy[window].copy()


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


def scaled(picture: Pixels) -> NDArray[np.float32]:
    """A picture of integers as floats in [0, 1], divided by the largest of its type.

    Example:
        >>> float(scaled(np.full((2, 2, 3), 65535, np.uint16)).max())
        1.0
    """
    largest = np.float32(np.iinfo(picture.dtype).max)
    scaled: NDArray[np.float32] = picture.astype(np.float32) / largest
    return scaled


def turned(rng: np.random.Generator, picture: NDArray[Any]) -> NDArray[Any]:
    """One of the eight flips and rotations of an H x W x C picture."""
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    rotated: NDArray[Any] = np.rot90(picture, turns)
    return rotated[:, ::-1] if flip else rotated


def _finish(
    rng: np.random.Generator, clean: NDArray[np.floating], noisy: NDArray[np.floating]
) -> tuple[Tensor, Tensor]:
    """One of the eight flips and rotations, as two 3 x H x W tensors."""
    both = turned(rng, np.concatenate([clean, noisy], axis=-1)).transpose(2, 0, 1)
    x, y = torch.from_numpy(both.copy()).split(3)
    return x, y


class PairPatches(Dataset[tuple[Tensor, Tensor]]):
    """Patches of real pairs: item ``i`` is drawn by (seed, i) alone, so it has no end.

    Args:
        pairs: (clean, noisy) pictures, H x W x 3, uint8 or uint16, such as
            `danet.container.PackedPairs`; they are read as they are drawn.
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
        self.pairs = pairs
        self.size, self.seed, self.strength, self.scale = size, seed, strength, scale
        setting = f"a patch size of {size} with a scale from {scale[0]}"
        self.areas = areas((clean for clean, _ in pairs), round(size / scale[0]), setting)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, index))
        source = round(self.size / np.exp(rng.uniform(*np.log(self.scale))))
        clean, noisy = self.pairs[int(rng.choice(len(self.areas), p=self.areas))]
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
        return _finish(rng, x, y)


class NoisedPatches(Dataset[tuple[Tensor, Tensor]]):
    """Patches of clean pictures with noise that a model makes; items as ``PairPatches``.

    Args:
        pictures: clean ones, H x W x 3, uint8 or uint16.
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
        self.areas = areas(pictures, round(size * shrink), setting)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, index))
        source = round(self.size * rng.uniform(1, self.shrink))
        picture = self.pictures[int(rng.choice(len(self.areas), p=self.areas))]
        picture = picture[draw_window(rng, picture, source)]
        if source != self.size:
            picture = resize(picture, self.size)
        clean = scaled(picture) * np.float32(rng.uniform(*self.exposure))
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
        return self.parts[self._part(index)][index]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """The items of several indices, those of one part at once where it gives them so."""
        shares: dict[int, list[int]] = {}
        for index in indices:
            shares.setdefault(self._part(index), []).append(index)
        items: dict[int, tuple[Tensor, Tensor]] = {}
        for number, some in shares.items():
            part = self.parts[number]
            together = getattr(part, "__getitems__", None)
            drawn = together(some) if together else [part[index] for index in some]
            items.update(zip(some, drawn, strict=True))
        return [items[index] for index in indices]

    def _part(self, index: int) -> int:
        rng = np.random.default_rng((self.seed, index))
        return int(rng.choice(len(self.parts), p=self.shares))
