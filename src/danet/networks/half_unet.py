"""The paper's backbone on half as many rows and columns, for speed."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from danet.networks.backbone import Backbone
from danet.networks.unet import UNet

__all__ = ["HalfUNet"]


class HalfUNet(Backbone):
    """A `UNet` that sees each 2 x 2 pixels as one with four times the channels.

    The rearrangement is that of FFDNet: "FFDNet: Toward a Fast and Flexible Solution for CNN-Based
    Image Denoising", IEEE TIP 2018.

    Args:
        in_channels: as for `Backbone`.
        out_channels: as for `Backbone`.
        width: as for `UNet`.
        depth: as for `UNet`.

    Raises:
        ConfigError: as `Backbone`.
    """

    def __init__(
        self, in_channels: int, out_channels: int = 3, width: int = 36, depth: int = 4
    ) -> None:
        super().__init__(in_channels, out_channels, width, depth)
        self.unet = UNet(4 * in_channels, 4 * out_channels, width, depth)
        self.size_multiple = 2 * self.unet.size_multiple
        # Two pixels for each that the UNet sees, and the other one of a pair.
        self.receptive_radius = 2 * self.unet.receptive_radius + 1
        self.halo = 2 * self.unet.halo  # tiles start at whole pairs

    def forward(self, x: Tensor) -> Tensor:
        """See `Backbone`."""
        return F.pixel_shuffle(self.unet(F.pixel_unshuffle(x, 2)), 2)
