"""The backbone DnCNN."""

from __future__ import annotations

from torch import Tensor, nn

from danet.networks.backbone import Backbone, OuterConvolution

__all__ = ["DnCNN"]


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
        self.receptive_radius = self.halo = depth  # every convolution reaches one pixel farther
        layers: list[nn.Module] = [
            OuterConvolution(in_channels, width, 3, padding=1),
            nn.ReLU(inplace=True),
        ]
        for _ in range(depth - 2):
            # The normalisation has a bias of its own.
            layers.append(nn.Conv2d(width, width, 3, padding=1, bias=False))
            layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        layers.append(OuterConvolution(width, out_channels, 3, padding=1, bias=False))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """See `Backbone`."""
        output: Tensor = self.layers(x)
        return output
