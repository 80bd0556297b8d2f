from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from danet.networks import build
from danet.train import (
    FakesConfig,
    LossConfig,
    NetworkConfig,
    OptimizerConfig,
    TrainConfig,
    TrainState,
    train_step,
)
from danet.train.config import Mode
from danet.train.distribution import Team
from danet.train.draws import Draws
from danet.train.losses import critic_losses, denoiser_losses, generator_losses
from danet.train.schedule import learning_rate_factor
from danet.train.step import _update_discriminator


def batch(seed: int, size: int = 2) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(seed)
    clean = torch.rand(size, 3, 32, 32, generator=source)
    return clean, clean + 0.05 * torch.randn(clean.shape, generator=source)


def weights(network: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


def gradients(network: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def test_every_network_learns_and_every_term_is_reported(config: TrainConfig) -> None:
    state = TrainState.start(config)
    before = {name: weights(learner.network) for name, learner in state.learners().items()}
    losses = train_step(state, [batch(0), batch(1)], batch(2), config)
    assert before.keys() == {"denoiser", "generator", "discriminator"}
    for name, learner in state.learners().items():
        assert not torch.equal(before[name], weights(learner.network)), name
    assert losses.keys() >= {"discriminator/loss", "denoiser/error", "generator/mean_match"}
    assert state.update == 1


def test_the_correlations_of_the_noise_pull_at_the_generator(config: TrainConfig) -> None:
    found = {}
    for tau in (0.0, 100.0):
        settings = replace(config, loss=replace(config.loss, tau_correlation=tau))
        state = TrainState.start(settings)
        losses = train_step(state, [batch(0), batch(1)], None, settings)
        assert ("generator/correlation_match" in losses) == (tau > 0)
        assert state.generator and state.discriminator
        found[tau] = weights(state.generator.network), weights(state.discriminator.network)
    assert not torch.equal(found[0.0][0], found[100.0][0])
    # The other networks and their random draws do not know of it.
    assert torch.equal(found[0.0][1], found[100.0][1])


def test_the_step_is_the_losses_of_the_paper_one_after_the_other(config: TrainConfig) -> None:
    """Against Algorithm 1 written out with plain optimisers, on the same random draws."""
    config = replace(config, optimizer=OptimizerConfig())
    state, twin = TrainState.start(config), TrainState.start(config)
    batches, extra = [batch(0), batch(1)], batch(2)
    for _ in range(2):
        train_step(state, batches, extra, config)

    r, g, d = (learner.network for learner in twin.learners().values())
    optimizers = [
        torch.optim.Adam(network.parameters(), rate, betas)
        for network, rate, betas in (
            (r, 1e-4, (0.9, 0.999)),
            (g, 1e-4, (0.5, 0.9)),
            (d, 2e-4, (0.5, 0.9)),
        )
    ]

    def descend(loss: Tensor, which: int) -> None:
        (r, g, d)[which].zero_grad()
        loss.backward()
        optimizers[which].step()

    for update in range(2):
        draws = Draws(config.seed, update, Team())
        latents = [draws.latent(clean) for clean, _ in batches]
        for (clean, noisy), latent in zip(batches, latents, strict=True):
            denoised, generated = r(noisy), g(clean, latent)
            mixes = draws.mix(clean), draws.mix(clean)
            losses = critic_losses(
                d,
                (clean, noisy),
                denoised.detach(),
                generated.detach(),
                mixes,
            )
            descend(losses["loss"], 2)
        clean, noisy = batches[-1]
        x, y = torch.cat([clean, extra[0]]), torch.cat([noisy, extra[1]])
        descend(denoiser_losses(d, x, y, r(y), judged=2)["loss"], 0)
        fake = g(clean, draws.latent(clean))
        descend(generator_losses(d, clean, noisy, fake)["loss"], 1)
    for name, learner in state.learners().items():
        other = twin.learners()[name].network
        torch.testing.assert_close(weights(learner.network), weights(other), rtol=1e-4, atol=1e-6)


def test_the_denoiser_alone(config: TrainConfig) -> None:
    config = replace(config, mode="denoiser")
    state = TrainState.start(config)
    assert state.learners().keys() == {"denoiser"}
    losses = [train_step(state, [batch(0)], batch(2), config)["denoiser/loss"] for _ in range(30)]
    assert losses[-1] < losses[0]


def test_the_critic_keeps_no_gradient_of_the_others(config: TrainConfig) -> None:
    state, twin = TrainState.start(config), TrainState.start(config)
    train_step(state, [batch(0)], batch(2), config)
    _update_discriminator(twin, [batch(0)], Draws(config.seed, 0, Team()), config)
    assert state.discriminator
    assert twin.discriminator
    expected = gradients(twin.discriminator.network)
    assert float(expected.norm()) > 0
    torch.testing.assert_close(gradients(state.discriminator.network), expected)
    assert all(p.requires_grad for p in state.discriminator.network.parameters())


def test_clipping_bounds_the_gradient(config: TrainConfig) -> None:
    clip = 0.01
    found = []
    for rates in (OptimizerConfig(), OptimizerConfig(clip=clip)):
        state = TrainState.start(config)
        train_step(state, [batch(0)], None, replace(config, optimizer=rates))
        named = state.learners().items()
        found.append({name: gradients(learner.network) for name, learner in named})
    whole, clipped = found
    for name in ("denoiser", "generator"):
        assert float(whole[name].norm()) > 2 * clip
        torch.testing.assert_close(clipped[name], whole[name] * clip / whole[name].norm())
    # The critic is held by its gradient penalty.
    assert torch.equal(clipped["discriminator"], whole["discriminator"])


def test_starting_leaves_the_callers_random_numbers_alone(config: TrainConfig) -> None:
    before = torch.get_rng_state()
    TrainState.start(config)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(config.seed)
    expected = weights(build("denoiser", "unet", 2))
    assert torch.equal(weights(TrainState.start(config).learners()["denoiser"].network), expected)


def test_the_seed_fixes_everything(config: TrainConfig) -> None:
    def run(seed: int) -> Tensor:
        state = TrainState.start(replace(config, seed=seed))
        train_step(state, [batch(0), batch(1)], None, replace(config, seed=seed))
        return torch.cat([weights(learner.network) for learner in state.learners().values()])

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))


