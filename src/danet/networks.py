"""The three networks of the paper: denoiser R, generator G and discriminator D.

R and G are made of any backbone of `danet.backbones`, the paper's being the UNet.  Parameter
names of the UNet and of D are those of the authors' released checkpoints.
"""

from __future__ import annotations

import difflib
from itertools import pairwise
from typing import Literal, TypeAlias, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from danet.backbones import RED, Backbone, DnCNN, HalfUNet, NAFNet, RIDNet, UNet
from danet.errors import ConfigError

__all__ = [
    "DENOISERS",
    "GENERATORS",
    "DenoiserNetwork",
    "Discriminator",
    "DnCNNDenoiser",
    "DnCNNGenerator",
    "GeneratorNetwork",
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
    "UNet",
    "UNetDenoiser",
    "UNetGenerator",
    "build",
]

Kind: TypeAlias = Literal["denoiser", "generator"]

_SLOPE = 0.2


class DenoiserNetwork(Backbone):
    """The denoiser R of the paper, for any backbone B: R(y) = y - B(y).

    A class of its own for each backbone, such as `UNetDenoiser`, adds this to it.

    Args:
        width: as for the backbone; None is its default.
        depth: likewise.

    Raises:
        ConfigError: the width or the depth is not one of the backbone's.
    """

    def __init__(self, width: int | None = None, depth: int | None = None) -> None:
        super().__init__(3, 3, **_given(width, depth))

    def forward(self, noisy: Tensor) -> Tensor:
        """Clean pictures, N x 3 x H x W, for noisy ones of the same shape in [0, 1]."""
        return noisy - self.residual(noisy)

    def residual(self, noisy: Tensor) -> Tensor:
        """The noise that is taken: B(y)."""
        return super().forward(noisy)


class GeneratorNetwork(Backbone):
    """The noise generator G of the paper, for any backbone B: G(x, z) = x + B([x, z]).

    A class of its own for each backbone, such as `UNetGenerator`, adds this to it.

    Args:
        width: as for the backbone; None is its default.
        depth: likewise.

    Raises:
        ConfigError: the width or the depth is not one of the backbone's.
    """

    def __init__(self, width: int | None = None, depth: int | None = None) -> None:
        super().__init__(4, 3, **_given(width, depth))

    def forward(self, clean: Tensor, latent: Tensor) -> Tensor:  # type: ignore[override]
        """Noisy pictures, N x 3 x H x W, for clean ones in [0, 1] and z, N x 1 x H x W."""
        return clean + self.residual(torch.cat([clean, latent], dim=1))

    def residual(self, joined: Tensor) -> Tensor:
        """The noise that is added: B([x, z]), for x and z joined, N x 4 x H x W."""
        return super().forward(joined)


def _given(width: int | None, depth: int | None) -> dict[str, int]:
    """The arguments that have a value; the backbone has its defaults for the others."""
    sizes = {"width": width, "depth": depth}
    return {name: size for name, size in sizes.items() if size is not None}


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
        backbone: one of `danet.backbones.BACKBONES`.
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


class Discriminator(nn.Module):
    """The critic D of the paper: one number for each pair of a clean and a noisy patch.

    Args:
        width: channels of the first layer (64 in the paper).
        patch_size: height and width of the patches it judges, 4 times a power of 2; 128 in
            the paper.  A smaller patch takes fewer layers.
        noise_gain: 0 is the paper's critic, whose first layer sees x and y.  Otherwise that sees
            x and ``noise_gain * (y - x)``.  The functions that it can learn are the same, but
            noise that is a hundredth of the picture's size is learned far sooner.

    Raises:
        ConfigError: the patches have another size.

    Example:
        >>> import torch
        >>> discriminator = Discriminator(width=2)
        >>> clean, noisy = torch.rand(2, 4, 3, 128, 128)
        >>> discriminator(clean, noisy).shape
        torch.Size([4])
    """

    def __init__(self, width: int = 64, patch_size: int = 128, noise_gain: float = 0.0) -> None:
        super().__init__()
        self.width = width
        self.patch_size = patch_size
        self.noise_gain = noise_gain
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
        features = self.main(self._input(clean, noisy))
        output: Tensor = self.output(features.flatten(1)).squeeze(1)
        return output

    def gradient(self, clean: Tensor, noisy: Tensor) -> Tensor:
        """How the scores change with the patches: the gradient in them, N x 6 x P x P.

        It can be differentiated in the weights, but not in the patches.  The critic is linear in
        pieces, so its second derivatives in patches and weights are those of a chain of linear
        layers; this spares the pass for derivatives of the pieces, which are all zero.

        Args:
            clean: N x 3 x P x P.
            noisy: likewise.

        Returns:
            The derivatives in the clean patches' channels, then in the noisy ones'.
        """
        positive = []
        with torch.no_grad():
            features = self._input(clean, noisy)
            for layer in self.main:
                features = layer(features)
                if isinstance(layer, nn.LeakyReLU):
                    positive.append(features > 0)
        gradient = self.output.weight[..., None, None]
        for layer in reversed(self.main):
            if isinstance(layer, nn.LeakyReLU):
                gradient = torch.where(positive.pop(), gradient, layer.negative_slope * gradient)
            elif isinstance(layer, nn.Conv2d):
                gradient = F.conv_transpose2d(
                    gradient,
                    layer.weight,
                    stride=layer.stride,
                    padding=layer.padding,  # type: ignore[arg-type]
                )
        if self.noise_gain:
            in_clean, in_noise = gradient.chunk(2, dim=1)
            in_noisy = self.noise_gain * in_noise
            gradient = torch.cat([in_clean - in_noisy, in_noisy], dim=1)
        return gradient

    def _input(self, clean: Tensor, noisy: Tensor) -> Tensor:
        """What the first layer sees, N x 6 x P x P."""
        second = self.noise_gain * (noisy - clean) if self.noise_gain else noisy
        return torch.cat([clean, second], dim=1)
