"""Training by several processes: each takes its rows of every batch, and gradients are averaged.

Everything random is fixed by seed and update for the whole batch, so that the number of
processes changes nothing but the rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from danet.errors import require

__all__ = ["Team", "join_team"]


@dataclass(frozen=True)
class Team:
    """The processes that train together; by default this one alone.

    Args:
        rank: number of this process, from 0.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    def own(self, rows: Tensor) -> Tensor:
        """The rows of this process, of those of a whole batch."""
        return rows.chunk(self.size)[self.rank]

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give every process the mean of their gradients."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        # One exchange of all the numbers is quicker than one for each tensor.
        together = _mean(torch.cat([gradient.flatten() for gradient in gradients]))
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, values in zip(gradients, together.split(sizes), strict=True):
            gradient.copy_(values.view_as(gradient))

    def average(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """The means of numbers over the processes."""
        together = torch.stack([value.detach().float() for value in values.values()])
        if self.size > 1:
            together = _mean(together)
        return dict(zip(values, together.tolist(), strict=True))

    def agree(self, wish: bool) -> bool:
        """Whether any of the processes wishes it."""
        if self.size == 1:
            return wish
        from accelerate import PartialState

        return bool(_mean(torch.tensor(float(wish), device=PartialState().device)) > 0)

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.size > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()


def join_team(device: torch.device) -> tuple[Team, torch.device]:
    """The team that ``torchrun`` or ``accelerate launch`` started this process in, if any.

    Args:
        device: what a process that trains alone would use; a CPU stays one.

    Returns:
        The team, and the device of this process in it.

    Raises:
        ConfigError: there is a team, but accelerate is not installed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Team(), device
    accelerate = require("accelerate", "train", "training by several processes")
    process = accelerate.PartialState(cpu=device.type == "cpu")
    return Team(process.process_index, process.num_processes), process.device


def _mean(values: Tensor) -> Tensor:
    from accelerate.utils import reduce

    mean: Tensor = reduce(values, reduction="mean")
    return mean