def test_average_is_the_running_mean_of_the_weights(config: TrainConfig) -> None:
    state = TrainState.start(config)
    expected = None
    for index in range(3):
        train_step(state, [batch(index)], None, config)
        now = weights(state.learners()["denoiser"].network)
        expected = now if expected is None else 0.9 * expected + 0.1 * now
    assert expected is not None
    torch.testing.assert_close(weights(state.learners()["denoiser"].averaged), expected)


@pytest.mark.parametrize(
    ("update", "schedule", "factor"),
    [
        (0, "constant", 0.1),
        (9, "constant", 1.0),
        (99, "constant", 1.0),
        (50, "cosine", 0.505),
        (100, "cosine", 0.01),
    ],
)
def test_learning_rates(config: TrainConfig, update: int, schedule: str, factor: float) -> None:
    rates = OptimizerConfig(schedule=schedule, warmup=10)  # type: ignore[arg-type]
    config = replace(config, updates=100, optimizer=rates)
    assert learning_rate_factor(config, update) == pytest.approx(factor)


def test_at_the_start_the_generator_does_not_follow_the_critic(config: TrainConfig) -> None:
    config = replace(config, generator_start=1)
    state, twin = TrainState.start(config), TrainState.start(config)
    assert twin.discriminator
    with torch.no_grad():
        twin.discriminator.network.output.weight.neg_()
    batches = [batch(0), batch(1)]
    first = train_step(state, batches, batch(2), config)
    train_step(twin, batches, batch(2), config)
    assert {"discriminator/loss", "denoiser/loss", "generator/loss"} <= first.keys()
    assert "generator/adversarial" not in first
    assert state.generator and twin.generator
    assert torch.equal(weights(state.generator.network), weights(twin.generator.network))
    assert "generator/adversarial" in train_step(state, batches, batch(2), config)


