"""Time AKLD beside the passes of the generator, and beside its plain form.

    python benchmarks/akld.py
    python benchmarks/akld.py --fakes 50

The plain form is that of the authors' program, fake by fake: the variance of the real noise anew
each time, by a convolution with the whole 7 x 7 kernel.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

import danet
from danet import metrics
from danet.devices import hardware
from danet.filters import TAPS_7

SIDE = 512


def plain(clean: Tensor, noisy: Tensor, fakes: list[Tensor]) -> float:
    """AKLD as the definition reads, for a picture of 1 x 3 x H x W."""
    taps = torch.tensor(TAPS_7)
    kernel = torch.outer(taps, taps).expand(3, 1, 7, 7)

    def variance(image: Tensor) -> Tensor:
        squares = F.pad((image - clean).square(), (3, 3, 3, 3), mode="reflect")
        return F.conv2d(squares, kernel, groups=3).clamp_min(1e-10)

    scores = []
    for fake in fakes:
        ratio = (variance(fake.clamp(0, 1)) / variance(noisy)).clamp(0.1, 10)
        scores.append(((ratio - 1 - ratio.log()) / 2).mean())
    return float(torch.stack(scores).mean())


def seconds(work: Callable[[], object], rounds: int) -> float:
    """The least time of several rounds, after one that is not counted."""
    work()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    """Time all and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--fakes", type=int, default=5, metavar="COUNT")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    generator = danet.NoiseGenerator("photo", tile=None)
    picture = torch.from_numpy(data.astronaut()[:SIDE, :SIDE].copy()).movedim(-1, 0)[None] / 255
    noisy = generator.sample(picture, n=1, seed=1)[0]
    fakes = list(generator.stream(picture, n=options.fakes, seed=2))

    def passes() -> None:
        for _ in generator.stream(picture, n=options.fakes, seed=2):
            pass

    def whole() -> float:
        return metrics.akld(picture, noisy, generator=generator, n=options.fakes, seed=2)

    def metric() -> float:
        return metrics.akld(picture, noisy, fakes)

    each = options.fakes
    times = {
        "the generator's passes": seconds(passes, options.rounds) / each,
        "AKLD with them": seconds(whole, options.rounds) / each,
        "the metric alone": seconds(metric, 5 * options.rounds) / each,
        "the metric's plain form": seconds(lambda: plain(picture, noisy, fakes), 5 * options.rounds)
        / each,
        "a copy of the picture": seconds(picture.clone, 50),
    }
    assert abs(metric() - plain(picture, noisy, fakes)) < 1e-5
    print(f"{hardware(generator.device)}, {SIDE} px")
    for name, value in times.items():
        print(f"{name}: {value * 1e3:.2f} ms a fake")
    ratio = times["AKLD with them"] / times["the generator's passes"]
    faster = times["the metric's plain form"] / times["the metric alone"]
    copies = times["the metric alone"] / times["a copy of the picture"]
    print(f"AKLD costs {ratio:.3f} times the passes; the metric is {faster:.1f} times as fast as")
    print(f"its plain form, and takes the time of {copies:.0f} copies of the picture")


if __name__ == "__main__":
    main()
