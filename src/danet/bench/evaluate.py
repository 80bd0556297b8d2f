"""Measuring denoisers and generators on pairs of pictures."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from danet import __version__, metrics
from danet.bench.methods import Denoise, Floats
from danet.bench.report import Report, Scores
from danet.data import scaled
from danet.data.layouts import SourcePair
from danet.devices import hardware
from danet.errors import DataError, check_count

__all__ = ["evaluate", "evaluate_noise", "machine"]

Facts = Mapping[str, str | int]

_WARM_UP = 64  # pixels each way of what is denoised before the first picture


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
        ConfigError: scikit-image is not installed.
    """
    images: dict[str, Scores] = {}
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
    generator: Any,
    *,
    fakes: int = 50,
    seed: int = 0,
    facts: Facts | None = None,
    train_pairs: Sequence[SourcePair] = (),
    **experiment: Any,
) -> Report:
    """Measure how close generated noise is to the real noise of each picture.

    Args:
        pairs: as for `evaluate`.
        generator: makes noisy versions of the clean pictures: a `danet.NoiseGenerator`, or
            a model of `danet.noise`.
        fakes: how many of each; 50 in the paper.
        seed: fixes the noise; picture i is drawn by seed + i.
        facts: as for `evaluate`.
        train_pairs: real pairs of other scenes, to measure PGap with as well, which trains.
        **experiment: what else `danet.metrics.pgap` takes, such as ``cache``.

    Returns:
        For ``real`` and ``generated`` the ``noise_mean`` and ``noise_std``, in grey levels of 255;
        for ``generated`` also ``akld``, ``kld`` by the preset ``neca``, the four
        `danet.metrics.NoiseDistances`, such as ``variance_distance``, and
        ``seconds_per_megapixel`` of one version.  Those of ``generated`` are means over the
        versions, which are not rounded but for ``kld``.  With ``train_pairs``, also ``pgap`` for
        the whole, and the ends of its interval, ``pgap_low`` and ``pgap_high``.

    Raises:
        ConfigError: ``fakes`` or the seed is no whole number, or too small.
        DataError: as `evaluate`.
        ImageError: as `evaluate`.
        DanetError: as `danet.metrics.pgap`.
    """
    check_count("fakes", fakes, 1)
    check_count("seed", seed)
    images: dict[str, Scores] = {}
    for number, pair in enumerate(tqdm(_some(pairs), unit="picture", disable=None)):
        clean, noisy = map(scaled, pair.read())
        versions = generator.stream(clean, fakes, seed + number)
        real = metrics.noise_statistics(clean, noisy)
        scores = []
        seconds = 0.0
        for _ in range(fakes):
            started = time.perf_counter()
            fake = next(versions)
            seconds += time.perf_counter() - started
            scores.append(_moments(clean, fake) | _divergences(clean, noisy, fake, real))
        means = {name: float(np.mean([row[name] for row in scores])) for name in scores[0]}
        images[pair.name] = {
            "real": _moments(clean, noisy),
            "generated": means | _speed(seconds / fakes, clean),
        }
    given = {"pictures": len(images), "versions of each": fakes, **(facts or {})}
    if not train_pairs:
        return Report(given, images)
    given_pairs, tests = ([pair.read() for pair in part] for part in (train_pairs, pairs))
    gap = metrics.pgap(generator, given_pairs, tests, **experiment)
    whole = {"pgap": gap.value}
    if gap.interval:
        whole |= dict(zip(("pgap_low", "pgap_high"), gap.interval, strict=True))
    given["PGap"] = json.dumps(gap.about["training"], default=str)
    return Report(given, images, {"generated": whole})


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


def _moments(clean: Floats, noisy: Floats) -> dict[str, float]:
    noise = 255 * (noisy - clean)
    return {"noise_mean": float(noise.mean()), "noise_std": float(noise.std())}


def _divergences(
    clean: Floats, noisy: Floats, fake: Floats, real: metrics.NoiseStatistics
) -> dict[str, float]:
    """What compares one generated picture with the real one; each is a column of the report."""
    distances = real.distances(metrics.noise_statistics(clean, fake))
    return {
        "akld": metrics.akld(clean, noisy, [fake]),
        # It rounds both: real noise lies on whole levels of 8 bits, and the versions do not.
        "kld": metrics.kld(clean, noisy, [fake], preset="neca"),
        **{f"{name}_distance": value for name, value in asdict(distances).items()},
    }


def _speed(seconds: float, picture: Floats) -> dict[str, float]:
    height, width = picture.shape[:2]
    return {"seconds_per_megapixel": seconds / (height * width / 1e6)}
