"""Files for the servers of SIDD and DND, whose truths are not public.

Each file is read back before it gets its name, and compared with what was computed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from danet.bench.datasets import dnd_crops, dnd_images, sidd_blocks
from danet.bench.methods import Denoise, Floats
from danet.data import Pixels, scaled
from danet.data.layouts import read_mat
from danet.errors import ConfigError, DataError, ImageError, one_line
from danet.files import atomic_write

__all__ = [
    "read_dnd",
    "read_sidd_kaggle",
    "read_sidd_mat",
    "submit_dnd",
    "submit_sidd_kaggle",
    "submit_sidd_mat",
]

_SIDD_FILE = "BenchmarkNoisyBlocksSrgb.mat"
_SIDD_KEY = "DenoisedBlocksSrgb"
_DND_CONTENT = {"Idenoised": "cell", "israw": "logical", "eval_version": "char"}
_DND_VERSION = "1.0"


def submit_sidd_kaggle(denoise: Denoise, root: Path, output: Path) -> None:
    """Denoise SIDD's benchmark for the competition at Kaggle.

    The file has the columns ``ID``, 32 i + j for block j of picture i, and ``BLOCK``, the base64
    of the block's bytes, H x W x 3 in C order.

    Args:
        denoise: the method.
        root: the folder of ``BenchmarkNoisyBlocksSrgb.mat``.
        output: the CSV file to write.

    Raises:
        DataError: the blocks are missing or are something else, or the file does not read back.
        ImageError: the blocks cannot be read, or a result is not a finite picture of its size.
        DanetError: the file cannot be written.
    """
    blocks = sidd_blocks(root / _SIDD_FILE)
    digests = []
    with atomic_write(output) as temporary:
        with temporary.open("w", encoding="ascii", newline="\n") as lines:
            lines.write("ID,BLOCK\n")
            for number, block in enumerate(_denoised_blocks(denoise, blocks)):
                digests.append(_digest(block))
                lines.write(f"{number},{base64.b64encode(block.tobytes()).decode()}\n")
        _compare(digests, read_sidd_kaggle(temporary, blocks.shape), output)


def submit_sidd_mat(denoise: Denoise, root: Path, output: Path) -> None:
    """Denoise SIDD's benchmark for its own server.

    The file, of MATLAB 5, holds ``DenoisedBlocksSrgb``, of the type and shape of the noisy blocks.

    Args:
        denoise: the method.
        root: the folder of ``BenchmarkNoisyBlocksSrgb.mat``.
        output: the file to write, ``SubmitSrgb.mat``.

    Raises:
        DataError: as `submit_sidd_kaggle`.
        ImageError: as `submit_sidd_kaggle`.
        DanetError: as `submit_sidd_kaggle`.
    """
    from scipy.io import savemat

    blocks = sidd_blocks(root / _SIDD_FILE)
    denoised = np.empty(blocks.shape, np.uint8)
    flat = denoised.reshape(-1, *blocks.shape[2:])
    for number, block in enumerate(_denoised_blocks(denoise, blocks)):
        flat[number] = block
    with atomic_write(output) as temporary:
        savemat(temporary, {_SIDD_KEY: denoised}, appendmat=False)
        found = read_sidd_mat(temporary, blocks.shape)
        _compare([_digest(denoised)], [found], output)


def submit_dnd(denoise: Denoise, root: Path, output: Path) -> None:
    """Denoise the sRGB pictures of DND for its server.

    Each box is cut out and denoised by itself, as the data set's own program does.  There is one
    file of MATLAB 5 for each picture, ``0001.mat`` and so on, of ``Idenoised``, 1 x 20 cells of
    H x W x 3 floats in [0, 1] and single precision, ``israw``, false, and ``eval_version``, "1.0".

    Args:
        denoise: the method.
        root: the folder of ``info.mat`` and ``images_srgb/``.
        output: the folder to write, which must be new or empty.

    Raises:
        ConfigError: the folder is not empty.
        DataError: a file of DND is missing or is something else, or one does not read back.
        ImageError: a file cannot be read, or a result is not a finite picture of its size.
        DanetError: a file cannot be written.
    """
    from scipy.io import savemat

    if output.exists() and any(output.iterdir()):
        raise ConfigError(f"{output}: is not empty; a submission needs a folder of its own")
    images = dnd_images(root)
    # disable=None: no bar where standard error is not a terminal.
    for image in tqdm(images, unit="picture", disable=None):
        cells = np.empty(len(image.boxes), dtype=object)
        for index, crop in enumerate(dnd_crops(image)):
            cells[index] = _finished(denoise, crop)
        content = {"Idenoised": cells, "israw": False, "eval_version": _DND_VERSION}
        path = output / image.path.name
        with atomic_write(path) as temporary:
            savemat(temporary, content, appendmat=False)
            found = read_dnd(temporary, image.shapes)
            _compare([_digest(cell) for cell in cells], found, path)


def read_sidd_kaggle(path: Path, shape: Sequence[int]) -> Iterator[Pixels]:
    """The blocks of a file for Kaggle, each H x W x 3, uint8, in the order of their numbers.

    Args:
        path: the CSV file.
        shape: of the noisy blocks, N x M x H x W x 3.

    Raises:
        DataError: the columns, a number, a block or how many there are is wrong.
    """
    count, size = shape[0] * shape[1], int(np.prod(shape[2:]))
    number = -1
    # Not the module csv: it takes no fields as long as these.
    with path.open(encoding="ascii", errors="replace", newline="") as lines:
        if (head := lines.readline()) != "ID,BLOCK\n":
            raise DataError(f"{path}: the first line is {head[:40]!r}, and must be 'ID,BLOCK'")
        for number, line in enumerate(lines):
            identity, _, block = line.rstrip("\n").partition(",")
            if identity != str(number):
                raise DataError(f"{path}: the ID {identity[:40]!r} stands at the place of {number}")
            try:
                pixels = base64.b64decode(block, validate=True)
            except ValueError as error:
                raise DataError(f"{path}: BLOCK {number} is not base64: {error}") from error
            if len(pixels) != size:
                raise DataError(f"{path}: BLOCK {number} has {len(pixels)} bytes, not {size}")
            yield np.frombuffer(pixels, np.uint8).reshape(tuple(shape[2:]))
    if number + 1 != count:
        raise DataError(f"{path}: there are {number + 1} blocks, and must be {count}")


def read_sidd_mat(path: Path, shape: Sequence[int]) -> Pixels:
    """The blocks of a file for SIDD's server.

    Args:
        path: the file.
        shape: of the noisy blocks.

    Raises:
        DataError: the blocks are missing, not uint8 or not of that shape.
        ImageError: the file cannot be read.
    """
    blocks: Pixels = read_mat(path, [_SIDD_KEY])[_SIDD_KEY]
    if blocks.dtype != np.uint8 or blocks.shape != tuple(shape):
        raise DataError(
            f"{path}: {_SIDD_KEY} is {blocks.dtype} of shape {blocks.shape}, "
            f"and must be uint8 of {tuple(shape)}"
        )
    return blocks


def read_dnd(path: Path, shapes: Sequence[tuple[int, ...]]) -> list[Floats]:
    """The crops of one file for DND's server.

    Args:
        path: the file.
        shapes: of its crops, in their order.

    Raises:
        DataError: a variable is missing or of another type; or a crop is not float32, of its
            shape and in [0, 1].
        ImageError: the file cannot be read.
    """
    from scipy.io import loadmat, whosmat

    try:
        types = {name: kind for name, _, kind in whosmat(path)}
        content = loadmat(path)
    # The decoders raise nearly anything on a damaged file.
    except Exception as error:
        raise ImageError(f"{path}: cannot be read: {one_line(error)}") from error
    if types != _DND_CONTENT:
        raise DataError(f"{path}: holds {types}, and must hold {_DND_CONTENT}")
    israw, version, cells = (content[key] for key in ("israw", "eval_version", "Idenoised"))
    if israw.any() or version.tolist() != [_DND_VERSION]:
        raise DataError(f"{path}: israw is {israw}, eval_version {version}; not false and '1.0'")
    if cells.shape != (1, len(shapes)):
        raise DataError(f"{path}: Idenoised has {cells.shape} cells, not {(1, len(shapes))}")
    for number, (cell, shape) in enumerate(zip(cells[0], shapes, strict=True), start=1):
        right = cell.dtype == np.float32 and cell.shape == shape
        if not right or not (cell.min() >= 0 and cell.max() <= 1):
            raise DataError(
                f"{path}: crop {number} is {cell.dtype} of shape {cell.shape}, "
                f"and must be float32 of {shape} in [0, 1]"
            )
    return list(cells[0])


def _denoised_blocks(denoise: Denoise, blocks: Pixels) -> Iterator[Pixels]:
    """The denoised blocks, one by one, the second index the faster."""
    places = list(np.ndindex(blocks.shape[:2]))
    for place in tqdm(places, unit="block", disable=None):
        denoised = _finished(denoise, scaled(blocks[place]))
        yield np.rint(denoised * 255).astype(np.uint8)


def _finished(denoise: Denoise, noisy: Floats) -> Floats:
    """A denoised picture, held to [0, 1]."""
    denoised = denoise(noisy)
    if denoised.shape != noisy.shape or not np.isfinite(denoised).all():
        raise ImageError(
            f"the method made a picture of shape {denoised.shape} of one of {noisy.shape}, "
            "or one that is not finite"
        )
    return denoised.clip(0, 1).astype(np.float32)


def _digest(array: NDArray[Any]) -> bytes:
    return hashlib.sha256(array.tobytes()).digest()


def _compare(written: Sequence[bytes], found: Iterable[NDArray[Any]], path: Path) -> None:
    if [_digest(array) for array in found] != list(written):
        raise DataError(f"{path}: what was read back is not what was written")
