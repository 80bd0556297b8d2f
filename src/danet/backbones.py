"""The networks B that a denoiser R or a noise generator G can be made of, by name.

R(y) = y - B(y) and G(x, z) = x + B([x, z]), see `danet.networks`.  The paper has a UNet for B, and
names DnCNN, RED and RIDNet as others.  All start from the framework's random weights.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from danet.errors import ConfigError

__all__ = ["BACKBONES", "RED", "Backbone", "DnCNN", "NAFNet", "RIDNet", "UNet"]

_SLOPE = 0.2


class Backbone(nn.Module):
    """What the backbones have in common.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        width: channels within; each backbone says where.
        depth: number of layers, blocks or levels; each backbone says which.

    Attributes:
        widths: what the width may be.  Beyond it, the sizes of the tensors would overflow.
        depths: what the depth may be, likewise.

    Raises:
        ConfigError: the width or the depth is not one of those.
    """

    widths: ClassVar[range] = range(1, 1025)
    depths: ClassVar[range] = range(1, 13)

    def __init__(self, in_channels: int, out_channels: int, width: int, depth: int) -> None:
        super().__init__()
        self.check(width, depth)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.width = width
        self.depth = depth

    @classmethod
    def check(cls, width: int, depth: int) -> None:
        """Refuse a width or a depth that no such network has.

        Raises:
            ConfigError: it is so.
        """
        for name, value, right in (("width", width, cls.widths), ("depth", depth, cls.depths)):
            if value not in right:
                steps = f" in steps of {right.step}" if right.step > 1 else ""
                raise ConfigError(
                    f"the {name} is {value}, and must be from {right[0]} to {right[-1]}{steps} "
                    f"for a {cls.__name__}"
                )

    @property
    def size_multiple(self) -> int:
        """What height and width must be multiples of."""
        return 1

    @property
    def receptive_radius(self) -> int | None:
        """How many pixels away an input can be, at most, and still change an output.

        None: any pixel changes all of them, so that a part of a picture, whatever is around
        it, does not give that part of the result.
        """
        return None

    @property
    def halo(self) -> int | None:
        """How many pixels around a tile its result depends on, a multiple of ``size_multiple``.

        The tile starts and ends at multiples of ``size_multiple``, so that this can be less than
        ``receptive_radius``, which holds for a pixel wherever it is.  None as there.
        """
        return self.receptive_radius

    def forward(self, x: Tensor) -> Tensor:
        """B(x), N x out_channels x H x W, for x of N x in_channels x H x W.

        H and W are multiples of ``size_multiple``.
        """
        raise NotImplementedError  # each backbone has its own


def _convolution_block(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.LeakyReLU(_SLOPE, inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=1),
        nn.LeakyReLU(_SLOPE, inplace=True),
    )


class _Down(nn.Module):
    """One level of the down path: its features, and their half-size version for the next."""

    def __init__(self, in_channels: int, out_channels: int, downsample: bool) -> None:
        super().__init__()
        self.block = _convolution_block(in_channels, out_channels)
        self.downsample = (
            nn.Conv2d(out_channels, out_channels, 4, stride=2, padding=1, bias=False)
            if downsample
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.block(x)
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

    def __init__(
        self, in_channels: int, out_channels: int = 3, width: int = 32, depth: int = 5
    ) -> None:
        super().__init__(in_channels, out_channels, width, depth)
        channels = [width * 2**level for level in range(depth)]
        self.down_path = nn.ModuleList(
            _Down(before, after, downsample=level < depth - 1)
            for level, (before, after) in enumerate(
                zip([in_channels, *channels], channels, strict=False)
            )
        )
        self.up_path = nn.ModuleList(
            _Up(channels[level + 1], channels[level]) for level in reversed(range(depth - 1))
        )
        self.last = nn.Conv2d(width, out_channels, 3, padding=1)

    @property
    def size_multiple(self) -> int:
        """See `Backbone`: the deepest level has that factor fewer rows and columns."""
        return int(2 ** (self.depth - 1))

    @property
    def receptive_radius(self) -> int:
        """See `Backbone`.

        Let r be the reach of everything below level i, in pixels of level i + 1.  Output
        pixel q of level i copies pixel q // 2 of level i + 1 and so sees r to either side of
        it; the 4 x 4 stride-2 convolution takes its pixel p from 2p - 1 to 2p + 2.  Seen from
        q that is at most 2r + 2 pixels, on the right for even q and on the left for odd q.
        The four 3 x 3 convolutions of level i add 4: r becomes 2r + 6.  The deepest level
        has r = 2 from its two convolutions, and r + 6 doubles with each level above, hence
        8 * 2^(depth - 1) - 6 at the top.  The last convolution adds 1.
        """
        return int(2 ** (self.depth + 2)) - 5

    @property
    def halo(self) -> int:
        """See `Backbone`: from a tile's border the way of ``receptive_radius``, level by level."""
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


