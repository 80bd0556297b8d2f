"""The noise generator G of the paper."""

from __future__ import annotations

import torch
from torch import Tensor

from danet.networks.backbone import Backbone, given_sizes

__all__ = ["GeneratorNetwork"]


class GeneratorNetwork(Backbone):
    """The noise generator G of the paper, for any backbone B: G(x, z) = x + B([x, z]).

    A class of its own for each backbone, such as `UNetGenerator`, adds this to it.

    Args:
        width: as for the backbone; None is its default.
        depth: likewise.

    Raises:
        ConfigError: the width or the depth is not one of the backbone's.
    """

    def __init__(self, width: int | None = None, depth: int | None = None) -> None:
        super().__init__(4, 3, **given_sizes(width, depth))

    def forward(self, clean: Tensor, latent: Tensor) -> Tensor:  # type: ignore[override]
        """Noisy pictures, N x 3 x H x W, for clean ones in [0, 1] and z, N x 1 x H x W."""
        return clean + self.residual(torch.cat([clean, latent], dim=1))

    def residual(self, joined: Tensor) -> Tensor:
        """The noise that is added: B([x, z]), for x and z joined, N x 4 x H x W."""
        return super().forward(joined)
