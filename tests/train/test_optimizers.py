from __future__ import annotations

import pytest
import pytorch_optimizer
import torch
from torch import nn

from danet.networks import Discriminator, build
from danet.train import OptimizerConfig
from danet.train.optimizers import Muon, build_optimizer, orthogonalized


def gradients(network: nn.Module, seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=source) / 10


def layers() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(8, 12, 3), nn.Conv2d(12, 40, 1), nn.ConvTranspose2d(40, 8, 2))


def groups(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    parameters = list(network.parameters())
    return [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim == 1]


@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (16, 16), (1, 9)])
def test_the_singular_vectors_stay_and_the_values_are_near_1(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    exact = left @ right
    found = orthogonalized(matrix).float()
    cosine = (found * exact).sum() / (found.norm() * exact.norm())
    assert cosine > 0.97
    assert torch.linalg.svdvals(found).max() < 1.3


@pytest.mark.parametrize("share", [1e-1, 1e-2, 1e-3, 1e-4])
def test_one_direction_above_all_others_stays_bounded(share: float) -> None:
    # As gradients are that a bias or a tint rules; rounding in bfloat16 is all of the rest.
    source = torch.Generator().manual_seed(4)
    column, row = torch.randn(128, 1, generator=source), torch.rand(1, 1152, generator=source)
    matrix = column @ row + share * torch.randn(128, 1152, generator=source)
    assert torch.linalg.svdvals(orthogonalized(matrix).float()).max() < 1.5


def test_the_size_of_a_gradient_is_of_no_matter() -> None:
    matrix = torch.randn(8, 30)
    torch.testing.assert_close(
        orthogonalized(1000 * matrix), orthogonalized(matrix), atol=0.02, rtol=0
    )
    assert not orthogonalized(torch.zeros(4, 6)).any()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_steps_are_those_of_another_implementation(layout: torch.memory_format) -> None:
    torch.manual_seed(3)
    ours, others = layers(), layers()
    others.load_state_dict(ours.state_dict())
    ours.to(memory_format=layout)  # type: ignore[call-overload]
    matrices, rest = groups(ours)
    muon = Muon(matrices, rest, lr=1e-2, adam_lr=1e-3)
    matrices, rest = groups(others)
    reference = pytorch_optimizer.Muon(
        [
            {"params": matrices, "use_muon": True, "lr": 1e-2, "use_adjusted_lr": True},
            {"params": rest, "use_muon": False, "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8},
        ],
        foreach=False,
    )
    before = [p.detach().clone() for p in ours.parameters()]
    for seed in range(4):
        for network, optimizer in ((ours, muon), (others, reference)):
            gradients(network, seed)
            optimizer.step()
    for start, a, b in zip(before, ours.parameters(), others.parameters(), strict=True):
        moved, right = a.detach() - start, b.detach() - start
        # Both round to bfloat16 on the way, in another order.
        assert (moved - right).norm() < 0.06 * right.norm()


def test_what_has_no_gradient_stays() -> None:
    network = layers()
    gradients(network, 0)
    still = network[1].get_parameter("weight")
    still.grad = None
    before = still.detach().clone()
    Muon(*groups(network), lr=1e-2, adam_lr=1e-3).step()
    assert torch.equal(still, before)


@pytest.mark.parametrize(
    "network",
    [
        build("denoiser", "unet", width=8),
        build("generator", "unet", width=8),
        Discriminator(width=8, patch_size=16),
    ],
)
def test_the_outer_layers_and_biases_are_left_to_adam(network: nn.Module) -> None:
    settings = OptimizerConfig(rule="muon", adam=3e-4)
    muon = build_optimizer(network, settings, 2.5e-3, (0.9, 0.999))
    matrices, others = (group["params"] for group in muon.param_groups)
    assert min(min(p.shape[:2]) for p in matrices) >= 8
    assert all(p.ndim == 1 or min(p.shape[:2]) < 8 for p in others)
    assert len(matrices) + len(others) == len(list(network.parameters()))
    assert [group["initial_lr"] for group in muon.param_groups] == [2.5e-3, 3e-4]
