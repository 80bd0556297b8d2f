"""The measures as ``torchmetrics.Metric`` classes, which reduce over processes.

Each sums a score over the pictures and divides by their number when asked, so that neither
the batches nor the processes change the result.  What torchmetrics' own classes of these names
do otherwise: PSNR pools the squared error of a batch, and neither rounds to 8 bits; its SSIM has
no volume form.  Each takes the keyword arguments of ``torchmetrics.Metric`` besides its own.

Raises:
    ConfigError: torchmetrics is not installed, on import.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    """The mean of a score over pictures."""

    is_differentiable = False
    full_state_update = False

    total: Tensor
    pictures: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("pictures", torch.tensor(0), dist_reduce_fx="sum")

    def _add(self, score: float, picture: Any) -> None:
        """Count the mean score of a picture, or of N in a tensor."""
        number = len(picture) if isinstance(picture, Tensor) and picture.ndim == 4 else 1
        self.total += score * number
        self.pictures += number

    def compute(self) -> Tensor:
        """The mean over all pictures, a tensor of one number; NaN where there are none."""
        return self.total / self.pictures


class PSNR(_Mean):
    """`danet.metrics.psnr` over many pictures: the mean of each picture's, in decibels.

    Args:
        preset: as for `danet.metrics.psnr`.
        settings: its other settings, and those of ``torchmetrics.Metric``.

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

    def __init__(
        self, preset: Preset = "2d", *, border: int = 0, rounding: bool = True, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.settings = {
            "preset": chosen(preset, QUALITY_PRESETS),
            "border": border,
            "rounding": rounding,
        }

    def update(self, preds: Any, target: Any) -> None:
        """Count pictures to judge, N x 3 x H x W or one of any kind, and their true ones.

        Raises:
            ImageError: as `danet.metrics.psnr`.
        """
        self._add(metrics.psnr(target, preds, **self.settings), target)


class SSIM(PSNR):
    """`danet.metrics.ssim` over many pictures: the mean of each picture's, at most 1.

    Args:
        preset: as for `danet.metrics.ssim`.
        settings: its other settings, and those of ``torchmetrics.Metric``.

    Raises:
        ConfigError: there is no such preset.

    Example:
        >>> clean = torch.rand(2, 3, 16, 16)
        >>> metric = SSIM("matlab3d")
        >>> metric.update(clean, clean)
        >>> metric.compute().item()
        1.0
    """

    def update(self, preds: Any, target: Any) -> None:
        """Count pictures to judge, N x 3 x H x W or one of any kind, and their true ones.

        Raises:
            ImageError: as `danet.metrics.ssim`.
        """
        self._add(metrics.ssim(target, preds, **self.settings), target)


class _Divergence(_Mean):
    """The mean of a divergence of one of the presets."""

    higher_is_better = False
    _presets: Mapping[str, Any]

    def __init__(self, preset: str, **settings: Any) -> None:
        super().__init__(**settings)
        chosen(preset, self._presets)
        self.preset = preset


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

    _presets = metrics.AKLD_PRESETS

    def __init__(self, preset: str = "danet", **settings: Any) -> None:
        super().__init__(preset, **settings)

    def update(self, clean: Any, noisy: Any, fakes: Any, n: int = 50, seed: int = 0) -> None:
        """Count a pair or a batch of N x 3 x H x W with its fakes or what makes them.

        The arguments are those of `danet.metrics.akld`; give each batch another seed.

        Raises:
            ImageError: as `danet.metrics.akld`.
        """
        self._add(metrics.akld(clean, noisy, fakes, n, seed, preset=self.preset), clean)


class KLD(_Divergence):
    """`danet.metrics.kld` over many pictures, in nats.

    Args:
        preset: as for `danet.metrics.kld`.
        settings: those of ``torchmetrics.Metric``.

    Raises:
        ConfigError: there is no such preset.

    Example:
        >>> clean = torch.full((2, 3, 16, 16), 0.5)
        >>> noisy = clean + 0.02 * torch.randn(clean.shape)
        >>> metric = KLD("neca")
        >>> metric.update(clean, noisy, [noisy])
        >>> metric.compute().item()
        0.0
    """

    _presets = metrics.KLD_PRESETS

    def __init__(self, preset: str = "noise_flow", **settings: Any) -> None:
        super().__init__(preset, **settings)

    def update(self, clean: Any, noisy: Any, fakes: Any, n: int = 1, seed: int = 0) -> None:
        """Count a pair or a batch as `AKLD` does; the arguments are those of `danet.metrics.kld`.

        Raises:
            ImageError: as `danet.metrics.kld`.
        """
        self._add(metrics.kld(clean, noisy, fakes, n, seed, preset=self.preset), clean)
