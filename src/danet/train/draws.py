"""The random draws of one update."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from danet.train.distribution import Team

__all__ = ["Draws"]


class Draws:
    """The random draws of one update, fixed by seed and update on every device.

    They are drawn for the whole batch, of which a process of a team takes its own rows.
    """

    def __init__(self, seed: int, update: int, team: Team) -> None:
        words = np.random.SeedSequence([seed, update]).generate_state(2)
        self.source = torch.Generator().manual_seed(int(words[0]) << 32 | int(words[1]))
        self.team = team

    def latent(self, clean: Tensor, channels: int = 1) -> Tensor:
        """The random input z for clean patches, N x channels x H x W."""
        shape = (clean.shape[0] * self.team.size, channels, *clean.shape[2:])
        return self.team.own(torch.randn(shape, generator=self.source)).to(clean.device)

    def mix(self, clean: Tensor) -> Tensor:
        """The share of the real pair in each mixture of the gradient penalty, N x 1 x 1 x 1."""
        shape = (clean.shape[0] * self.team.size, 1, 1, 1)
        return self.team.own(torch.rand(shape, generator=self.source)).to(clean.device)