@pytest.mark.parametrize("backbone", ["half-unet", "dncnn", "red", "ridnet", "nafnet"])
def test_every_backbone_learns_by_the_same_step(config: TrainConfig, backbone: str) -> None:
    small = {
        "half-unet": (4, 2),
        "dncnn": (4, 3),
        "red": (4, 4),
        "ridnet": (16, 1),
        "nafnet": (4, 2),
    }
    shape = NetworkConfig(backbone, *small[backbone])
    config = replace(config, denoiser=shape, generator=shape)
    state = TrainState.start(config)
    before = {name: weights(learner.network) for name, learner in state.learners().items()}
    losses = train_step(state, [batch(0), batch(1)], batch(2), config)
    assert all(math.isfinite(value) for value in losses.values())
    for name, learner in state.learners().items():
        assert not torch.equal(before[name], weights(learner.network)), name


@pytest.mark.parametrize(
    ("mode", "networks"),
    [
        ("base-d", {"denoiser", "discriminator"}),
        ("base-g", {"generator", "discriminator"}),
        ("generator", {"generator"}),
    ],
)
def test_networks_that_the_mode_leaves_out(
    config: TrainConfig, mode: Mode, networks: set[str]
) -> None:
    config = replace(config, mode=mode)
    state = TrainState.start(config)
    before = {name: weights(learner.network) for name, learner in state.learners().items()}
    losses = train_step(state, [batch(0), batch(1)], None, config)
    assert before.keys() == networks
    assert {name.split("/")[0] for name in losses} == networks
    for name, learner in state.learners().items():
        assert not torch.equal(before[name], weights(learner.network)), name
    # The critic judges only the fakes that there are.
    games = {"base-d": "denoiser", "base-g": "generator"}
    judged = {name for name in losses if name.startswith("discriminator/")}
    for game in ("denoiser", "generator"):
        assert (f"discriminator/{game}" in judged) == (games.get(mode) == game)


def test_one_game_is_the_joint_one_with_all_its_weight(config: TrainConfig) -> None:
    """BaseD at alpha = 0 moves R as the joint training does, but for what the critic learned."""
    joint = replace(config, loss=LossConfig(alpha=0.0))
    alone = replace(joint, mode="base-d")
    state, twin = TrainState.start(joint), TrainState.start(alone)
    assert state.discriminator
    assert twin.discriminator
    twin.discriminator.network.load_state_dict(state.discriminator.network.state_dict())
    draws = Draws(config.seed, 0, Team())
    first = _update_discriminator(state, [batch(0)], draws, joint)
    second = _update_discriminator(twin, [batch(0)], draws, alone)
    assert float(first["denoiser"]) == pytest.approx(float(second["denoiser"]), rel=1e-5)
    assert set(first) - set(second) == {"generator", "generator_penalty"}


def test_pairs_of_danet_plus(config: TrainConfig, tiny_weights: Path) -> None:
    fakes = FakesConfig(str(tiny_weights), ratio=1.0)
    plus = replace(config, mode="denoiser", extra_size=0, fakes=fakes)
    state = TrainState.start(plus)
    assert state.fakes
    frozen = weights(state.fakes)
    clean = batch(2)[0]
    losses = train_step(state, [batch(0)], (clean, clean), plus)
    # Noise that the generator drew stands where the clean patches stood.
    twin = TrainState.start(plus)
    noisy = state.fakes(clean, Draws(plus.seed, 0, Team()).latent(clean)).detach().clamp(0, 1)
    same = train_step(twin, [batch(0)], (clean, noisy), replace(plus, fakes=None))
    assert not torch.equal(noisy, clean)
    assert 0 <= float(noisy.min()) <= float(noisy.max()) <= 1
    assert losses == same
    assert torch.equal(weights(state.fakes), frozen)


def test_the_sum_of_errors_is_per_picture(config: TrainConfig) -> None:
    config = replace(config, mode="denoiser", loss=LossConfig(reduction="sum"))
    losses = train_step(TrainState.start(config), [batch(0, 4)], batch(2, 1), config)
    values = 3 * 32 * 32
    assert losses["denoiser/loss"] == pytest.approx(losses["denoiser/error"] * values, rel=1e-5)


