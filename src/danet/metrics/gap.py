"""PGap: what a denoiser loses that was trained on generated noise instead of the real one."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from danet import images
from danet.data import Pixels, check_same_size, fingerprint
from danet.errors import DataError, ImageError, check_count, require
from danet.metrics.inputs import draw_fakes
from danet.metrics.quality import psnr

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PGap", "TrainDenoiser", "TrainedDenoiser", "pgap"]

PixelPairs: TypeAlias = Sequence[tuple[Pixels, Pixels]]
Curve: TypeAlias = tuple[tuple[int, float], ...]

_CONFIDENCE = 0.95


class TrainedDenoiser(NamedTuple):
    """What a training gives.

    Attributes:
        denoise: takes a noisy picture, H x W x 3, uint8 or uint16, and gives it denoised.
        curve: PSNR in dB on the test pairs, or some of them, after how many updates.
    """

    denoise: Callable[[Any], Any]
    curve: Curve = ()


class TrainDenoiser(Protocol):
    """A training of `pgap`: the same pairs and seed must give the same denoiser."""

    @property
    def about(self) -> Mapping[str, Any]:
        """Network, budget, checkpoint rule and whatever else the result depends on."""

    def __call__(self, pairs: PixelPairs, test_pairs: PixelPairs, seed: int) -> TrainedDenoiser:
        """Train on pairs (clean, noisy); the test pairs are for the curve alone."""


@dataclass(frozen=True)
class PGap:
    """PGap, and all that it depends on.

    Attributes:
        value: PSNR of the denoisers trained on real noise less that of those trained on generated
            noise, in dB, the mean over the seeds; lower is better.
        interval: where the mean over all seeds lies with 95 % confidence, by Student's t; None
            with a single seed.  The pairs are the same throughout, so that it says nothing
            of other pairs.
        real: PSNR on the test pairs of the denoisers trained on real noise, one for each seed.
        generated: of those trained on generated noise.
        real_curves: PSNR of ``real`` after so many updates, as the training gives them.
        generated_curves: of ``generated``.
        about: the seeds, the numbers of pairs, their fingerprints, and what the training says.
    """

    value: float
    interval: tuple[float, float] | None
    real: tuple[float, ...]
    generated: tuple[float, ...]
    real_curves: tuple[Curve, ...]
    generated_curves: tuple[Curve, ...]
    about: Mapping[str, Any]

    def plot(self) -> Figure:
        """Both curves, PSNR against updates, as Fig. 2 of the paper.

        Returns:
            A ``matplotlib.figure.Figure``; its ``savefig(path)`` writes it.

        Raises:
            ConfigError: matplotlib is not installed.
        """
        # Figure draws by Agg; pyplot would look for a screen.
        figures = require("matplotlib.figure", "metrics", "drawing curves")
        figure: Figure = figures.Figure((6, 4), dpi=100, layout="constrained")
        axes = figure.subplots()
        for curves, name, colour in (
            (self.real_curves, "real noise", "C0"),
            (self.generated_curves, "generated noise", "C1"),
        ):
            for number, curve in enumerate(curves):
                axes.plot(*zip(*curve, strict=True), color=colour, label=None if number else name)
        axes.set_xlabel("updates")
        axes.set_ylabel("PSNR on the test pairs (dB)")
        axes.legend()
        return figure


def pgap(
    generator: Any,
    train_pairs: Sequence[tuple[Any, Any]],
    test_pairs: Sequence[tuple[Any, Any]],
    *,
    preset: str | Mapping[str, Any] = "quick",
    seeds: Sequence[int] = (0, 1, 2),
    cache: str | Path | None = None,
    train: TrainDenoiser | None = None,
) -> PGap:
    """What a denoiser loses when it is trained on generated noise; lower is better, 0 is ideal.

    For each seed two denoisers are trained, R1 on the real pairs, R2 on the same clean pictures
    with one generated version of each, all else equal: network, budget, seed, patches and the
    rule which weights are taken.  PGap = PSNR(R1) - PSNR(R2) on the real test pairs.  "Dual
    Adversarial Network" (ECCV 2020), section 4.  The paper does not say which denoiser: PGaps
    of different presets or pairs cannot be compared.

    Args:
        generator: what makes the noise, as for `danet.metrics.akld`.  What it makes is rounded to
            as many bits as the real noisy picture has.
        train_pairs: pictures (clean, noisy), each a PIL image, an array, or a tensor C x H x W;
            8 bits are kept, all else becomes 16 bits.
        test_pairs: pictures as in ``train_pairs``, of other scenes.
        preset: ``"quick"``, a small network and minutes on a CPU; ``"paper"``, the network and
            the budget of the paper's denoiser, days on a GPU; or settings for
            ``danet.train.make_config``, its ``recipe`` among them.
        seeds: one experiment each.
        cache: a folder in which every training is kept, so that R1 is trained once for many
            generators, and a training that was interrupted goes on.  One process may use it
            at a time.
        train: another training than that of danet; preset and cache are then not used.

    Returns:
        The gap, its interval, and what it depends on.

    Raises:
        ConfigError: there are no seeds, one is negative, or the preset is unknown.
        DataError: there are no pairs, or the sizes of one differ.
        ImageError: a picture cannot be taken, or is too small.
        DanetError: as the training, for which the extra ``train`` must be installed.

    Example:
        ::

            pairs = [(clean, noisy), ...]
            gap = pgap(danet.NoiseGenerator(), pairs, tests, cache="denoisers")
            print(gap.value, gap.interval, gap.about["training"])
    """
    check_count("the number of seeds", len(seeds), 1)
    for seed in seeds:
        check_count("seed", seed)
    if train is None:
        # The one way upward: by name, and when called.
        train = importlib.import_module("danet.train").DenoiserTraining(preset, cache)
    real, tests = _taken(train_pairs, "train_pairs"), _taken(test_pairs, "test_pairs")
    trained, versions = [], []
    for seed in seeds:
        fakes = [_faked(generator, *pair, (seed, index)) for index, pair in enumerate(real)]
        versions.append(fingerprint(fakes))
        trained.append((train(real, tests, seed), train(fakes, tests, seed)))
    scores = np.array([[_score(one.denoise, tests) for one in both] for both in trained])
    gaps = scores[:, 0] - scores[:, 1]
    return PGap(
        value=float(gaps.mean()),
        interval=_interval(gaps),
        real=tuple(scores[:, 0].tolist()),
        generated=tuple(scores[:, 1].tolist()),
        real_curves=tuple(both[0].curve for both in trained),
        generated_curves=tuple(both[1].curve for both in trained),
        about={
            "seeds": tuple(seeds),
            "train_pairs": len(real),
            "test_pairs": len(tests),
            "fingerprints": {
                "train_pairs": fingerprint(real),
                "test_pairs": fingerprint(tests),
                "generated": tuple(versions),
            },
            "training": train.about,
        },
    )


def _taken(pairs: Sequence[tuple[Any, Any]], name: str) -> list[tuple[Pixels, Pixels]]:
    taken = [(_pixels(clean), _pixels(noisy)) for clean, noisy in pairs]
    if not taken:
        raise DataError(f"{name} is empty, and must hold at least one pair (clean, noisy)")
    for number, pair in enumerate(taken):
        check_same_size(*pair, f"{name}[{number}]")
    return taken


def _pixels(picture: Any) -> Pixels:
    """A picture as H x W x 3, of 8 bits where it has no more, otherwise of 16."""
    if isinstance(picture, Image.Image):
        wide = picture.mode == "F" or picture.mode.startswith("I")
    else:
        wide = str(picture.dtype).removeprefix("torch.") != "uint8"
    values = images.to_tensor(picture)[0].detach()
    if len(values) != 1:
        raise ImageError(f"a picture of a pair is a batch of {len(values)}; give them one by one")
    return _rounded(values[0].movedim(0, -1).cpu().numpy(), np.uint16 if wide else np.uint8)


def _rounded(values: NDArray[Any], dtype: Any) -> Pixels:
    levels: Pixels = np.rint(values.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)
    return levels


def _faked(
    generator: Any, clean: Pixels, noisy: Pixels, seed: tuple[int, int]
) -> tuple[Pixels, Pixels]:
    """The clean picture, and it with generated noise."""
    drawn = int(np.random.SeedSequence(seed).generate_state(1)[0])
    (fake,) = draw_fakes(generator, clean, 1, drawn)
    return clean, _rounded(np.asarray(fake), noisy.dtype)


def _score(denoise: Callable[[Any], Any], pairs: PixelPairs) -> float:
    return float(np.mean([psnr(clean, denoise(noisy)) for clean, noisy in pairs]))


def _interval(gaps: NDArray[np.float64]) -> tuple[float, float] | None:
    if len(gaps) == 1:
        return None
    from scipy import stats  # slow to import

    reach = stats.t.ppf((1 + _CONFIDENCE) / 2, len(gaps) - 1) * gaps.std(ddof=1)
    reach /= math.sqrt(len(gaps))
    return float(gaps.mean() - reach), float(gaps.mean() + reach)
