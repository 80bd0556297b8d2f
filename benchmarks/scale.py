"""Measure pictures an hour by one process, and by workers of Ray.

    python benchmarks/scale.py --workers 2 --pictures 48 --side 512

Pictures are seeded colours with noise, PNG files of 8 bits.  Each way denoises all of them, each
process by one thread.  Printed are pictures an hour: from the call to its end, starting Ray and
loading the weights with it, and while workers compute; and both beside one process.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from danet import Denoiser
from danet.devices import hardware
from danet.scale import denoise_all


def make(folder: Path, count: int, side: int) -> None:
    """Write the pictures."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(rng.integers(0, 256, (side // 16, side // 16, 3), np.uint8))
        pixels = np.asarray(small.resize((side, side))) + rng.normal(0, 8, (side, side, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpus", type=float, default=0, help="of each worker")
    parser.add_argument("--pictures", type=int, default=48)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--weights", default="photo")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as name:
        folder, count = Path(name), options.pictures
        make(folder / "in", count, options.side)
        denoiser = Denoiser(options.weights, device="cuda" if options.gpus else "cpu")
        (folder / "one").mkdir()
        started = time.perf_counter()
        for path in sorted((folder / "in").iterdir()):
            denoiser.denoise_file(path, folder / "one" / path.name)
        alone = time.perf_counter() - started
        started = time.perf_counter()
        found = denoise_all(
            folder / "in",
            folder / "many",
            weights=options.weights,
            workers=options.workers,
            gpus=options.gpus,
            batch=4,
        )
        whole = time.perf_counter() - started
        rows = [json.loads(line) for line in found.manifest.read_text().splitlines()]
        busy = sum(row["seconds"] for row in rows) / options.workers
    assert found.done == count
    print(f"{hardware(denoiser.device)}; {count} pictures of {options.side} px")
    print("| | pictures an hour | while workers compute | times one process |")
    print("| --- | --- | --- | --- |")
    print(f"| one process, one thread | {3600 * count / alone:.0f} | | 1 |")
    ratio = f"{alone / whole:.2f}, {alone / busy:.2f}"
    hourly = f"{3600 * count / whole:.0f} | {3600 * count / busy:.0f}"
    print(f"| {options.workers} workers of one thread | {hourly} | {ratio} |")


if __name__ == "__main__":
    main()
