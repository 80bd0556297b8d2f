"""The backbone RIDNet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from danet.networks.backbone import Backbone, OuterConvolution, convolution

__all__ = ["RIDNet"]


class _EnhancementAttention(nn.Module):
    """RIDNet's block: two dilated branches merged, two residual parts, channel attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                convolution(width, width, first),
                nn.ReLU(inplace=True),
                convolution(width, width, second),
                nn.ReLU(inplace=True),
            )
            for first, second in ((1, 2), (3, 4))
        )
        self.merge = nn.Sequential(convolution(2 * width, width), nn.ReLU(inplace=True))
        self.residual = nn.Sequential(
            convolution(width, width), nn.ReLU(inplace=True), convolution(width, width)
        )
        self.enhanced = nn.Sequential(
            convolution(width, width),
            nn.ReLU(inplace=True),
            convolution(width, width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 1),
        )
        squeezed = max(width // 16, 1)
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, width, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.merge(torch.cat([branch(x) for branch in self.branches], dim=1))
        x = F.relu(x + self.residual(x))
        x = F.relu(x + self.enhanced(x))
        output: Tensor = x * self.attention(x)
        return output


class RIDNet(Backbone):
    """A chain of blocks with dilated convolutions and channel attention.

    "Real Image Denoising with Feature Attention", ICCV 2019, as in the authors' program, without
    its shift by the mean colour, which the biases of the first and last layer can do.  The
    attention pools over the whole picture.

    Args:
        in_channels: as for `Backbone`.
        out_channels: as for `Backbone`.
        width: channels of every layer but the last.
        depth: number of blocks, the paper's enhancement attention modules.

    Raises:
        ConfigError: as `Backbone`.
    """

    depths = range(1, 101)

    def __init__(
        self, in_channels: int, out_channels: int = 3, width: int = 64, depth: int = 4
    ) -> None:
        super().__init__(in_channels, out_channels, width, depth)
        self.first = nn.Sequential(
            OuterConvolution(in_channels, width, 3, padding=1), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(*(_EnhancementAttention(width) for _ in range(depth)))
        self.last = OuterConvolution(width, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """See `Backbone`."""
        output: Tensor = self.last(self.blocks(self.first(x)))
        return output
