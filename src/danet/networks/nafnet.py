"""The backbone NAFNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from danet.networks.backbone import Backbone, OuterConvolution

__all__ = ["NAFNet"]


class _PixelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _SimpleGate(nn.Module):
    """The product of the first half of the channels and the second."""

    def forward(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=1)
        return first * second


class _NAFBlock(nn.Module):
    """NAFNet's block: a convolution with channel attention, then a feed-forward part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Sequential(
            _PixelNorm(width, eps=1e-6),
            nn.Conv2d(width, 2 * width, 1),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width),
            _SimpleGate(),
        )
        self.attention = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1))
        self.project = nn.Conv2d(width, width, 1)
        self.feed_forward = nn.Sequential(
            _PixelNorm(width, eps=1e-6),
            nn.Conv2d(width, 2 * width, 1),
            _SimpleGate(),
            nn.Conv2d(width, width, 1),
        )
        # Zero: a block starts as the identity.
        self.spatial_scale = nn.Parameter(torch.zeros(width, 1, 1))
        self.feed_forward_scale = nn.Parameter(torch.zeros(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        gated = self.spatial(x)
        x = x + self.spatial_scale * self.project(gated * self.attention(gated))
        output: Tensor = x + self.feed_forward_scale * self.feed_forward(x)
        return output


def _naf_blocks(width: int) -> nn.Sequential:
    return nn.Sequential(_NAFBlock(width), _NAFBlock(width))


class NAFNet(Backbone):
    """A U-shaped network without activation functions.

    "Simple Baselines for Image Restoration", ECCV 2022, with two blocks in each level of the way
    down and of the way up, and two in the deepest.  The paper's own denoiser has the same levels
    with 2, 2, 4, 8 blocks down, 12 in the deepest and 2, 2, 2, 2 up.  The attention pools over
    the whole picture.

    Args:
        in_channels: as for `Backbone`.
        out_channels: as for `Backbone`.
        width: channels of the first level; each level has twice those of the one above.
        depth: number of levels.

    Raises:
        ConfigError: as `Backbone`.
    """

    def __init__(
        self, in_channels: int, out_channels: int = 3, width: int = 32, depth: int = 5
    ) -> None:
        super().__init__(in_channels, out_channels, width, depth)
        self.size_multiple = 2 ** (depth - 1)  # rows of the first level for one of the deepest
        *upper, deepest = (width * 2**level for level in range(depth))
        self.first = OuterConvolution(in_channels, width, 3, padding=1)
        self.encoder = nn.ModuleList(map(_naf_blocks, upper))
        self.downs = nn.ModuleList(nn.Conv2d(c, 2 * c, 2, stride=2) for c in upper)
        self.middle = _naf_blocks(deepest)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * c, 4 * c, 1, bias=False), nn.PixelShuffle(2))
            for c in reversed(upper)
        )
        self.decoder = nn.ModuleList(map(_naf_blocks, reversed(upper)))
        self.last = OuterConvolution(width, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """See `Backbone`."""
        x = self.first(x)
        skips = []
        for blocks, down in zip(self.encoder, self.downs, strict=True):
            skips.append(blocks(x))
            x = down(skips[-1])
        x = self.middle(x)
        for up, blocks in zip(self.ups, self.decoder, strict=True):
            x = blocks(up(x) + skips.pop())
        output: Tensor = self.last(x)
        return output
