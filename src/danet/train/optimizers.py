"""The optimisers of a training, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from danet.train.config import OptimizerConfig

__all__ = ["Muon", "build_optimizer", "orthogonalized"]

# Of the quintic whose repeated use takes every singular value near 1 (Jordan et al., 2024).
_QUINTIC = (3.4445, -4.7750, 2.0315)
# A third step on the same product would take what rounding made negative in it to infinity.
_STEPS = (2, 2, 1)
_MOMENTUM = 0.95
_FEWEST_CHANNELS = 8


def orthogonalized(matrix: Tensor) -> Tensor:
    """A matrix with the same singular vectors, but all singular values near 1.

    By five Newton-Schulz iterations in bfloat16, which leave the values between about 0.7 and 1.2;
    very small ones stay smaller.  They are computed on the product of the matrix and its transpose,
    which for long matrices is much less, and formed anew from the matrix after every two.
    Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.

    Args:
        matrix: rows x columns.

    Returns:
        rows x columns, bfloat16.

    Example:
        >>> values = torch.linalg.svdvals(orthogonalized(torch.randn(20, 50)).float())
        >>> bool(values.min() > 0.6) and bool(values.max() < 1.3)
        True
    """
    first, second, third = _QUINTIC
    upright = matrix.shape[0] > matrix.shape[1]
    x: Tensor = (matrix.mT if upright else matrix).bfloat16()
    x = x / x.norm().clamp_min(1e-7)
    for steps in _STEPS:
        gram = x @ x.mT
        factors = []
        for _ in range(steps):
            factor = torch.addmm(gram, gram, gram, beta=second, alpha=third)
            factor.diagonal().add_(first)
            gram = factor @ (factor @ gram)
            factors.append(factor)
        x = reduce(torch.matmul, factors) @ x
    return x.mT if upright else x


class Muon(torch.optim.Adam):
    """Muon for the matrices of a network, and Adam for the rest.

    A convolution's weights are the matrix of their first dimension by the others.  Its step is the
    momentum of the gradient, orthogonalised, times ``0.2 * sqrt(longer side)``, so that the
    learning rate means what it means for Adam.
    Source: J. Liu et al., "Muon is scalable for LLM training", 2025, without weight decay.

    Args:
        matrices: weights of two axes and more.
        others: the other parameters.
        lr: learning rate of the matrices.
        adam_lr: learning rate of the others.
        betas: of Adam.

    Example:
        >>> layer = nn.Linear(3, 2)
        >>> muon = Muon([layer.weight], [layer.bias], lr=1e-3, adam_lr=1e-4)
        >>> layer(torch.ones(3)).sum().backward()
        >>> muon.step()
    """

    def __init__(
        self,
        matrices: list[nn.Parameter],
        others: list[nn.Parameter],
        lr: float,
        adam_lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        groups: list[dict[str, Any]] = [
            {"params": matrices, "lr": lr},
            {"params": others, "lr": adam_lr},
        ]
        super().__init__(groups, betas=betas, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step down the gradient, which is used up for the matrices."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        group = self.param_groups[0]
        for weight in group["params"]:
            if weight.grad is not None:
                self._descend(weight, group["lr"])
        # Adam passes over what has no gradient.
        super().step()
        return loss

    def _descend(self, weight: nn.Parameter, rate: float) -> None:
        gradient, state = weight.grad, self.state[weight]
        assert gradient is not None
        if not state:
            # Adam expects a count of steps in every state that it loads.
            state["step"] = torch.tensor(0.0)
            state["momentum"] = torch.zeros_like(weight)
        state["step"] += 1
        momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        ahead = gradient.lerp(momentum, _MOMENTUM)
        # The order of a matrix's columns is of no matter: they are taken as they lie in memory.
        rows = ahead.movedim(1, -1).flatten(1)
        step = orthogonalized(rows).view(ahead.movedim(1, -1).shape).movedim(-1, 1)
        weight.add_(step, alpha=-rate * 0.2 * max(rows.shape) ** 0.5)
        weight.grad = None


def build_optimizer(
    network: nn.Module, settings: OptimizerConfig, rate: float, betas: tuple[float, float]
) -> torch.optim.Optimizer:
    """The optimiser that ``settings`` names, each of its groups with its ``initial_lr``.

    Args:
        network: what learns.  Muon takes its convolutions and linear layers, but for those from or
            to pixels, which have too few channels to be matrices.
        settings: the name, and the rate of Adam beside Muon.
        rate: the learning rate.
        betas: of Adam.
    """
    parameters = list(network.parameters())
    optimizer: torch.optim.Optimizer
    if settings.rule == "muon":
        matrices = [p for p in parameters if p.ndim > 1 and min(p.shape[:2]) >= _FEWEST_CHANNELS]
        taken = set(map(id, matrices))
        others = [p for p in parameters if id(p) not in taken]
        optimizer = Muon(matrices, others, rate, settings.adam, betas)
    else:
        optimizer = torch.optim.Adam(parameters, rate, betas, fused=True)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer
