"""The three networks of the paper: denoiser R, generator G and discriminator D.

Parameter names are those of the authors' released checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Discriminator", "UNet", "UNetDenoiser", "UNetGenerator"]

_SLOPE = 0.2


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
        if downsample:
            self.downsample = nn.Conv2d(
                out_channels, out_channels, 4, stride=2, padding=1, bias=False
            )


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


class UNet(nn.Module):
    """The paper's backbone: a U-shaped network with five levels and skips.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        width: channels of the first level; each level has twice those of the one above.
        depth: number of levels.

    Shapes:
        N x in_channels x H x W to N x out_channels x H x W, H and W multiples of
        ``size_multiple``.
    """

    def __init__(
        self, in_channels: int, out_channels: int = 3, width: int = 32, depth: int = 5
    ) -> None:
        super().__init__()
        self.width = width
        self.depth = depth
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
        """What height and width must be multiples of."""
        return int(2 ** (self.depth - 1))

    @property
    def receptive_radius(self) -> int:
        """How many pixels away an input can be and still change an output.

        Counted down the left side of the U and up its right side, in input pixels: at
        level i a 3 x 3 convolution reaches 2^i, the 4 x 4 stride-2 one 2^i on its near and
        2 * 2^i on its far side.  Upsampling reaches no further than the block it copies,
        whose extent, 2^(i+1) - 1, is counted once for the deepest level.
        """
        reach = 1  # the last convolution
        for level in range(self.depth):
            convolutions = 2 if level == self.depth - 1 else 4
            reach += convolutions * 2**level
            if level < self.depth - 1:
                reach += 2 * 2**level
        return reach + 2 ** (self.depth - 1) - 1

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for down in self.down_path:
            x = down.block(x)
            if hasattr(down, "downsample"):
                skips.append(x)
                x = down.downsample(x)
        for up in self.up_path:
            x = up(x, skips.pop())
        output: Tensor = self.last(x)
        return output


class UNetDenoiser(UNet):
    """The denoiser R of the paper: R(y) = y - U(y).

    Example:
        >>> import torch
        >>> denoiser = UNetDenoiser(width=2)
        >>> denoiser(torch.rand(1, 3, 32, 48)).shape
        torch.Size([1, 3, 32, 48])
    """

    def __init__(self, width: int = 32, depth: int = 5) -> None:
        super().__init__(3, 3, width, depth)

    def forward(self, noisy: Tensor) -> Tensor:
        """Clean pictures, N x 3 x H x W, for noisy ones of the same shape in [0, 1]."""
        return noisy - super().forward(noisy)


class UNetGenerator(UNet):
    """The noise generator G of the paper: G(x, z) = x + U([x, z]).

    Example:
        >>> import torch
        >>> generator = UNetGenerator(width=2)
        >>> clean, latent = torch.rand(1, 3, 32, 48), torch.randn(1, 1, 32, 48)
        >>> generator(clean, latent).shape
        torch.Size([1, 3, 32, 48])
    """

    def __init__(self, width: int = 32, depth: int = 5) -> None:
        super().__init__(4, 3, width, depth)

    def forward(self, clean: Tensor, latent: Tensor) -> Tensor:  # type: ignore[override]
        """Noisy pictures, N x 3 x H x W, for clean ones in [0, 1] and z, N x 1 x H x W."""
        return clean + super().forward(torch.cat([clean, latent], dim=1))


class Discriminator(nn.Module):
    """The critic D of the paper: one number for each pair of a clean and a noisy patch.

    Args:
        width: channels of the first layer (64 in the paper).

    Example:
        >>> import torch
        >>> discriminator = Discriminator(width=2)
        >>> clean, noisy = torch.rand(2, 4, 3, 128, 128)
        >>> discriminator(clean, noisy).shape
        torch.Size([4])
    """

    patch_size = 128

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.width = width
        channels = [6] + [width * 2**level for level in range(6)]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(zip(channels[:-1], channels[1:], strict=True)):
            stride, padding = (2, 1) if level < 5 else (1, 0)
            layers.append(nn.Conv2d(before, after, 4, stride, padding, bias=False))
            layers.append(nn.LeakyReLU(_SLOPE))
        self.main = nn.Sequential(*layers)
        self.output = nn.Linear(channels[-1], 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, clean: Tensor, noisy: Tensor) -> Tensor:
        """Score N pairs of N x 3 x 128 x 128 patches: N numbers, higher for real ones."""
        features = self.main(torch.cat([clean, noisy], dim=1))
        output: Tensor = self.output(features.flatten(1)).squeeze(1)
        return output
