"""Denoisers and generators by the names of their backbones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

from danet.errors import ConfigError, did_you_mean
from danet.networks.backbone import Backbone, Kind
from danet.networks.denoiser import DenoiserNetwork
from danet.networks.dncnn import DnCNN
from danet.networks.generator import GeneratorNetwork
from danet.networks.half_unet import HalfUNet
from danet.networks.modulated import Modulated
from danet.networks.nafnet import NAFNet
from danet.networks.red import RED
from danet.networks.ridnet import RIDNet
from danet.networks.unet import UNet

__all__ = ["BACKBONES", "build"]

BACKBONES: dict[str, type[Backbone]] = {
    "unet": UNet,
    "half-unet": HalfUNet,
    "dncnn": DnCNN,
    "red": RED,
    "ridnet": RIDNet,
    "nafnet": NAFNet,
    "modulated": Modulated,
}
"""The backbones by the names that configurations have for them."""


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
    latent_channels: int = ...,
    levels: Sequence[float] = ...,
    unit_level: float | None = ...,
) -> GeneratorNetwork: ...


@overload
def build(
    kind: Kind,
    backbone: str = ...,
    width: int | None = ...,
    depth: int | None = ...,
    latent_channels: int = ...,
    levels: Sequence[float] = ...,
    unit_level: float | None = ...,
) -> DenoiserNetwork | GeneratorNetwork: ...


def build(
    kind: Kind,
    backbone: str = "unet",
    width: int | None = None,
    depth: int | None = None,
    latent_channels: int = 1,
    levels: Sequence[float] = (),
    unit_level: float | None = None,
) -> DenoiserNetwork | GeneratorNetwork:
    """Make a denoiser or a generator with random weights.

    Args:
        kind: which of the two.
        backbone: one of `BACKBONES`.
        width: as for the backbone; None is its default.
        depth: as for the backbone; None is its default.
        latent_channels: of a generator's z, from 1 to 64; 1 in the paper.
        levels: of a generator, as it takes them.
        unit_level: likewise.

    Returns:
        The network, on the CPU, its weights drawn from torch's own random numbers.

    Raises:
        ConfigError: there is no such backbone, it has no such width or depth, or the network
            takes no z of so many channels, or no such levels.

    Example:
        >>> network = build("denoiser", "dncnn", width=4)
        >>> network.depth, network.halo
        (17, 17)
    """
    if backbone not in BACKBONES:
        raise ConfigError(f"there is no backbone {backbone!r}{did_you_mean(backbone, BACKBONES)}")
    given = {"width": width, "depth": depth}
    sizes = {name: size for name, size in given.items() if size is not None}
    inputs = (DenoiserNetwork if kind == "denoiser" else GeneratorNetwork).inputs
    channels = inputs[0] + latent_channels - 1
    if channels not in inputs:
        raise ConfigError(
            f"latent_channels is {latent_channels}, and must be from 1 to {len(inputs)} for a "
            f"{kind}"
        )
    made = BACKBONES[backbone](channels, **sizes)
    if kind == "denoiser":
        return DenoiserNetwork(made)
    return GeneratorNetwork(made, levels, unit_level)
