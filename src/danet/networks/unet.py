"""The backbone of the paper."""

from __future__ import annotations

import torch.fx
from torch import Tensor, nn
from torch.nn import functional as F

from danet.networks.backbone import Backbone, OuterConvolution

__all__ = ["UNet"]

_SLOPE = 0.2


def _convolution_block(
    in_channels: int, out_channels: int, layer: type[nn.Conv2d] = nn.Conv2d
) -> nn.Sequential:
    return nn.Sequential(
        layer(in_channels, out_channels, 3, padding=1),
        nn.LeakyReLU(_SLOPE, inplace=True),
        layer(out_channels, out_channels, 3, padding=1),
        nn.LeakyReLU(_SLOPE, inplace=True),
    )


def _halved(x: Tensor, weight: Tensor) -> Tensor:
    # The type first: exports are in float32, and must not take the width for a constant.
    if x.dtype == torch.bfloat16 and x.device.type == "cpu" and x.shape[-1] == 2:
        return F.conv2d(F.pad(x, (0, 2)), weight, stride=2, padding=1)[..., :1]
    return F.conv2d(x, weight, stride=2, padding=1)


def _in_autocast(x: Tensor) -> Tensor:
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


# Traced as a whole, for they ask for the type.
torch.fx.wrap("_halved")
torch.fx.wrap("_in_autocast")


class _Halving(nn.Conv2d):
    """Half as many rows and columns.

    With AMX, oneDNN 3.12 computes nonsense in bfloat16 where a single column is left (pytorch
    issue 169688).  There it is taken as the first of two: the zeros that are added are those that
    the convolution sees there anyway.
    """

    def forward(self, x: Tensor) -> Tensor:
        return _halved(x, self.weight)


class _Down(nn.Module):
    """One level of the down path: its features, and their half-size version for the next."""

    def __init__(
        self, in_channels: int, out_channels: int, downsample: bool, layer: type[nn.Conv2d]
    ) -> None:
        super().__init__()
        self.block = _convolution_block(in_channels, out_channels, layer)
        self.downsample = (
            _Halving(out_channels, out_channels, 4, stride=2, padding=1, bias=False)
            if downsample
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # Outer layers leave them in float32.
        features = _in_autocast(self.block(x))
        return features, self.downsample(features)


class _Up(nn.Module):
    """One level of the up path: upsample, join with the skip, convolve."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
        # The released names nest the block one level deeper here than on the way down.
        self.conv_block = nn.ModuleDict({"block": _convolution_block(in_channels, out_channels)})

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        joined = torch.cat([self.up(features), skip], dim=1)
        output: Tensor = self.conv_block["block"](joined)
        return output


class UNet(Backbone):
    """The backbone of "Dual Adversarial Network" (ECCV 2020): U-shaped, with skips.

    Its parameter names are those of the authors' released checkpoints.

    Args:
        in_channels: as for `Backbone`.
        out_channels: as for `Backbone`.
        width: channels of the first level; each level has twice those of the one above.
        depth: number of levels.

    Raises:
        ConfigError: as `Backbone`.
    """

    receptive_radius: int
    halo: int

    def __init__(
        self, in_channels: int, out_channels: int = 3, width: int = 32, depth: int = 5
    ) -> None:
        super().__init__(in_channels, out_channels, width, depth)
        self.size_multiple = 2 ** (depth - 1)  # rows of the first level for one of the deepest
        # Let r be the reach of everything below level i, in pixels of level i + 1.  Output pixel q
        # of level i copies pixel q // 2 of level i + 1 and so sees r to either side of it; the
        # 4 x 4 stride-2 convolution takes its pixel p from 2p - 1 to 2p + 2.  Seen from q that is
        # at most 2r + 2 pixels, on the right for even q and on the left for odd q.  The four 3 x 3
        # convolutions of level i add 4: r becomes 2r + 6.  The deepest level has r = 2 from its two
        # convolutions, and r + 6 doubles with each level above, hence 8 * 2^(depth - 1) - 6 at the
        # top.  The last convolution adds 1.
        self.receptive_radius = 8 * self.size_multiple - 5
        self.halo = self._halo()
        channels = [width * 2**level for level in range(depth)]
        # The first layer's features still are the pixels, so that the second is an outer one too.
        self.down_path = nn.ModuleList(
            _Down(before, after, level < depth - 1, nn.Conv2d if level else OuterConvolution)
            for level, (before, after) in enumerate(
                zip([in_channels, *channels], channels, strict=False)
            )
        )
        self.up_path = nn.ModuleList(
            _Up(channels[level + 1], channels[level]) for level in reversed(range(depth - 1))
        )
        self.last = OuterConvolution(width, out_channels, 3, padding=1)

    def _halo(self) -> int:
        """From a tile's border the way of ``receptive_radius``, level by level."""
        reach = 1  # the last convolution
        for _ in range(self.depth - 1):
            # Two convolutions, and half as many pixels in the level below, rounded outwards.
            reach = -(-(reach + 2) // 2)
        reach += 2
        for _ in range(self.depth - 1):
            # The 4 x 4 convolution sees one pixel on each side of those it halves.
            reach = 2 * reach + 1 + 2
        return reach + -reach % self.size_multiple

    def forward(self, x: Tensor) -> Tensor:
        """See `Backbone`."""
        skips = []
        for down in self.down_path:
            skip, x = down(x)
            skips.append(skip)
        skips.pop()  # the deepest level's features are x itself
        for up in self.up_path:
            x = up(x, skips.pop())
        output: Tensor = self.last(x)
        return output
