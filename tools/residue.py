"""What is left of a denoiser's error: how much of it is a shift, a blur and a constant.

    DANET_DATA=... python tools/residue.py --weights photo

The result minus the truth of each picture is fitted by the truth's gradients along rows and columns
(a shift, in pixels), the truth's blurred difference from itself, and 1 (a constant, in grey
levels), by least squares over all channels.  Results are not rounded.  The last columns count
the results, and the noisy frames themselves, that are brighter than the truth by a level.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from shipped_weights import add_data_argument

from danet import Denoiser, data
from danet.bench import benchmark_pairs


def fitted(result: NDArray[np.float32], clean: NDArray[np.float32]) -> tuple[float, float, float]:
    """The mean square of the error that the fit leaves, the shift and the constant."""
    error = 255 * (result - clean)
    smooth = 255 * gaussian_filter(clean, (0.5, 0.5, 0))
    down, right = np.gradient(smooth, axis=(0, 1))
    blur = 255 * (gaussian_filter(clean, (1, 1, 0)) - clean)
    terms = np.stack([down, right, blur, np.ones_like(error)], axis=-1).reshape(-1, 4)
    found = np.linalg.lstsq(terms, error.reshape(-1), rcond=None)[0]
    left = float(np.mean((error.reshape(-1) - terms @ found) ** 2))
    return left, float(np.hypot(found[0], found[1])), float(found[3])


def decibels(squares: float) -> float:
    """PSNR of a mean square in grey levels."""
    return float(10 * np.log10(255**2 / squares))


def main() -> None:
    """Print a row for each set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--weights", default="photo")
    options = parser.parse_args()
    denoiser = Denoiser.from_pretrained(options.weights)
    folder = Path(options.data)
    sets = {
        "nam25": [pair.read() for pair in benchmark_pairs("nam25", folder / "nam25")],
        "PolyU, val crops": [
            data.read_pair(pair) for pair in data.polyu_pairs(folder / "polyu", "val")
        ],
    }
    columns = "shift: median, largest | above .25 px | a level brighter | frames that are"
    print(f"| | PSNR | without the fit | {columns} |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, pairs in sets.items():
        plain, without, shifts, constants, frames = [], [], [], [], []
        for pair in pairs:
            clean, noisy = map(data.scaled, pair)
            result = denoiser(noisy)
            plain.append(decibels(float(np.mean((255 * (result - clean)) ** 2))))
            left, shift, constant = fitted(result, clean)
            without.append(decibels(left))
            shifts.append(shift)
            constants.append(constant)
            frames.append(255 * float(np.mean(noisy - clean)))
        print(
            f"| {name} | {statistics.mean(plain):.2f} | {statistics.mean(without):.2f} "
            f"| {statistics.median(shifts):.2f}, {max(shifts):.2f} px "
            f"| {sum(shift > 0.25 for shift in shifts)} of {len(shifts)} "
            f"| {sum(constant > 1 for constant in constants)} "
            f"| {sum(frame > 1 for frame in frames)} |"
        )


if __name__ == "__main__":
    main()
