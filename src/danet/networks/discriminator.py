"""The discriminator D of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from danet.errors import ConfigError
from danet.filters import between

__all__ = ["Discriminator"]

_SLOPE = 0.2


class Discriminator(nn.Module):
    """The critic D of the paper: one number for each pair of a clean and a noisy patch.

    Args:
        width: channels of the first layer (64 in the paper).
        patch_size: height and width of the patches it judges, 4 times a power of 2; 128 in
            the paper.  A smaller patch takes fewer layers.
        deviation: without it, the paper's critic, whose first layer sees x and y.  Otherwise
            standard deviations of noise at intensities from black to white, equally spaced: the
            first layer sees x, and y - x divided by the deviation at x.  The functions that it can
            learn are the same, but noise that is a hundredth of the picture's size is learned far
            sooner, and that of each intensity counts alike.

    Raises:
        ConfigError: the patches have another size.

    Example:
        >>> import torch
        >>> discriminator = Discriminator(width=2)
        >>> clean, noisy = torch.rand(2, 4, 3, 128, 128)
        >>> discriminator(clean, noisy).shape
        torch.Size([4])
    """

    deviation: Tensor

    def __init__(
        self, width: int = 64, patch_size: int = 128, deviation: Sequence[float] = ()
    ) -> None:
        super().__init__()
        self.width = width
        self.patch_size = patch_size
        self.register_buffer("deviation", torch.tensor([*deviation]), persistent=False)
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
        """How the scores change with what the first layer sees: the gradient, N x 6 x P x P.

        It can be differentiated in the weights, but not in the patches.  The critic is linear in
        pieces, so its second derivatives in patches and weights are those of a chain of linear
        layers; this spares the pass for derivatives of the pieces, which are all zero.

        Args:
            clean: N x 3 x P x P.
            noisy: N x 3 x P x P.

        Returns:
            The derivatives in the clean patches' channels, then in those of the noisy patches or
            of the divided noise.
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
        return gradient

    def _input(self, clean: Tensor, noisy: Tensor) -> Tensor:
        """What the first layer sees, N x 6 x P x P."""
        if len(self.deviation):
            noisy = (noisy - clean) / between(self.deviation, clean.clamp(0, 1))
        return torch.cat([clean, noisy], dim=1)
