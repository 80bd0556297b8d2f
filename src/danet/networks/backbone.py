"""The base class of the backbones, and the layers that they share."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

import torch.fx
from torch import Tensor, nn

from danet.errors import ConfigError

__all__ = ["Backbone", "Kind", "OfBackbone", "OuterConvolution", "OuterTransposed", "convolution"]

Kind: TypeAlias = Literal["denoiser", "generator"]


class Backbone(nn.Module):
    """What the backbones have in common.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        width: channels within; each backbone says where.
        depth: number of layers, blocks or levels; each backbone says which.

    Attributes:
        widths: what the width may be.  Beyond it, the sizes of the tensors would overflow.
        depths: what the depth may be, within the same bounds.
        size_multiple: what height and width must be multiples of.
        receptive_radius: how many pixels away an input can be, at most, and still change an output.
            None: any pixel changes all of them, so that a part of a picture, whatever is around
            it, does not give that part of the result.
        halo: how many pixels around a tile its result depends on, a multiple of ``size_multiple``.
            The tile starts and ends at multiples of ``size_multiple``, so that this can be less
            than ``receptive_radius``, which holds for a pixel wherever it is.  None as there.

    Raises:
        ConfigError: the width or the depth is not one of those.
    """

    widths: ClassVar[range] = range(1, 1025)
    depths: ClassVar[range] = range(1, 13)
    size_multiple: int = 1
    receptive_radius: int | None = None
    halo: int | None = None

    def __init__(self, in_channels: int, out_channels: int, width: int, depth: int) -> None:
        super().__init__()
        for name, value, right in (("width", width, self.widths), ("depth", depth, self.depths)):
            if value not in right:
                steps = f" in steps of {right.step}" if right.step > 1 else ""
                raise ConfigError(
                    f"the {name} is {value}, and must be from {right[0]} to {right[-1]}{steps} "
                    f"for a {type(self).__name__}"
                )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.width = width
        self.depth = depth

    def forward(self, x: Tensor) -> Tensor:
        """B(x), N x out_channels x H x W, for x of N x in_channels x H x W.

        H and W are multiples of ``size_multiple``.
        """
        raise NotImplementedError  # each backbone has its own


def convolution(in_channels: int, out_channels: int, dilation: int = 1) -> nn.Conv2d:
    """One of 3 x 3 weights that keeps height and width."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation)


_ARGUMENTS = ["weight", "bias", "stride", "padding", "dilation"]
_ARGUMENTS += ["transposed", "output_padding", "groups"]


def _in_full(x: Tensor, weight: Tensor, *arguments: Any) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return torch.convolution(x.to(weight.dtype), weight, *arguments)


# Traced as a whole, since autocast must know the device.
torch.fx.wrap("_in_full")


class _InFull(nn.Module):
    """A layer that computes in the type of its weights, whatever autocast says.

    In bfloat16 a pixel is known to half an 8-bit level alone, and so is what the first layer makes
    of it: the layers after take this for noise, and a last one in that type adds some.
    """

    def forward(self, x: Tensor) -> Tensor:
        return _in_full(x, *(getattr(self, name) for name in _ARGUMENTS))


class OuterConvolution(_InFull, nn.Conv2d):
    """One of a network's first or last layers, which touch the pixels."""


class OuterTransposed(_InFull, nn.ConvTranspose2d):  # type: ignore[misc]  # its forward takes more
    """Likewise, for a network that ends in transposed convolutions."""


class OfBackbone(nn.Module):
    """A network that is a backbone B and what is done around it.

    Args:
        backbone: of as many channels as the network gives it and takes from it.

    Attributes:
        backbone: B.  A file of weights has its names, without a prefix.
        inputs: how many channels its backbone may take.
        kind: what the network is, in a word.
        name: the class of the backbone, and the kind.
        channels: how many the backbone takes.
        width: of the backbone.
        depth: of the backbone.
        size_multiple: of the backbone.
        halo: of the backbone.

    Raises:
        ConfigError: the backbone takes or gives another number of channels.
    """

    inputs: ClassVar[range]
    kind: ClassVar[Kind]

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        if backbone.in_channels not in self.inputs or backbone.out_channels != 3:
            right = " to ".join(map(str, sorted({self.inputs[0], self.inputs[-1]})))
            raise ConfigError(
                f"the backbone takes {backbone.in_channels} channels and gives "
                f"{backbone.out_channels}, and that of a {self.kind} must take {right} and give 3"
            )
        self.backbone = backbone
        self.name = f"{type(backbone).__name__} {self.kind}"
        self.channels, self.width, self.depth = backbone.in_channels, backbone.width, backbone.depth
        self.size_multiple, self.halo = backbone.size_multiple, backbone.halo
