"""Compare the container of danet with HDF5 and with files, read at random by several processes.

    pip install h5py
    python benchmarks/containers.py [--pairs 400] [--patches 4000]

It writes pairs of 512 px to a temporary folder in four forms, and reads random patches of
128 px, clean and noisy, from each: with one and two processes, and once with nothing of it in
the system's memory.

Measured with 60 pairs on 2 virtual cores of a Cascade Lake Xeon on which other jobs ran, so that
only ratios mean something.  Patches a second, the memory map with one process being 1:

                one process  two processes
memory map             1.00           1.48
HDF5                   0.37           0.65
HDF5 in chunks         0.23           0.50
PNG files             0.002  not above 0.005

From the disk, the first three took 1 to 7 ms a patch, and none was ahead in both of two runs.

Hence the memory map.  It needs no further package, and a process that is handed the data set
opens it again by its name; an h5py file cannot be carried to another process.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from danet.data import PackedPairs, PairWriter

SIDE, PATCH, SLICE = 512, 128, 20
Read = Callable[[int, int, int], NDArray[np.uint8]]


def crops(count: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Pairs of noise on a ramp, which compress as badly as photographs."""
    ramp = np.linspace(20, 220, SIDE)[:, None, None]
    rng = np.random.default_rng(0)
    for _ in range(count):
        clean, noisy = (np.rint(ramp + rng.normal(0, 3, (SIDE, SIDE, 3))) for _ in range(2))
        yield clean.astype(np.uint8), noisy.astype(np.uint8)


def write(folder: Path, count: int) -> None:
    """Write the same pairs in every form."""
    import h5py

    writer = PairWriter(folder / "map", [str(number) for number in range(count)], {}, "uint8")
    (folder / "files").mkdir()
    shape = (count, 2, SIDE, SIDE, 3)
    with (
        writer.writing(),
        h5py.File(folder / "plain.hdf5", "w") as plain,
        h5py.File(folder / "chunked.hdf5", "w") as chunked,
    ):
        flat = plain.create_dataset("pairs", shape, "u1")
        parts = chunked.create_dataset("pairs", shape, "u1", chunks=(1, 2, PATCH, PATCH, 3))
        for number, pair in enumerate(crops(count)):
            writer.add([pair])
            flat[number] = parts[number] = np.stack(pair)
            for name, side in zip(("clean", "noisy"), pair, strict=True):
                Image.fromarray(side).save(
                    folder / "files" / f"{number}_{name}.png", compress_level=1
                )


def reader(folder: Path, form: str) -> Read:
    """What reads a patch of a form, by the pair's number and the patch's corner."""
    if form == "memory map":
        packed = PackedPairs(folder / "map")
        return lambda n, y, x: np.stack([side[y : y + PATCH, x : x + PATCH] for side in packed[n]])
    if form == "PNG files":

        def from_files(n: int, y: int, x: int) -> NDArray[np.uint8]:
            paths = [folder / "files" / f"{n}_{side}.png" for side in ("clean", "noisy")]
            sides = [np.asarray(Image.open(path)) for path in paths]
            return np.stack([side[y : y + PATCH, x : x + PATCH] for side in sides])

        return from_files
    import h5py

    name = "plain.hdf5" if form == "HDF5" else "chunked.hdf5"
    pairs = h5py.File(folder / name, "r")["pairs"]
    return lambda n, y, x: np.asarray(pairs[n, :, y : y + PATCH, x : x + PATCH])


def draw(folder: Path, form: str, count: int, seed: int, patches: int) -> float:
    """Patches a second of one process: the median of slices, which other jobs disturb less."""
    read, rng = reader(folder, form), np.random.default_rng(seed)
    times = []
    for _ in range(patches // SLICE):
        started = time.perf_counter()
        for _ in range(SLICE):
            y, x = rng.integers(0, SIDE - PATCH + 1, 2)
            read(int(rng.integers(count)), int(y), int(x))
        times.append(time.perf_counter() - started)
    return SLICE / float(np.median(times))


def forget(folder: Path) -> None:
    """Have the system drop what it holds of the files in memory."""
    for path in folder.rglob("*.*"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(folder: Path, form: str, count: int, patches: int) -> tuple[float, float, float]:
    """Patches a second: one process, two together, and the first ones from the disk."""
    patches //= 10 if form == "PNG files" else 1
    draw(folder, form, count, 0, patches)
    warm = draw(folder, form, count, 1, patches)
    jobs = [(folder, form, count, seed, patches) for seed in (2, 3)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        both = sum(pool.starmap(draw, jobs, chunksize=1))
    forget(folder)
    return warm, both, draw(folder, form, count, 4, max(count, SLICE))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--patches", type=int, default=4000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, options.pairs)
        print(f"{'':16} one process  two processes  from the disk   us a patch")
        first = 0.0
        for form in ("memory map", "HDF5", "HDF5 in chunks", "PNG files"):
            warm, both, cold = measure(folder, form, options.pairs, options.patches)
            first = first or warm
            ratios = f"{warm / first:11.3f} {both / first:14.3f} {cold / first:14.3f}"
            print(f"{form:16} {ratios} {1e6 / warm:12.0f}", flush=True)


if __name__ == "__main__":
    main()
