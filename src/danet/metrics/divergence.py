"""Divergences between real and generated noise: AKLD, and KLD of histograms."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from danet.errors import ConfigError, DanetWarning, ImageError
from danet.metrics.pairs import check_least, chosen, draw_fakes, local_variance, take_pair

__all__ = ["AKLD_PRESETS", "KLD_PRESETS", "AkldReport", "akld", "akld_report", "kld"]

# Takes clean, noisy and fakes; gives the score of each fake.
Score = Callable[[Any, Any, Iterable[Any]], Iterator[float]]


class _Akld(NamedTuple):
    """What varies between the forms of AKLD."""

    ratios: tuple[float, float] = (0.1, 10)
    rounding: bool = False
    first_fake: bool = False
    patch: int | None = None


class _Kld(NamedTuple):
    """A histogram, in grey levels of 255, and how it is turned into shares."""

    edges: tuple[float, ...]
    added: int = 0
    rounding: bool = False
    # Noise that is not of whole grey levels falls into other bins than it should.
    whole_levels: bool = True


AKLD_PRESETS: Mapping[str, _Akld] = {
    "danet": _Akld(),
    "unclamped": _Akld(ratios=(0, float("inf"))),
    "rounded": _Akld(rounding=True),
    "single": _Akld(first_fake=True),
    "patches": _Akld(patch=32),
}
"""The forms of AKLD by name, see `akld`."""

_BINS_320 = (-255e3, *((k - 32) * 255 / 320 for k in range(65)), 255e3)

KLD_PRESETS: Mapping[str, _Kld] = {
    "noise_flow": _Kld(_BINS_320, whole_levels=False),
    "neca": _Kld(_BINS_320, rounding=True),
    "kousha": _Kld(tuple(range(-260, 261, 4)), added=1),
    "naflow": _Kld(tuple((k - 128) * 255 / 128 for k in range(257))),
}
"""The histograms of KLD by name, see `kld`."""


@dataclass(frozen=True)
class AkldReport:
    """AKLD, and what it is to be seen against; nats per pixel, all by the same preset.

    Attributes:
        score: of the fakes.
        floor: of true draws: noise fitted to the real one against other draws of it.
        gaussian: of white Gaussian noise that has the real noise's local variance.
        no_noise: of the clean picture itself.
        second: of a second real shot, where there is one.
    """

    score: float
    floor: float
    gaussian: float
    no_noise: float
    second: float | None = None


def akld(
    clean: Any,
    noisy: Any = None,
    fakes: Any = None,
    n: int = 50,
    seed: int = 0,
    *,
    generator: Any = None,
    preset: str = "danet",
) -> float:
    """Average KL divergence between real and generated noise; lower is closer.

    At each pixel the noise is taken as Gaussian with mean 0 and the variance V of its 7 x 7
    neighbourhood, max(GF7((y - x)^2), 1e-10); the divergence is (r - 1 - ln r) / 2 with
    r = V(fake) / V(real), held between 0.1 and 10.  "Dual Adversarial Network" (ECCV 2020),
    equation 13, per pixel, as the authors' program computes it.  A second true shot does not
    score 0 but about .04 to .07, no noise at all scores .70, and the spatial correlation is not
    seen: `akld_report` gives what a score is to be seen against.

    Three ways to call it::

        akld(clean, noisy, fakes)
        akld(clean, noisy, generator, n=50, seed=0)
        akld(pairs, generator=generator, n=50, seed=0)

    Args:
        clean: the true picture x, or N of them in a tensor, at least 4 pixels high and wide, in
            [0, 1] where it is of floats; or, without ``noisy``, a data set: pairs (clean,
            noisy), one after another, whose sizes may differ.
        noisy: the real noisy picture y.
        fakes: generated noisy pictures, one after another; 50 in the paper.  They are
            clamped to [0, 1] and should not be rounded: give floats.  Or a ``generator``.
        n: how many fakes are made of each picture, where a generator makes them.
        seed: not negative; that of the first pair, and one more for each that follows.
        generator: what makes the fakes: a ``danet.NoiseGenerator``, or any object with
            ``stream(clean, n, seed)`` or ``sample(clean, n, seed)``, or any callable, clean to
            noisy, which draws by itself.  It gets the picture as given, but integers and PIL
            images as float32 arrays, H x W x C in [0, 1], lest the fakes be rounded.
        preset: ``"danet"``, the authors' form; ``"unclamped"``, r as it is; ``"rounded"``, all
            pictures rounded to 8 bits; ``"single"``, the first fake alone; ``"patches"``,
            V within patches of 32 x 32, what is left at the right and bottom dropped.

    Returns:
        Nats per pixel, the mean over pictures of the mean over fakes.

    Raises:
        ImageError: there are no fakes or no pairs, or the sizes differ or are too small.
        ConfigError: a setting is of no use, or there are both fakes and a generator.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> clean = np.full((64, 64, 3), 0.5)
        >>> noisy, alike = clean + rng.normal(0, 0.02, (2, 64, 64, 3))
        >>> stronger = clean + rng.normal(0, 0.06, clean.shape)
        >>> akld(clean, noisy, [alike]) < akld(clean, noisy, [stronger])
        True
        >>> akld(clean, noisy, lambda x: x + rng.normal(0, 0.02, x.shape), n=4) < 0.05
        True
    """
    score = partial(_akld_each, chosen(preset, AKLD_PRESETS))
    return _over_pairs(score, clean, noisy, _source(noisy, fakes, generator), n, seed)


def akld_report(
    clean: Any,
    noisy: Any = None,
    fakes: Any = None,
    n: int = 50,
    seed: int = 0,
    *,
    generator: Any = None,
    second: Any = None,
    preset: str = "danet",
) -> AkldReport:
    """AKLD with what makes the number mean something.

    The floor is what a perfect model of the noise would score.  Its noise is fitted to the real
    one: of the same variance around each pixel, within 31 x 31, and, where divided by its
    root, of the same power spectrum and channel correlation, by drawing the phases anew
    (surrogate data, Theiler et al., Physica D 1992).  One draw takes the place of the real
    noise, n others of the fakes.  Gaussian noise of the real shot's own V can score less than
    the floor: no model knows that V, which is in part the shot's chance.

    Args:
        clean: as for `akld`, a data set included.
        noisy: as for `akld`.
        fakes: as for `akld`.
        n: as for `akld`, and the number of draws for the floor and of Gaussian noise.
        seed: as for `akld`.
        generator: as for `akld`.
        second: another real shot of the same scene, measured as a fake; not with a data set.
        preset: as for `akld`.

    Returns:
        The scores; of a data set, their means.

    Raises:
        ImageError: as `akld`.
        ConfigError: as `akld`, or ``second`` is given with a data set.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> clean = np.full((64, 64, 3), 0.5)
        >>> noisy, alike = clean + rng.normal(0, 0.02, (2, 64, 64, 3))
        >>> report = akld_report(clean, noisy, [alike], n=4)
        >>> report.floor < 0.06 < 0.6 < report.no_noise
        True
    """
    if noisy is None:
        if second is not None:
            raise ConfigError("second is given with a data set; give it with a single pair")
        _source(noisy, fakes, generator)
        reports = [
            akld_report(x, y, None, n, seed + index, generator=generator, preset=preset)
            for index, (x, y) in enumerate(_pairs(clean, noisy))
        ]
        table = np.array([astuple(report)[:-1] for report in reports])
        return AkldReport(*map(float, table.mean(axis=0)))
    measure = partial(akld, preset=preset)
    score = measure(clean, noisy, fakes, n, seed, generator=generator)
    truth, observed = take_pair(clean, noisy)
    drawn = _true_draws(truth, observed, n + 1, seed)
    return AkldReport(
        score=score,
        floor=measure(truth, next(drawn), drawn),
        gaussian=measure(truth, observed, _gaussian_draws(truth, observed, n, seed)),
        no_noise=measure(truth, observed, [truth]),
        second=None if second is None else measure(clean, noisy, [second]),
    )


def kld(
    clean: Any,
    noisy: Any = None,
    fakes: Any = None,
    n: int = 1,
    seed: int = 0,
    *,
    generator: Any = None,
    preset: str = "noise_flow",
) -> float:
    """KL divergence of the histograms of real and generated noise; lower is closer.

    KL(real || fake) = sum over the bins of p ln(p / q), p and q the shares of the values of
    y - x and of y' - x, all channels together, in each bin.  Every preset is taken of each picture
    and then averaged.  The numbers of different presets cannot be compared, and none of them
    sees where in the picture the noise is.

    Args:
        clean: as for `akld`, a data set included; any size.
        noisy: as for `akld`.
        fakes: as for `akld`.
        n: as for `akld`.
        seed: as for `akld`.
        generator: as for `akld`.
        preset: ``"noise_flow"`` (ICCV 2019): bins of 1/320 from -0.1 to 0.1 and one beyond each
            end, bins empty in either dropped.  ``"neca"`` (CVPR 2023): the same, all pictures
            rounded to 8 bits first.  ``"kousha"`` (CVPR 2022): bins of 4 grey levels from -260
            to 260, one added to each count.  ``"naflow"`` (CVPR 2024): 256 bins from -1 to
            1, bins empty in either dropped.

    Returns:
        Nats, the mean over pictures of the mean over fakes.  Where empty bins are dropped it can
        be below 0, and a generator that makes hardly any noise scores as if it were good:
        only ``"kousha"`` has no such fault.

    Raises:
        ImageError: there are no fakes or no pairs, or the sizes differ.
        ConfigError: as `akld`.

    Warns:
        DanetWarning: real and generated noise do not both lie, or do not both fail to lie, on
            whole 8-bit levels; or they do not and the preset's bins are made for such.  Bins
            of about a level's width then hold one level or none of the one, and all of the
            other: round the fakes first.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> clean = np.full((64, 64, 3), 0.5)
        >>> noisy, alike = clean + rng.normal(0, 0.02, (2, 64, 64, 3))
        >>> stronger = clean + rng.normal(0, 0.06, clean.shape)
        >>> kld(clean, noisy, [alike]) < 0.01 < 0.5 < kld(clean, noisy, [stronger])
        True
    """
    score = partial(_kld_each, chosen(preset, KLD_PRESETS), preset)
    return _over_pairs(score, clean, noisy, _source(noisy, fakes, generator), n, seed)


def _source(noisy: Any, fakes: Any, generator: Any) -> Any:
    """The one of the two that is given."""
    if (fakes is None) == (generator is None):
        raise ConfigError("give either fakes or a generator that makes them")
    if noisy is None and generator is None:
        raise ConfigError("a data set, which has no noisy, needs a generator, not fakes")
    return generator if fakes is None else fakes


def _pairs(clean: Any, noisy: Any) -> Iterator[tuple[Any, Any]]:
    """The one pair, or those of a data set, at least one."""
    if noisy is not None:
        yield clean, noisy
        return
    if isinstance(clean, (Image.Image, np.ndarray, Tensor)):
        raise ConfigError("noisy is missing; without it, clean must be pairs (clean, noisy)")
    pair = None
    for pair in clean:
        yield pair
    if pair is None:
        raise ImageError("there are no pairs, at least 1 is needed")


def _over_pairs(score: Score, clean: Any, noisy: Any, source: Any, n: int, seed: int) -> float:
    """The mean over pairs of the mean over fakes."""
    means = []
    for index, (x, y) in enumerate(_pairs(clean, noisy)):
        scores = list(score(x, y, draw_fakes(source, x, n, seed + index)))
        if not scores:
            raise ImageError("there are no fakes, at least 1 is needed")
        means.append(np.mean(scores))
    return float(np.mean(means))


def _akld_each(form: _Akld, clean: Any, noisy: Any, fakes: Iterable[Any]) -> Iterator[float]:
    def variance(image: Any) -> Tensor:
        truth, observed = take_pair(clean, image)
        if form.rounding:
            truth, observed = ((picture * 255).round() / 255 for picture in (truth, observed))
        noise = observed - truth
        if form.patch is not None:
            noise = _patches(noise, form.patch)
        check_least(noise, 4, "AKLD")
        return local_variance(noise)

    real = variance(noisy)
    for fake in islice(fakes, 1) if form.first_fake else fakes:
        ratio = (variance(fake) / real).clamp(*form.ratios)
        yield (ratio - 1 - ratio.log()).mean().item() / 2


def _patches(noise: Tensor, side: int) -> Tensor:
    """N x C x H x W cut into M x C x side x side."""
    check_least(noise, side, "AKLD in patches")
    patches = noise.unfold(2, side, side).unfold(3, side, side)
    return patches.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)


def _kld_each(
    form: _Kld, preset: str, clean: Any, noisy: Any, fakes: Iterable[Any]
) -> Iterator[float]:
    def noise(image: Any) -> tuple[Tensor, bool]:
        """N x values, in grey levels, and whether they are whole."""
        levels = [picture.cpu().double() * 255 for picture in take_pair(clean, image)]
        if form.rounding:
            levels = [level.round() for level in levels]
        difference = (levels[1] - levels[0]).flatten(1)
        # What float32 left of whole levels must not fall on the wrong side of an edge.
        nearest = difference.round()
        near = (difference - nearest).abs() < 1e-3
        return torch.where(near, nearest, difference), bool(near.all())

    real, real_whole = noise(noisy)
    p = _shares(real, form)
    for fake in fakes:
        made, made_whole = noise(fake)
        if real_whole != made_whole or (form.whole_levels and not made_whole):
            lying = {True: "on whole 8-bit levels", False: "between 8-bit levels"}
            warnings.warn(
                f"the real noise lies {lying[real_whole]} and the generated {lying[made_whole]}: "
                f"the bins of {preset} take them differently; round all pictures to 8 bits",
                DanetWarning,
                stacklevel=4,
            )
        q = _shares(made, form)
        both = (p > 0) & (q > 0)
        terms = torch.where(both, p * (p / q).log(), 0)
        yield terms.sum(dim=1).mean().item()


def _shares(values: Tensor, form: _Kld) -> Tensor:
    """The share of each picture's values in each bin, N x bins."""
    edges = torch.tensor(form.edges, dtype=torch.float64)
    counts = torch.stack([torch.histogram(row, edges).hist for row in values]) + form.added
    return counts / (values.shape[1] + form.added * counts.shape[1])


