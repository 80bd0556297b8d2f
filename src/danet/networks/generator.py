"""The noise generator G of the paper."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from danet.errors import ConfigError
from danet.filters import between
from danet.networks.backbone import Backbone, OfBackbone

__all__ = ["GeneratorNetwork"]


class GeneratorNetwork(OfBackbone):
    """The noise generator G of the paper, for any backbone B: G(x, z) = x + B([x, z]).

    Args:
        backbone: B, of 4 channels in, as in the paper, or more, and 3 out: 3 are the picture's,
            and the others random.
        levels: how strong the noise of the training pictures is, as `danet.metrics.noise_level`
            measures it: equally spaced quantiles, from the least to the largest.  G then takes
            z times the level that is wanted over the unit.  Without levels z is always of
            deviation 1, as in the paper.
        unit_level: of the noise that z of deviation 1 makes; by default the median of the levels.

    Attributes:
        latent_channels: how many channels z has.
        typical_level: the median of the levels; 1 without levels.

    Raises:
        ConfigError: the backbone takes or gives another number of channels, or the levels do
            not rise from 0, or the unit is not above 0.

    Example:
        >>> import torch
        >>> from danet.networks import UNet
        >>> generator = GeneratorNetwork(UNet(4, width=2))
        >>> clean, latent = torch.rand(1, 3, 32, 48), torch.randn(1, 1, 32, 48)
        >>> generator(clean, latent).shape
        torch.Size([1, 3, 32, 48])
    """

    inputs = range(4, 68)
    kind = "generator"

    def __init__(
        self, backbone: Backbone, levels: Sequence[float] = (), unit_level: float | None = None
    ) -> None:
        super().__init__(backbone)
        self.latent_channels = self.channels - 3
        self.levels = tuple(levels)
        self.typical_level = self.levels[len(self.levels) // 2] if self.levels else 1.0
        self.unit_level = self.typical_level if unit_level is None else unit_level
        rises = all(0 <= a <= b < math.inf for a, b in zip((0, *levels), levels, strict=False))
        if not rises or not 0 < self.unit_level < math.inf:
            raise ConfigError(
                f"levels are {list(levels)} with the unit {self.unit_level}, and must rise from 0, "
                "with a unit above 0"
            )

    def scales(self, shares: Tensor) -> Tensor:
        """Factors on z for noise as strong as at these shares of the levels, in [0, 1]."""
        return between(shares.new_tensor(self.levels or (1.0,)), shares) / self.unit_level

    def forward(self, clean: Tensor, latent: Tensor) -> Tensor:
        """Noisy pictures, N x 3 x H x W, for clean ones in [0, 1] and z.

        z is N x latent_channels x H x W.
        """
        noisy: Tensor = clean + self.backbone(torch.cat([clean, latent], dim=1))
        return noisy
