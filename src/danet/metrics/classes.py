"""The measures as ``torchmetrics.Metric`` classes, which reduce over processes.

Each sums a score over the pictures and divides by their number when asked, so that neither
the batches nor the processes change the result.  What torchmetrics' own classes of these names
do otherwise: PSNR pools the squared error of a batch, and neither rounds to 8 bits; its SSIM has
no volume form.  Each takes the keyword arguments of ``torchmetrics.Metric`` besides its own.

Raises:
    ConfigError: torchmetrics is not installed, on import.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, ClassVar

import torch
from torch import Tensor

from danet import metrics
from danet.errors import require
from danet.metrics.inputs import chosen
from danet.metrics.quality import QUALITY_PRESETS, Preset

# This module is nothing but subclasses of it, and is imported only when asked for.
require("torchmetrics", "metrics", "danet.metrics.classes")
from torchmetrics import Metric  # noqa: E402, TID253

__all__ = ["AKLD", "KLD", "PSNR", "SSIM"]


class _Mean(Metric):
    """The mean over pictures of a measure with one of its presets and other settings."""

    is_differentiable = False
    full_state_update = False

    _measure: ClassVar[Callable[..., float]]
    _presets: ClassVar[Collection[str]]
    total: Tensor
    pictures: Tensor

    def __init__(self, preset: str | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.settings: dict[str, Any] = {}
        if preset is not None:
            chosen(preset, self._presets)
            self.settings["preset"] = preset
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("pictures", torch.tensor(0), dist_reduce_fx="sum")

    def _add(self, clean: Any, *others: Any, **more: Any) -> None:
        """Count what the measure says of a clean picture, or of N in a tensor, and the others."""
        number = len(clean) if isinstance(clean, Tensor) and clean.ndim == 4 else 1
        self.total += self._measure(clean, *others, **more, **self.settings) * number
        self.pictures += number

    def compute(self) -> Tensor:
        """The mean over all pictures, a tensor of one number; NaN where there are none."""
        return self.total / self.pictures

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """A plot of one value or of several in order, as of any class of torchmetrics.

        Args:
            val: what `compute` gave, or a sequence of such; None computes it.
            ax: matplotlib's axes to draw on; None makes new ones.

        Returns:
            matplotlib's figure and axes.
        """
        return self._plot(val, ax)


class PSNR(_Mean):
    """`danet.metrics.psnr` over many pictures: the mean of each picture's, in decibels.

    Args:
        preset: as for `danet.metrics.psnr`.
        border: as for `danet.metrics.psnr`.
        rounding: as for `danet.metrics.psnr`.
        settings: those of ``torchmetrics.Metric``.

    Raises:
        ConfigError: there is no such preset.

    Example:
        >>> clean = torch.full((2, 3, 16, 16), 100 / 255)
        >>> metric = PSNR()
        >>> metric.update(clean + 2 / 255, clean)
        >>> round(metric.compute().item(), 2)
        42.11
    """

    higher_is_better = True
    _measure = staticmethod(metrics.psnr)
    _presets = QUALITY_PRESETS

    def __init__(
        self, preset: Preset = "2d", *, border: int = 0, rounding: bool = True, **settings: Any
    ) -> None:
        super().__init__(preset, **settings)
        self.settings |= {"border": border, "rounding": rounding}

    def update(self, preds: Any, target: Any) -> None:
        """Count pictures to judge, N x 3 x H x W or one of any kind, and their true ones.

        Raises:
            ImageError: as `danet.metrics.psnr` or `danet.metrics.ssim`.
        """
        self._add(target, preds)


class SSIM(PSNR):
    """`danet.metrics.ssim` over many pictures: the mean of each picture's, at most 1.

    Its settings are those of `PSNR`.

    Example:
        >>> clean = torch.rand(2, 3, 16, 16)
        >>> metric = SSIM("matlab3d")
        >>> metric.update(clean, clean)
        >>> metric.compute().item()
        1.0
    """

    _measure = staticmethod(metrics.ssim)


class _Divergence(_Mean):
    """What AKLD and KLD have in common."""

    higher_is_better = False

    def update(
        self, clean: Any, noisy: Any, fakes: Any, n: int | None = None, seed: int = 0
    ) -> None:
        """Count a pair or a batch of N x 3 x H x W with its fakes or what makes them.

        The arguments are those of the function, whose own ``n`` is taken where none is given; give
        each batch another seed.

        Raises:
            ImageError: as the function.
        """
        number = {} if n is None else {"n": n}
        self._add(clean, noisy, fakes, seed=seed, **number)


class AKLD(_Divergence):
    """`danet.metrics.akld` over many pictures, in nats per pixel.

    Args:
        preset: as for `danet.metrics.akld`.
        settings: those of ``torchmetrics.Metric``.

    Raises:
        ConfigError: there is no such preset.

    Example:
        >>> clean = torch.full((2, 3, 16, 16), 0.5)
        >>> noisy = clean + 0.02 * torch.randn(clean.shape)
        >>> metric = AKLD()
        >>> metric.update(clean, noisy, [noisy])
        >>> metric.compute().item()
        0.0
    """

    _measure = staticmethod(metrics.akld)
    _presets = metrics.AKLD_PRESETS


class KLD(_Divergence):
    """`danet.metrics.kld` over many pictures, in nats; its use is that of `AKLD`.

    Example:
        >>> clean = torch.full((2, 3, 16, 16), 0.5)
        >>> noisy = clean + 0.02 * torch.randn(clean.shape)
        >>> metric = KLD("neca")
        >>> metric.update(clean, noisy, [noisy])
        >>> metric.compute().item()
        0.0
    """

    _measure = staticmethod(metrics.kld)
    _presets = metrics.KLD_PRESETS
