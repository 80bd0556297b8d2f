"""The backbone RED."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from danet.networks.backbone import Backbone, OuterConvolution, OuterTransposed, convolution

__all__ = ["RED"]


class RED(Backbone):
    """Convolutions, then as many transposed ones, with skips from every other to its mirror image.

    "Image Restoration Using Very Deep Convolutional Encoder-Decoder Networks with Symmetric Skip
    Connections", NIPS 2016.  Its last skip, from the input to the output, is the one that R and
    G have with every backbone.

    Args:
        in_channels: as for `Backbone`.
        out_channels: as for `Backbone`.
        width: channels of every layer but the last.
        depth: number of layers, even; the paper's RED30 has 15 of each kind.

    Raises:
        ConfigError: as `Backbone`.
    """

    depths = range(2, 101, 2)

    def __init__(
        self, in_channels: int, out_channels: int = 3, width: int = 64, depth: int = 30
    ) -> None:
        super().__init__(in_channels, out_channels, width, depth)
        self.receptive_radius = self.halo = depth  # every layer reaches one pixel farther
        inner = range(depth // 2 - 1)
        self.convolutions = nn.ModuleList(
            [
                OuterConvolution(in_channels, width, 3, padding=1),
                *(convolution(width, width) for _ in inner),
            ]
        )
        self.transposed = nn.ModuleList(
            [
                *(nn.ConvTranspose2d(width, width, 3, padding=1) for _ in inner),
                OuterTransposed(width, out_channels, 3, padding=1),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """See `Backbone`."""
        half = self.depth // 2
        skips = []
        for number, layer in enumerate(self.convolutions, start=1):
            x = F.relu(layer(x), inplace=True)
            if number % 2 == 0 and number < half:
                skips.append(x)
        for mirrored, transposed in zip(reversed(range(half)), self.transposed, strict=True):
            x = transposed(x)
            if mirrored == 0:
                break
            if mirrored % 2 == 0:
                x = x + skips.pop()
            x = F.relu(x, inplace=True)
        return x
