"""The denoiser R of the paper."""

from __future__ import annotations

from torch import Tensor

from danet.networks.backbone import Backbone, given_sizes

__all__ = ["DenoiserNetwork"]


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
        super().__init__(3, 3, **given_sizes(width, depth))

    def forward(self, noisy: Tensor) -> Tensor:
        """Clean pictures, N x 3 x H x W, for noisy ones of the same shape in [0, 1]."""
        return noisy - self.residual(noisy)

    def residual(self, noisy: Tensor) -> Tensor:
        """The noise that is taken: B(y)."""
        return super().forward(noisy)
