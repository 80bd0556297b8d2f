from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from danet.train import OptimizerConfig, TrainConfig, TrainState
from danet.train.accumulation import computing, descend


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_the_parts_of_a_batch_give_its_gradient(config: TrainConfig, parts: int) -> None:
    config = replace(config, batch_size=4, extra_size=4, accumulate=parts)
    state = TrainState.start(config)
    assert state.denoiser
    network = state.denoiser.network
    batch = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    sizes = []

    def losses(noisy: Tensor, missing: None) -> dict[str, Tensor]:
        assert missing is None
        sizes.append(len(noisy))
        return {"loss": network(noisy).square().mean()}

    expected = losses(batch, None)["loss"]
    report = descend(state, state.denoiser, losses, (batch, None), config)
    assert sizes[1:] == [4 // parts] * parts
    torch.testing.assert_close(report["loss"], expected.detach())


def test_the_critic_does_not_change_while_another_learns(config: TrainConfig) -> None:
    state = TrainState.start(config)
    assert state.denoiser and state.discriminator
    critic, network = state.discriminator.network, state.denoiser.network

    def losses(noisy: Tensor) -> dict[str, Tensor]:
        assert not any(p.requires_grad for p in critic.parameters())
        return {"loss": critic(noisy, network(noisy)).mean()}

    descend(state, state.denoiser, losses, (torch.rand(2, 3, 32, 32),), config)
    assert all(p.requires_grad and p.grad is None for p in critic.parameters())
    assert any(p.grad is not None and p.grad.any() for p in network.parameters())


def test_an_epoch_of_larger_gradients_does_not_widen_the_clip(config: TrainConfig) -> None:
    """As in the authors' program: it keeps the least mean of the epochs."""
    still = OptimizerConfig(denoiser=0, clip="adaptive", epoch=2)
    config = replace(config, mode="denoiser", optimizer=still)
    state = TrainState.start(config)
    assert state.denoiser
    network = state.denoiser.network
    noisy = torch.rand(2, 3, 32, 32)
    clipped = []
    for size in (1.0, 1.0, 3.0, 3.0, 3.0, 0.5):
        factor = size

        def losses(part: Tensor) -> dict[str, Tensor]:
            return {"loss": factor * network(part).square().mean()}  # noqa: B023

        descend(state, state.denoiser, losses, (noisy,), config)
        state.update += 1
        slopes = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        clipped.append(float(torch.cat(slopes).norm()))
    assert [norm / clipped[0] for norm in clipped] == pytest.approx([1, 1, 1, 1, 1, 0.5], rel=1e-4)


def test_networks_compute_in_the_precision_of_the_run(config: TrainConfig) -> None:
    layer = torch.nn.Conv2d(3, 3, 3)
    for precision in ("float32", "bfloat16"):
        with computing(replace(config, precision=precision), torch.device("cpu")):
            assert str(layer(torch.zeros(1, 3, 8, 8)).dtype) == f"torch.{precision}"
