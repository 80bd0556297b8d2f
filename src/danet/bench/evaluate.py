"""Measuring denoisers and generators on pairs of pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from danet import __version__, metrics
from danet.bench.methods import Denoise, Floats
from danet.bench.report import Report
from danet.data import scaled
from danet.devices import hardware
from danet.errors import DataError
from danet.layouts import SourcePair
from danet.pretrained import NoiseGenerator

__all__ = ["DIVERGENCES", "STATISTICS", "evaluate", "evaluate_noise", "machine"]

Facts = Mapping[str, str | int]

_WARM_UP = 64  # pixels each way of what is denoised before the first picture

# What compares a generated picture with the real one: measures of (clean, noisy, generated), each
# averaged over the generated pictures of a clean one.
DIVERGENCES: Mapping[str, Callable[[Floats, Floats, Floats], float]] = {
    "akld": lambda clean, noisy, fake: metrics.akld(clean, noisy, [fake]),
}
# What describes the noise of one picture: measures of (clean, noisy), for the real picture and,
# averaged, for the generated ones.
STATISTICS: Mapping[str, Callable[[Floats, Floats], float]] = {
    "mean": lambda clean, noisy: 255 * float(np.mean(noisy - clean)),
    "std": lambda clean, noisy: 255 * float(np.std(noisy - clean)),
}


def evaluate(
    pairs: Sequence[SourcePair], methods: Mapping[str, Denoise], facts: Facts | None = None
) -> Report:
    """Measure denoisers by PSNR and SSIM after rounding to 8 bits, for each picture.

    Args:
        pairs: clean and noisy pictures, read one after another.
        methods: the denoisers by name, such as `danet.bench.network` and `danet.bench.baseline`
            give them.
        facts: what the report shall say about them.

    Returns:
        For ``noisy`` and each method ``psnr`` in dB and ``ssim``, as `danet.metrics` has them; for
        the methods also ``seconds_per_megapixel``, from a picture in memory to one in memory.

    Raises:
        DataError: there are no pairs; or as a pair's ``read``.
        ImageError: a picture cannot be read, is smaller than 11 pixels, or a result is not finite.
        DanetError: scikit-image is not installed.
    """
    images = {}
    # disable=None: no bar where standard error is not a terminal.
    for pair in tqdm(_some(pairs), unit="picture", disable=None):
        clean, observed = pair.read()
        noisy = scaled(observed)
        if not images:
            for denoise in methods.values():  # what is loaded on first use is not timed
                denoise(noisy[:_WARM_UP, :_WARM_UP].copy())
        scores = {"noisy": _quality(clean, noisy)}
        for name, denoise in methods.items():
            started = time.perf_counter()
            denoised = denoise(noisy)
            seconds = time.perf_counter() - started
            scores[name] = _quality(clean, denoised) | _speed(seconds, noisy)
        images[pair.name] = scores
    return Report({"pictures": len(images), **(facts or {})}, images)


def evaluate_noise(
    pairs: Sequence[SourcePair],
    generator: NoiseGenerator,
    *,
    fakes: int = 50,
    seed: int = 0,
    facts: Facts | None = None,
) -> Report:
    """Measure how close generated noise is to the real noise of each picture.

    Args:
        pairs: as for `evaluate`.
        generator: makes noisy versions of the clean pictures.
        fakes: how many of each; 50 in the paper.
        seed: fixes the noise; picture i is drawn by seed + i.
        facts: as for `evaluate`.

    Returns:
        For ``generated`` each of ``DIVERGENCES``, averaged over the versions, and
        ``seconds_per_megapixel`` of one version; for ``real`` and ``generated`` each of
        ``STATISTICS``, in grey levels of 255.  Versions are floats in [0, 1].

    Raises:
        ConfigError: ``fakes`` is not positive, or the seed is negative.
        DataError: as `evaluate`.
        ImageError: as `evaluate`.
    """
    images = {}
    for number, pair in enumerate(tqdm(_some(pairs), unit="picture", disable=None)):
        clean, noisy = map(scaled, pair.read())
        versions = generator.stream(clean, fakes, seed + number)
        sums: dict[str, float] = {}
        seconds = 0.0
        for _ in range(fakes):
            started = time.perf_counter()
            fake = next(versions)
            seconds += time.perf_counter() - started
            found = {name: f(clean, noisy, fake) for name, f in DIVERGENCES.items()}
            found |= {name: f(clean, fake) for name, f in STATISTICS.items()}
            sums = {name: sums.get(name, 0.0) + value for name, value in found.items()}
        images[pair.name] = {
            "real": {name: f(clean, noisy) for name, f in STATISTICS.items()},
            "generated": {name: total / fakes for name, total in sums.items()}
            | _speed(seconds / fakes, clean),
        }
    return Report({"pictures": len(images), "versions of each": fakes, **(facts or {})}, images)


def machine(device: torch.device) -> dict[str, str | int]:
    """What computes, and by which versions, as facts for a report.

    Example:
        >>> sorted(machine(torch.device("cpu")))
        ['danet', 'hardware', 'torch']
    """
    return {"hardware": hardware(device), "danet": __version__, "torch": str(torch.__version__)}


def _some(pairs: Sequence[SourcePair]) -> Sequence[SourcePair]:
    if not pairs:
        raise DataError("there are no pairs to measure on")
    return pairs


def _quality(clean: Any, image: Floats) -> dict[str, float]:
    return {"psnr": metrics.psnr(clean, image), "ssim": metrics.ssim(clean, image)}


def _speed(seconds: float, picture: Floats) -> dict[str, float]:
    height, width = picture.shape[:2]
    return {"seconds_per_megapixel": seconds / (height * width / 1e6)}
