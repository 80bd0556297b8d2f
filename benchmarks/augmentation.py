"""Measure how many pictures with noise a data loader gives in a second.

    python benchmarks/augmentation.py [--sides 64 128] [--workers 0 1 2] [--seconds 5]

Random crops of scikit-image's photographs, uint8, in batches of eight.  Each process computes with
one thread; starting the processes and the first batches of each are not counted.  The noise
is added by `danet.augment.add_noise`, as the transforms do, to one picture at a time, and in the
last row to whole batches, which the processes collate first; v2.GaussianNoise is measured where
torchvision is installed.  Then the memory that each of two processes has to itself is printed, once
they have made some batches of the first size, forked and spawned.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from multiprocessing import active_children
from typing import TypeAlias

import psutil
import torch
from skimage import data
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from danet import NoiseGenerator
from danet.augment import add_noise
from danet.devices import hardware
from danet.networks import build
from danet.noise import CameraPipeline, NoiseModel, WhiteGaussian

Transform: TypeAlias = Callable[[Tensor], Tensor]

BATCH = 8


class Crops(Dataset[Tensor]):
    """Random crops, without end for all that is measured here."""

    def __init__(self, side: int, transform: Transform) -> None:
        photographs = (data.astronaut(), data.coffee(), data.chelsea())
        self.pictures = [torch.from_numpy(picture).movedim(-1, 0) for picture in photographs]
        self.side = side
        self.transform = transform

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, index: int) -> Tensor:
        picture = self.pictures[index % len(self.pictures)]
        top, left = (
            int(torch.randint(length - self.side + 1, ())) for length in picture.shape[-2:]
        )
        crop = picture[:, top : top + self.side, left : left + self.side].clone()
        return self.transform(crop)


@dataclass
class Adding:
    """Adds noise as danet's transforms do."""

    source: NoiseGenerator | NoiseModel

    def __call__(self, clean: Tensor) -> Tensor:
        """One noisy version."""
        return add_noise(clean, self.source, seed=int(torch.randint(2**63 - 1, ())))


@dataclass
class Batches:
    """Adds noise to the batch that pictures make."""

    transform: Transform

    def __call__(self, pictures: list[Tensor]) -> Tensor:
        """N x C x H x W."""
        return self.transform(default_collate(pictures))


def unchanged(clean: Tensor) -> Tensor:
    """The picture itself."""
    return clean


def transforms() -> dict[str, Transform | Batches]:
    """What is compared."""
    found: dict[str, Transform | Batches] = {"no noise": unchanged}
    try:
        from torchvision.transforms import v2

        found["v2.GaussianNoise"] = v2.GaussianNoise(sigma=0.05)
    except (ImportError, RuntimeError):
        pass
    found["WhiteGaussian"] = Adding(WhiteGaussian(0.05))
    found["CameraPipeline"] = Adding(CameraPipeline())
    narrow = NoiseGenerator(build("generator", "unet", width=8), device="cpu")
    found["NoiseGenerator, width 8, random weights"] = Adding(narrow)
    photo = Adding(NoiseGenerator("photo", device="cpu"))
    found['NoiseGenerator, "photo"'] = photo
    found['NoiseGenerator, "photo", whole batches'] = Batches(photo)
    return found


def loader(
    side: int, transform: Transform | Batches, workers: int, start: str
) -> DataLoader[Tensor]:
    """Batches of crops with noise."""
    whole = isinstance(transform, Batches)
    return DataLoader(
        Crops(side, unchanged if whole else transform),
        BATCH,
        num_workers=workers,
        collate_fn=transform if whole else None,
        multiprocessing_context=start if workers else None,
    )


def rate(side: int, transform: Transform | Batches, workers: int, seconds: float) -> float:
    """Pictures in a second."""
    batches = iter(loader(side, transform, workers, "fork"))
    # Each process has two batches ready when the first is asked for.
    for _ in islice(batches, 2 * workers + 1):
        pass
    start = time.perf_counter()
    count = 0
    while (taken := time.perf_counter() - start) < seconds:
        count += len(next(batches))
    return count / taken


def own_memory(side: int, transform: Transform | Batches, start: str) -> float:
    """Mean MiB that a process has to itself."""
    batches = iter(loader(side, transform, 2, start))
    for _ in islice(batches, 8):
        pass
    used = [psutil.Process(child.pid).memory_full_info().uss for child in active_children()]
    return statistics.mean(used) / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {hardware(torch.device('cpu'))}")
    cells = [(side, workers) for side in options.sides for workers in options.workers]
    heads = [f"{side} px, {workers} workers" for side, workers in cells]
    print("| noise | " + " | ".join(heads) + " |")
    print("|---" * (len(cells) + 1) + "|")
    for name, transform in transforms().items():
        rates = [rate(side, transform, count, options.seconds) for side, count in cells]
        print(f"| {name} | " + " | ".join(f"{value:,.0f}" for value in rates) + " |", flush=True)
    print(f"\n| MiB of each process, {options.sides[0]} px | forked | spawned |\n|---|---|---|")
    for name, transform in transforms().items():
        used = [own_memory(options.sides[0], transform, start) for start in ("fork", "spawn")]
        print(f"| {name} | " + " | ".join(f"{value:,.0f}" for value in used) + " |", flush=True)


if __name__ == "__main__":
    main()