def _true_draws(truth: Tensor, observed: Tensor, n: int, seed: int) -> Iterator[Tensor]:
    """Draws of noise fitted to the real one, added to the clean picture."""
    noise = observed - truth
    deviation = _wide_variance(noise).sqrt()
    spectrum = torch.fft.rfft2(noise / deviation)
    for white in _white(truth[:, :1], n, seed):
        phase = torch.fft.rfft2(white)
        # The same turn for all channels keeps how they hang together.
        turned = spectrum * phase / phase.abs().clamp_min(1e-12)
        yield truth + deviation * torch.fft.irfft2(turned, s=truth.shape[2:])


def _wide_variance(noise: Tensor) -> Tensor:
    """The variance within 31 x 31 pixels, too wide to follow the chance of a single shot."""
    radius = min(15, *(side - 1 for side in noise.shape[2:]))
    squares = F.pad(noise.square(), (radius,) * 4, mode="reflect")
    rows = F.avg_pool2d(squares, (2 * radius + 1, 1), stride=1)
    return F.avg_pool2d(rows, (1, 2 * radius + 1), stride=1).clamp_min(1e-10)


def _gaussian_draws(truth: Tensor, observed: Tensor, n: int, seed: int) -> Iterator[Tensor]:
    deviation = local_variance(observed - truth).sqrt()
    return (truth + deviation * white for white in _white(truth, n, seed))


def _white(like: Tensor, n: int, seed: int) -> Iterator[Tensor]:
    # Drawn on the CPU, whose numbers are the same everywhere.
    source = torch.Generator().manual_seed(seed)
    return (torch.randn(like.shape, generator=source).to(like.device) for _ in range(n))
