"""AKLD, the divergence between the variances of real and generated noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from danet.errors import ConfigError
from danet.metrics.inputs import (
    check_least,
    chosen,
    local_variance,
    over_pairs,
    pairs_of,
    source_of,
    take_judged,
    take_pair,
    take_true,
)
from danet.noise.sampling import check_draws

__all__ = ["AKLD_PRESETS", "AkldReport", "akld", "akld_report"]


class _Akld(NamedTuple):
    """What varies between the forms of AKLD."""

    ratios: tuple[float, float] = (0.1, 10)
    rounding: bool = False
    first_fake: bool = False
    patch: int | None = None


AKLD_PRESETS: Mapping[str, _Akld] = {
    "danet": _Akld(),
    "unclamped": _Akld(ratios=(0, float("inf"))),
    "rounded": _Akld(rounding=True),
    "single": _Akld(first_fake=True),
    "patches": _Akld(patch=32),
}
"""The forms of AKLD by name, see `akld`."""


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
        ConfigError: ``n`` or the seed is out of its range, the preset is unknown, or there are
            both fakes and a generator.

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
    return over_pairs(score, clean, noisy, source_of(noisy, fakes, generator), n, seed)


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
    check_draws(n, seed)
    if noisy is None:
        if second is not None:
            raise ConfigError("second is given with a data set; give it with a single pair")
        source_of(noisy, fakes, generator)
        reports = [
            akld_report(x, y, None, n, seed + index, generator=generator, preset=preset)
            for index, (x, y) in enumerate(pairs_of(clean, noisy))
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


def _akld_each(form: _Akld, clean: Any, noisy: Any, fakes: Iterable[Any]) -> Iterator[float]:
    def rounded(picture: Tensor) -> Tensor:
        return (picture * 255).round() / 255 if form.rounding else picture

    taken = take_true(clean)
    truth = rounded(taken)

    def variance(image: Any) -> Tensor:
        noise = rounded(take_judged(image, taken)) - truth
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
    source = torch.Generator().manual_seed(int(seed))
    return (torch.randn(like.shape, generator=source).to(like.device) for _ in range(n))
