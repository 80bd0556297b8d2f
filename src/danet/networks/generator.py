"""The noise generator G of the paper."""

from __future__ import annotations

import torch
from torch import Tensor

from danet.networks.backbone import OfBackbone

__all__ = ["GeneratorNetwork"]


class GeneratorNetwork(OfBackbone):
    """The noise generator G of the paper, for any backbone B: G(x, z) = x + B([x, z]).

    Args:
        backbone: B, of 4 channels in, as in the paper, or more, and 3 out: 3 are the picture's,
            and the others random.

    Raises:
        ConfigError: the backbone takes or gives another number of channels.

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

    @property
    def latent_channels(self) -> int:
        """How many channels z has."""
        return self.channels - 3

    def forward(self, clean: Tensor, latent: Tensor) -> Tensor:
        """Noisy pictures, N x 3 x H x W, for clean ones in [0, 1] and z.

        z is N x latent_channels x H x W.
        """
        noisy: Tensor = clean + self.backbone(torch.cat([clean, latent], dim=1))
        return noisy