def test_adaptive_clipping_is_the_mean_norm_of_the_first_epoch(config: TrainConfig) -> None:
    rates = OptimizerConfig(clip="adaptive", epoch=2)
    config = replace(config, mode="denoiser", optimizer=rates)
    state = TrainState.start(config)
    assert state.denoiser
    norms: list[float] = []
    for index in range(4):
        losses = train_step(state, [batch(index)], None, config)
        clipped = float(gradients(state.denoiser.network).norm())
        limit = 1e4 if index < 2 else sum(norms[:2]) / 2
        norms.append(losses["denoiser/gradient_norm"])
        assert clipped == pytest.approx(min(norms[-1], limit), rel=1e-4)
    assert min(norms[2:]) < sum(norms[:2]) / 2 or clipped < norms[-1]


@pytest.mark.parametrize("mode", ["joint", "denoiser"])
def test_parts_of_a_batch_add_up(config: TrainConfig, mode: Mode) -> None:
    config = replace(config, mode=mode, batch_size=4, extra_size=4, optimizer=OptimizerConfig())
    found = []
    for accumulate in (1, 2, 4):
        state = TrainState.start(config)
        losses = train_step(
            state, [batch(0, 4), batch(1, 4)], batch(2, 4), replace(config, accumulate=accumulate)
        )
        networks = [learner.network for learner in state.learners().values()]
        found.append((losses, torch.cat([gradients(network) for network in networks])))
    for losses, slopes in found[1:]:
        assert losses == pytest.approx(found[0][0], rel=1e-4, abs=1e-7)
        torch.testing.assert_close(slopes, found[0][1], rtol=1e-3, atol=1e-6)


def test_bfloat16_is_near_float32(config: TrainConfig) -> None:
    exact = train_step(TrainState.start(config), [batch(0), batch(1)], batch(2), config)
    config = replace(config, precision="bfloat16")
    state = TrainState.start(config)
    rough = train_step(state, [batch(0), batch(1)], batch(2), config)
    assert rough != exact
    assert rough["denoiser/error"] == pytest.approx(exact["denoiser/error"], rel=0.05)
    assert rough["discriminator/loss"] == pytest.approx(exact["discriminator/loss"], rel=0.05)
    for learner in state.learners().values():
        assert weights(learner.network).dtype == torch.float32


def test_the_layout_changes_only_the_rounding(config: TrainConfig) -> None:
    plain = TrainState.start(config)
    other = TrainState.start(replace(config, channels_last=True))
    first = train_step(plain, [batch(0), batch(1)], batch(2), config)
    second = train_step(other, [batch(0), batch(1)], batch(2), replace(config, channels_last=True))
    assert second == pytest.approx(first, rel=1e-4, abs=1e-7)
    assert other.denoiser
    first_weight = next(other.denoiser.network.parameters())
    assert first_weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.gpu
@pytest.mark.parametrize("clip", [1.0, "adaptive"])
def test_a_step_on_the_gpu(config: TrainConfig, clip: Any) -> None:
    config = replace(config, optimizer=OptimizerConfig(clip=clip))
    state = TrainState.start(config, "cuda")
    pairs = [tuple(part.cuda() for part in batch(index)) for index in range(3)]
    losses = train_step(state, pairs[:2], pairs[2], config)
    assert all(math.isfinite(value) for value in losses.values())
    assert all(learner.norms.is_cuda for learner in state.learners().values())


def test_by_level_z_is_as_strong_as_the_noise(config: TrainConfig) -> None:
    config = replace(config, mode="base-g", by_level=True)
    seen = []
    for factor in (1, 2):
        state = TrainState.start(config, levels=(0.01, 0.02, 0.03))
        assert state.generator
        hook = state.generator.network.register_forward_pre_hook(
            lambda _, inputs: seen.append(inputs[1])
        )
        level = torch.full((len(batch(0)[0]),), 0.02 * factor)
        train_step(state, [(*batch(0), level), (*batch(1), level)], None, config)
        hook.remove()
    plain, twice = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    for one, other in zip(plain, twice, strict=True):
        assert one.std().item() == pytest.approx(1, abs=0.05)
        assert torch.equal(2 * one, other)
