"""A backbone for generators alone: filtered random numbers, each times a local deviation."""

from __future__ import annotations

from torch import Tensor, nn

from danet.errors import ConfigError
from danet.networks.backbone import Backbone, OuterConvolution
from danet.networks.unet import UNet

__all__ = ["Modulated"]

_COLOURS = 3
_FILTERS = 12
_BETWEEN = 16
_REACH = 6  # of the two convolutions: 2 pixels, and 2 that are 2 pixels apart
# The untrained network makes noise of about this deviation.
_DEVIATION = 0.01


class Modulated(Backbone):
    """Noise that is Gaussian where the picture is given: B([x, z])_c = sum_m s_cm(x) f_m(z).

    The f_m are linear filters of z, and the s_cm, of a `UNet`, say how strong each is in each
    colour and place.  The mean of the noise is zero, while its strength, its colours and its grain
    follow the picture.  A classical noise model is the case of one filter whose strength depends on
    the intensity alone.  It is not in the paper.

    Args:
        in_channels: 3 of the picture, and 1 or more of random numbers.
        out_channels: 3.
        width: channels of the UNet's first level.
        depth: levels of the UNet.

    Raises:
        ConfigError: as `Backbone`, or there are other channels.

    Example:
        >>> import torch
        >>> picture, latent = torch.full((1, 3, 32, 48), 0.5), torch.randn(1, 2, 32, 48)
        >>> backbone = Modulated(5, width=4)
        >>> once = backbone(torch.cat([picture, latent], dim=1))
        >>> twice = backbone(torch.cat([picture, 2 * latent], dim=1))
        >>> torch.allclose(twice, 2 * once)
        True
    """

    def __init__(
        self, in_channels: int, out_channels: int = 3, width: int = 16, depth: int = 3
    ) -> None:
        super().__init__(in_channels, out_channels, width, depth)
        if in_channels <= _COLOURS or out_channels != _COLOURS:
            raise ConfigError(
                f"a {type(self).__name__} takes {in_channels} channels and gives {out_channels}: "
                "it is a generator's, and must take the picture's 3 with those of random numbers, "
                "and give 3"
            )
        self.strength = UNet(_COLOURS, _COLOURS * _FILTERS, width, depth)
        self.filters = nn.Sequential(
            OuterConvolution(in_channels - _COLOURS, _BETWEEN, 5, padding=2, bias=False),
            OuterConvolution(_BETWEEN, _FILTERS, 5, padding=4, dilation=2, bias=False),
        )
        # The UNet's, or those of the filters.
        self.size_multiple = self.strength.size_multiple
        self.receptive_radius = max(self.strength.receptive_radius, _REACH)
        self.halo = max(self.strength.halo, _REACH + -_REACH % self.size_multiple)

    def forward(self, x: Tensor) -> Tensor:
        """See `Backbone`."""
        picture, latent = x[:, :_COLOURS], x[:, _COLOURS:]
        strengths = (1 + self.strength(picture)).unflatten(1, (_COLOURS, _FILTERS))
        noise: Tensor = _DEVIATION * (strengths * self.filters(latent).unsqueeze(1)).sum(dim=2)
        return noise
