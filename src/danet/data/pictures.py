"""Picture files as arrays to train on."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from danet import images
from danet.errors import DataError, ImageError, one_line

__all__ = [
    "Pixels",
    "check_same_size",
    "files_in",
    "middle",
    "picture_files",
    "read_picture",
    "scaled",
]

# A picture as it is trained on, H x W x 3.
Pixels: TypeAlias = NDArray[np.uint8 | np.uint16]


def picture_files(folder: Path) -> list[Path]:
    """The pictures of one folder, sorted by name, without hidden files.

    Raises:
        DataError: there is no such folder.
    """
    return files_in(folder, images.READABLE)


def files_in(folder: Path, suffixes: Container[str], pattern: str = "*") -> list[Path]:
    """The files of a folder, or below it by a pattern, with some suffixes, sorted, none hidden.

    Args:
        folder: where to look.
        suffixes: in small letters; files may have them in any case.
        pattern: as ``Path.glob`` takes it.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    return sorted(
        path
        for path in folder.glob(pattern)
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


def middle(picture: Pixels, side: int) -> Pixels:
    """The square in the middle of a picture, without copying; of a smaller one all there is."""
    top, left = (max(0, (length - side) // 2) for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def scaled(picture: Pixels) -> NDArray[np.float32]:
    """A picture of integers as floats in [0, 1], divided by the largest of its type.

    Example:
        >>> float(scaled(np.full((2, 2, 3), 65535, np.uint16)).max())
        1.0
    """
    largest = np.float32(np.iinfo(picture.dtype).max)
    scaled: NDArray[np.float32] = picture.astype(np.float32) / largest
    return scaled
