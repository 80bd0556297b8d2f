"""The pictures of each benchmark, as its protocol takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.data import Pixels, source_pairs
from danet.data.layouts import SourcePair, nam_pairs, read_mat
from danet.errors import (
    ConfigError,
    DanetError,
    DataError,
    ImageError,
    check_count,
    one_line,
    require,
)

__all__ = ["DATASETS", "DndImage", "benchmark_pairs", "dnd_crops", "dnd_images", "sidd_blocks"]

# By name, what is taken of each; reports repeat it.
DATASETS: Mapping[str, str] = {
    "sidd-val": "all validation blocks, sRGB",
    "nam": "100 crops of 512 px, spread evenly over the scenes, drawn by a seed; "
    "those of the paper cannot be drawn again",
    "nam25": "the 25 patches of the CBDNet authors",
    "cc15": "the 15 crops of 512 px",
    "polyu": "the crops of 512 px of the split's val scenes",
    **dict.fromkeys(("sidd", "renoir", "folder"), "all pairs, or the val part of split.json"),
}
_COUNTS = {"nam25": 25, "cc15": 15}
_NAM_CROPS, _NAM_SIDE = 100, 512


def benchmark_pairs(dataset: str, root: Path, *, seed: int = 0) -> list[SourcePair]:
    """The pairs of a benchmark, each read when its turn comes.

    The two files of SIDD's validation blocks are read at once, as MATLAB stores the blocks
    interleaved; they take half a gigabyte.

    Args:
        dataset: one of ``DATASETS``.
        root: the folder of its files, see docs/evaluation.md.
        seed: of the crops of ``nam``; the others take what is there.

    Raises:
        ConfigError: there is no such data set, or the seed is none.
        DataError: the folder does not hold it, or not as many pairs as it has.
        ImageError: a file cannot be read.
    """
    check_count("seed", seed)
    if dataset not in DATASETS:
        raise ConfigError(f"the data set is {dataset!r}, and must be one of {', '.join(DATASETS)}")
    if dataset == "sidd-val":
        return _sidd_validation(root)
    if dataset == "nam":
        return _nam_crops(nam_pairs(root), seed)
    if dataset not in _COUNTS:
        return source_pairs(dataset, root, part="val", kind="crops")
    pairs = source_pairs("folder", root)
    if len(pairs) != _COUNTS[dataset]:
        raise DataError(
            f"{root} holds {len(pairs)} pairs, and {dataset} has {_COUNTS[dataset]}; "
            "the data set 'folder' takes any number"
        )
    return pairs


def sidd_blocks(path: Path) -> Pixels:
    """The blocks of a file of SIDD, whose key is the file's name.

    Args:
        path: such as ``BenchmarkNoisyBlocksSrgb.mat``.

    Returns:
        N x M x H x W x 3, uint8, RGB; 40 x 32 x 256 x 256 x 3 in SIDD's own files.

    Raises:
        DataError: there is no such file, or it holds something else.
        ImageError: the file cannot be read.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    blocks: NDArray[Any] = read_mat(path, [path.stem])[path.stem]
    if blocks.dtype != np.uint8 or blocks.ndim != 5 or blocks.shape[4] != 3 or not blocks.size:
        raise DataError(
            f"{path}: {path.stem} is {blocks.dtype} of shape {blocks.shape}, "
            "and must be uint8, N x M x H x W x 3"
        )
    return blocks


def _sidd_validation(root: Path) -> list[SourcePair]:
    clean = sidd_blocks(root / "ValidationGtBlocksSrgb.mat")
    noisy = sidd_blocks(root / "ValidationNoisyBlocksSrgb.mat")
    if clean.shape != noisy.shape:
        raise DataError(f"{root}: the noisy blocks are {noisy.shape}, the true ones {clean.shape}")
    return [
        SourcePair(f"{image:02d}_{block:02d}", partial(_block, clean, noisy, image, block))
        for image, block in np.ndindex(clean.shape[:2])
    ]


def _block(clean: Pixels, noisy: Pixels, image: int, block: int) -> tuple[Pixels, Pixels]:
    return clean[image, block], noisy[image, block]


def _nam_crops(scenes: Sequence[SourcePair], seed: int) -> list[SourcePair]:
    # Scenes are whole frames: the last one alone is kept, and its crops follow each other.
    read = lru_cache(maxsize=1)(lambda index: scenes[index].read())
    rng = np.random.default_rng(seed)
    crops: list[SourcePair] = []
    for index in sorted(number % len(scenes) for number in range(_NAM_CROPS)):
        name = f"{scenes[index].name}#{len(crops):02d}"
        # As shares of what the frame's size leaves, which is not known before it is read.
        place = (float(rng.random()), float(rng.random()))
        crops.append(SourcePair(name, partial(_crop, read, index, name, place)))
    return crops