def _convolution(in_channels: int, out_channels: int, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation)


class DnCNN(Backbone):
    """A plain chain of convolutions with batch normalisation.

    "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising", TIP 2017.
    Its results depend on the rest of the batch in training mode, as with any batch normalisation.

    Args:
        in_channels: as for `Backbone`.
        out_channels: as for `Backbone`.
        width: channels of every layer but the last.
        depth: number of convolutions.  The paper has 17 for one level of noise, and 20 for
            levels that are not known.

    Raises:
        ConfigError: as `Backbone`.
    """

    depths = range(2, 101)

    def __init__(
        self, in_channels: int, out_channels: int = 3, width: int = 64, depth: int = 17
    ) -> None:
        super().__init__(in_channels, out_channels, width, depth)
        layers: list[nn.Module] = [_convolution(in_channels, width), nn.ReLU(inplace=True)]
        for _ in range(depth - 2):
            # The normalisation has a bias of its own.
            layers.append(nn.Conv2d(width, width, 3, padding=1, bias=False))
            layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        layers.append(nn.Conv2d(width, out_channels, 3, padding=1, bias=False))
        self.layers = nn.Sequential(*layers)

    @property
    def receptive_radius(self) -> int:
        """See `Backbone`: every convolution reaches one pixel farther."""
        return self.depth

    def forward(self, x: Tensor) -> Tensor:
        """See `Backbone`."""
        output: Tensor = self.layers(x)
        return output


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
        inner = [width] * (depth // 2 - 1)
        self.convolutions = nn.ModuleList(
            _convolution(channels, width) for channels in (in_channels, *inner)
        )
        self.transposed = nn.ModuleList(
            nn.ConvTranspose2d(width, channels, 3, padding=1) for channels in (*inner, out_channels)
        )

    @property
    def receptive_radius(self) -> int:
        """See `Backbone`: every layer reaches one pixel farther."""
        return self.depth

    def forward(self, x: Tensor) -> Tensor:
        """See `Backbone`."""
        half = self.depth // 2
        skips = []
        for number, convolution in enumerate(self.convolutions, start=1):
            x = F.relu(convolution(x), inplace=True)
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


class _EnhancementAttention(nn.Module):
    """RIDNet's block: two dilated branches merged, two residual parts, channel attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                _convolution(width, width, first),
                nn.ReLU(inplace=True),
                _convolution(width, width, second),
                nn.ReLU(inplace=True),
            )
            for first, second in ((1, 2), (3, 4))
        )
        self.merge = nn.Sequential(_convolution(2 * width, width), nn.ReLU(inplace=True))
        self.residual = nn.Sequential(
            _convolution(width, width), nn.ReLU(inplace=True), _convolution(width, width)
        )
        self.enhanced = nn.Sequential(
            _convolution(width, width),
            nn.ReLU(inplace=True),
            _convolution(width, width),
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
        self.first = nn.Sequential(_convolution(in_channels, width), nn.ReLU(inplace=True))
        self.blocks = nn.Sequential(*(_EnhancementAttention(width) for _ in range(depth)))
        self.last = _convolution(width, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """See `Backbone`."""
        output: Tensor = self.last(self.blocks(self.first(x)))
        return output


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
        *upper, deepest = (width * 2**level for level in range(depth))
        self.first = _convolution(in_channels, width)
        self.encoder = nn.ModuleList(map(_naf_blocks, upper))
        self.downs = nn.ModuleList(nn.Conv2d(c, 2 * c, 2, stride=2) for c in upper)
        self.middle = _naf_blocks(deepest)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * c, 4 * c, 1, bias=False), nn.PixelShuffle(2))
            for c in reversed(upper)
        )
        self.decoder = nn.ModuleList(map(_naf_blocks, reversed(upper)))
        self.last = _convolution(width, out_channels)

    @property
    def size_multiple(self) -> int:
        """See `Backbone`: the deepest level has that factor fewer rows and columns."""
        return int(2 ** (self.depth - 1))

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


BACKBONES: dict[str, type[Backbone]] = {
    "unet": UNet,
    "dncnn": DnCNN,
    "red": RED,
    "ridnet": RIDNet,
    "nafnet": NAFNet,
}
"""The backbones by the names that configurations have for them."""
