"""Denoisers and generators by the names of their backbones."""

from __future__ import annotations

import difflib
from typing import Literal, TypeAlias, overload

from torch import Tensor, nn

from danet.errors import ConfigError
from danet.networks.backbone import Backbone
from danet.networks.denoiser import DenoiserNetwork
from danet.networks.dncnn import DnCNN
from danet.networks.generator import GeneratorNetwork
from danet.networks.half_unet import HalfUNet
from danet.networks.nafnet import NAFNet
from danet.networks.red import RED
from danet.networks.ridnet import RIDNet
from danet.networks.unet import UNet

__all__ = [
    "BACKBONES",
    "DENOISERS",
    "GENERATORS",
    "DnCNNDenoiser",
    "DnCNNGenerator",
    "HalfUNetDenoiser",
    "HalfUNetGenerator",
    "Kind",
    "NAFNetDenoiser",
    "NAFNetGenerator",
    "REDDenoiser",
    "REDGenerator",
    "RIDNetDenoiser",
    "RIDNetGenerator",
    "Residual",
    "UNetDenoiser",
    "UNetGenerator",
    "build",
]

Kind: TypeAlias = Literal["denoiser", "generator"]

BACKBONES: dict[str, type[Backbone]] = {
    "unet": UNet,
    "half-unet": HalfUNet,
    "dncnn": DnCNN,
    "red": RED,
    "ridnet": RIDNet,
    "nafnet": NAFNet,
}
"""The backbones by the names that configurations have for them."""


class Residual(nn.Module):
    """B of a denoiser or a generator as a module of its own, without the hooks of the whole."""

    def __init__(self, network: DenoiserNetwork | GeneratorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """B(x), as the network's ``residual``."""
        return self.network.residual(x)


class UNetDenoiser(DenoiserNetwork, UNet):
    """The denoiser R of the paper: R(y) = y - U(y).

    Example:
        >>> import torch
        >>> denoiser = UNetDenoiser(width=2)
        >>> denoiser(torch.rand(1, 3, 32, 48)).shape
        torch.Size([1, 3, 32, 48])
    """


class UNetGenerator(GeneratorNetwork, UNet):  # type: ignore[misc]
    """The noise generator G of the paper: G(x, z) = x + U([x, z]).

    Example:
        >>> import torch
        >>> generator = UNetGenerator(width=2)
        >>> clean, latent = torch.rand(1, 3, 32, 48), torch.randn(1, 1, 32, 48)
        >>> generator(clean, latent).shape
        torch.Size([1, 3, 32, 48])
    """


class HalfUNetDenoiser(DenoiserNetwork, HalfUNet):
    """R with the backbone `HalfUNet`."""


class HalfUNetGenerator(GeneratorNetwork, HalfUNet):  # type: ignore[misc]
    """G with the backbone `HalfUNet`."""


class DnCNNDenoiser(DenoiserNetwork, DnCNN):
    """R with the backbone `DnCNN`."""


class DnCNNGenerator(GeneratorNetwork, DnCNN):  # type: ignore[misc]
    """G with the backbone `DnCNN`."""


class REDDenoiser(DenoiserNetwork, RED):
    """R with the backbone `RED`."""


class REDGenerator(GeneratorNetwork, RED):  # type: ignore[misc]
    """G with the backbone `RED`."""


class RIDNetDenoiser(DenoiserNetwork, RIDNet):
    """R with the backbone `RIDNet`."""


class RIDNetGenerator(GeneratorNetwork, RIDNet):  # type: ignore[misc]
    """G with the backbone `RIDNet`."""


class NAFNetDenoiser(DenoiserNetwork, NAFNet):
    """R with the backbone `NAFNet`."""


class NAFNetGenerator(GeneratorNetwork, NAFNet):  # type: ignore[misc]
    """G with the backbone `NAFNet`."""


DENOISERS: dict[str, type[DenoiserNetwork]] = {
    "unet": UNetDenoiser,
    "half-unet": HalfUNetDenoiser,
    "dncnn": DnCNNDenoiser,
    "red": REDDenoiser,
    "ridnet": RIDNetDenoiser,
    "nafnet": NAFNetDenoiser,
}
"""R with each backbone, by the name of the backbone."""

GENERATORS: dict[str, type[GeneratorNetwork]] = {
    "unet": UNetGenerator,
    "half-unet": HalfUNetGenerator,
    "dncnn": DnCNNGenerator,
    "red": REDGenerator,
    "ridnet": RIDNetGenerator,
    "nafnet": NAFNetGenerator,
}
"""G with each backbone, likewise."""


@overload
def build(
    kind: Literal["denoiser"],
    backbone: str = ...,
    width: int | None = ...,
    depth: int | None = ...,
) -> DenoiserNetwork: ...


@overload
def build(
    kind: Literal["generator"],
    backbone: str = ...,
    width: int | None = ...,
    depth: int | None = ...,
) -> GeneratorNetwork: ...


@overload
def build(
    kind: Kind, backbone: str = ..., width: int | None = ..., depth: int | None = ...
) -> DenoiserNetwork | GeneratorNetwork: ...


def build(
    kind: Kind, backbone: str = "unet", width: int | None = None, depth: int | None = None
) -> DenoiserNetwork | GeneratorNetwork:
    """Make a denoiser or a generator with random weights.

    Args:
        kind: which of the two.
        backbone: one of `BACKBONES`.
        width: as for the backbone; None is its default.
        depth: likewise.

    Returns:
        The network, on the CPU, its weights drawn from torch's own random numbers.

    Raises:
        ConfigError: there is no such backbone, or it has no such width or depth.

    Example:
        >>> network = build("denoiser", "dncnn", width=4)
        >>> network.depth, network.receptive_radius
        (17, 17)
    """
    classes = DENOISERS if kind == "denoiser" else GENERATORS
    if backbone not in classes:
        near = difflib.get_close_matches(backbone, classes, n=1)
        raise ConfigError(
            f"there is no backbone {backbone!r}; the known ones are: {', '.join(classes)}"
            + (f"; did you mean {near[0]!r}?" if near else "")
        )
    return classes[backbone](width, depth)
