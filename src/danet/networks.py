"""The three networks of the paper: denoiser R, generator G and discriminator D.

Parameter names are those of the authors' released checkpoints.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from danet.errors import ConfigError

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
        """How many pixels away an input can be, at most, and still change an output.

        Let r be the reach of everything below level i, in pixels of level i + 1.  Output
        pixel q of level i copies pixel q // 2 of level i + 1 and so sees r to either side of
        it; the 4 x 4 stride-2 convolution takes its pixel p from 2p - 1 to 2p + 2.  Seen from
        q that is at most 2r + 2 pixels, on the right for even q and on the left for odd q.
        The four 3 x 3 convolutions of level i add 4: r becomes 2r + 6.  The deepest level
        has r = 2 from its two convolutions, and r + 6 doubles with each level above, hence
        8 * 2^(depth - 1) - 6 at the top.  The last convolution adds 1.
        """
        return int(2 ** (self.depth + 2)) - 5

    def forward(self, x: Tensor) -> Tensor:
        """U(x), N x out_channels x H x W, for x of N x in_channels x H x W."""
        skips = []
        for down in self.down_path:
            skip, x = down(x)
            skips.append(skip)
        skips.pop()  # the deepest level's features are x itself
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
        patch_size: height and width of the patches it judges, 4 times a power of 2; 128 in
            the paper.  A smaller patch takes fewer layers.

    Example:
        >>> import torch
        >>> discriminator = Discriminator(width=2)
        >>> clean, noisy = torch.rand(2, 4, 3, 128, 128)
        >>> discriminator(clean, noisy).shape
        torch.Size([4])
    """

    def __init__(self, width: int = 64, patch_size: int = 128) -> None:
        super().__init__()
        self.width = width
        self.patch_size = patch_size
        halvings = patch_size.bit_length() - 3
        if halvings < 1 or patch_size != 4 * 2**halvings:
            raise ConfigError(f"patch_size is {patch_size}, it must be 8, 16, 32, 64, 128, ...")
        channels = [6] + [width * 2**level for level in range(halvings + 1)]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(pairwise(channels)):
            stride, padding = (2, 1) if level < halvings else (1, 0)
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
        """Score N pairs of patches, each N x 3 x P x P: N numbers, higher for real ones."""
        features = self.main(torch.cat([clean, noisy], dim=1))
        output: Tensor = self.output(features.flatten(1)).squeeze(1)
        return output
