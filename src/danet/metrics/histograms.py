"""KLD, the divergence between the histograms of real and generated noise."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from danet.errors import DanetWarning
from danet.metrics.inputs import chosen, over_pairs, source_of, take_judged, take_true

__all__ = ["KLD_PRESETS", "kld"]


class _Kld(NamedTuple):
    """A histogram, in grey levels of 255, and how it is turned into shares."""

    edges: tuple[float, ...]
    added: int = 0
    rounding: bool = False
    # Noise that is not of whole grey levels falls into other bins than it should.
    whole_levels: bool = True


_BINS_320 = (-255e3, *((k - 32) * 255 / 320 for k in range(65)), 255e3)

KLD_PRESETS: Mapping[str, _Kld] = {
    "noise_flow": _Kld(_BINS_320, whole_levels=False),
    "neca": _Kld(_BINS_320, rounding=True),
    "kousha": _Kld(tuple(range(-260, 261, 4)), added=1),
    "naflow": _Kld(tuple((k - 128) * 255 / 128 for k in range(257))),
}
"""The histograms of KLD by name, see `kld`."""


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
    return over_pairs(score, clean, noisy, source_of(noisy, fakes, generator), n, seed)


def _kld_each(
    form: _Kld, preset: str, clean: Any, noisy: Any, fakes: Iterable[Any]
) -> Iterator[float]:
    def levels(picture: Tensor) -> Tensor:
        scaled = picture.cpu().double() * 255
        return scaled.round() if form.rounding else scaled

    taken = take_true(clean)
    truth = levels(taken)

    def noise(image: Any) -> tuple[Tensor, bool]:
        """N x values, in grey levels, and whether they are whole."""
        difference = (levels(take_judged(image, taken)) - truth).flatten(1)
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
