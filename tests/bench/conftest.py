"""Small files of the exact layout of the benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from danet.data import Pixels

_BOXES = np.array([[1, 1, 16, 12], [5, 3, 20, 14], [9, 13, 24, 24]])


def _random_blocks(seed: int, shape: Sequence[int] = (2, 3, 16, 12, 3)) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def sidd_root(tmp_path: Path) -> Path:
    """2 x 3 blocks of 16 x 12 pixels in each of SIDD's three files."""
    root = tmp_path / "sidd"
    root.mkdir()
    for seed, name in enumerate(["ValidationGt", "ValidationNoisy", "BenchmarkNoisy"]):
        key = f"{name}BlocksSrgb"
        savemat(root / f"{key}.mat", {key: _random_blocks(seed)}, do_compression=True)
    return root


def _write_matlab_73(path: Path, fill: Callable[[Any], None]) -> None:
    """A file as MATLAB 7.3 writes it: HDF5 behind a header of 512 bytes."""
    h5py = pytest.importorskip("h5py")
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        fill(file)
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + bytes([0, 2]) + b"IM")


def _write_dnd(root: Path, pictures: Sequence[np.ndarray[Any, Any]], boxes: Any = _BOXES) -> None:
    """``info.mat`` and ``images_srgb/``, all axes reversed; the boxes are cells: references."""

    def info(file: Any) -> None:
        h5py = pytest.importorskip("h5py")
        group = file.create_group("info")
        cells = group.create_dataset("boundingboxes", (1, len(pictures)), h5py.ref_dtype)
        for index in range(len(pictures)):
            cell = file.create_dataset(f"#refs#/{index}", data=np.asarray(boxes, np.float64).T)
            cells[0, index] = cell.ref

    _write_matlab_73(root / "info.mat", info)
    for number, picture in enumerate(pictures, start=1):
        content = {"InoisySRGB": picture.T}
        _write_matlab_73(root / "images_srgb" / f"{number:04d}.mat", partial(_update, content))


def _update(content: dict[str, Any], file: Any) -> None:
    file.update(content)


@pytest.fixture
def dnd_pictures() -> list[np.ndarray[Any, Any]]:
    return [np.random.default_rng(seed).random((24, 30, 3)) for seed in range(2)]


@pytest.fixture
def dnd_root(tmp_path: Path, dnd_pictures: list[np.ndarray[Any, Any]]) -> Path:
    """Two pictures of 30 x 24 pixels with three boxes each."""
    root = tmp_path / "dnd"
    _write_dnd(root, dnd_pictures)
    return root


@pytest.fixture
def write_matlab_73() -> Callable[..., None]:
    """Writes a file of MATLAB 7.3, which a function fills."""
    return _write_matlab_73


@pytest.fixture
def write_dnd() -> Callable[..., None]:
    """Writes a folder of DND from pictures and boxes."""
    return _write_dnd
