"""The denoiser R of the paper."""

from __future__ import annotations

from torch import Tensor

from danet.networks.backbone import OfBackbone

__all__ = ["DenoiserNetwork"]


class DenoiserNetwork(OfBackbone):
    """The denoiser R of the paper, for any backbone B: R(y) = y - B(y).

    Args:
        backbone: B, of 3 channels in and out.

    Raises:
        ConfigError: the backbone takes or gives another number of channels.

    Example:
        >>> import torch
        >>> from danet.networks import UNet
        >>> denoiser = DenoiserNetwork(UNet(3, width=2))
        >>> denoiser(torch.rand(1, 3, 32, 48)).shape
        torch.Size([1, 3, 32, 48])
    """

    inputs = range(3, 4)
    kind = "denoiser"

    def forward(self, noisy: Tensor) -> Tensor:
        """Clean pictures, N x 3 x H x W, for noisy ones of the same shape in [0, 1]."""
        cleaned: Tensor = noisy - self.backbone(noisy)
        return cleaned