def _crop(read: Any, index: int, name: str, place: tuple[float, float]) -> tuple[Pixels, Pixels]:
    clean, noisy = read(index)
    height, width = clean.shape[:2]
    if min(height, width) < _NAM_SIDE:
        raise DataError(f"{name}: {width} x {height} pixels, and a crop has {_NAM_SIDE} each way")
    top = int(place[0] * (height - _NAM_SIDE + 1))
    left = int(place[1] * (width - _NAM_SIDE + 1))
    window = np.s_[top : top + _NAM_SIDE, left : left + _NAM_SIDE]
    return clean[window], noisy[window]


@dataclass(frozen=True, eq=False)
class DndImage:
    """A picture of DND and what is cut from it.

    Attributes:
        path: its file, ``images_srgb/NNNN.mat``.
        boxes: K x 4, each [y1, x1, y2, x2], counted from 1, the last row and column included.
    """

    path: Path
    boxes: NDArray[np.int64]

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """The shape of each crop, H x W x 3."""
        return [(int(y2 - y1) + 1, int(x2 - x1) + 1, 3) for y1, x1, y2, x2 in self.boxes]


def dnd_images(root: Path) -> list[DndImage]:
    """The pictures of DND, in their order; there are 50, of 20 boxes each.

    Args:
        root: the folder of ``info.mat`` and ``images_srgb/``.

    Raises:
        DataError: a file is missing or holds something else.
        ConfigError: h5py is missing.
        ImageError: ``info.mat`` cannot be read.
    """
    images = []
    info = root / "info.mat"
    with _opened(info) as file:
        references = _keyed(file, "info/boundingboxes", info)[()].ravel()
        for number, reference in enumerate(references, start=1):
            # MATLAB stores the axes in the other order.
            boxes = np.asarray(file[reference][()]).T
            _check_boxes(boxes, f"{info}: boundingboxes {number}")
            path = root / "images_srgb" / f"{number:04d}.mat"
            if not path.is_file():
                raise DataError(f"{path}: no such file")
            images.append(DndImage(path, boxes.astype(np.int64)))
    return images


def _check_boxes(boxes: NDArray[Any], name: str) -> None:
    right = boxes.ndim == 2 and boxes.shape[1] == 4 and boxes.size > 0
    if not right or (boxes != np.rint(boxes)).any():
        raise DataError(f"{name} is {boxes.dtype} of shape {boxes.shape}, not K x 4 whole numbers")
    if (boxes[:, :2] < 1).any() or (boxes[:, :2] > boxes[:, 2:]).any():
        raise DataError(f"{name} has a box that is not [y1, x1, y2, x2] counted from 1")


def dnd_crops(image: DndImage) -> Iterator[NDArray[np.float32]]:
    """The noisy crops of a picture of DND, in the order of its boxes.

    Yields:
        H x W x 3, RGB in [0, 1].

    Raises:
        DataError: the file holds something else, or a box reaches beyond the picture.
        ImageError: the file cannot be read.
    """
    with _opened(image.path) as file:
        pixels = _keyed(file, "InoisySRGB", image.path)  # its axes are reversed: 3 x W x H
        if pixels.ndim != 3 or pixels.shape[0] != 3 or pixels.dtype.kind != "f":
            raise DataError(
                f"{image.path}: InoisySRGB is {pixels.dtype} of shape {pixels.shape[::-1]}, "
                "and must be floats, H x W x 3"
            )
        for top, left, bottom, right in image.boxes.tolist():
            if bottom > pixels.shape[2] or right > pixels.shape[1]:
                raise DataError(
                    f"{image.path}: the box {[top, left, bottom, right]} reaches beyond "
                    f"{pixels.shape[2]} rows and {pixels.shape[1]} columns"
                )
            crop = pixels[:, left - 1 : right, top - 1 : bottom].T
            yield np.ascontiguousarray(crop, dtype=np.float32)


def _keyed(file: Any, key: str, path: Path) -> Any:
    if key not in file:
        raise DataError(f"{path}: it has no key {key!r}")
    return file[key]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file of MATLAB 7.3, opened to be read in parts."""
    h5py = require("h5py", "data", f"{path}: a file of DND")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DanetError:
        raise
    # h5py raises nearly anything on a damaged file.
    except Exception as error:
        raise ImageError(f"{path}: cannot be read: {one_line(error)}") from error
