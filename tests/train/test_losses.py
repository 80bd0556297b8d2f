from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from danet.filters import TAPS_3, smooth
from danet.networks import DenoiserNetwork, Discriminator, GeneratorNetwork, build
from danet.train.losses import (
    correlation_match,
    critic_losses,
    denoiser_losses,
    generator_losses,
    generator_start_losses,
    gradient_penalty,
)

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(GOLDEN / "train_step.safetensors")


@pytest.fixture
def networks() -> tuple[DenoiserNetwork, GeneratorNetwork, Discriminator]:
    made = build("denoiser", "unet", 2), build("generator", "unet", 2), Discriminator(2)
    for network, name in zip(made, ("denoiser", "generator", "discriminator"), strict=True):
        getattr(network, "backbone", network).load_state_dict(
            load_file(GOLDEN / f"{name}_weights.safetensors")
        )
    return made


def assert_gradients(network: nn.Module, name: str) -> None:
    expected = load_file(GOLDEN / f"{name}_gradients.safetensors")
    found = dict(getattr(network, "backbone", network).named_parameters())
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        gradient = found[key].grad
        assert gradient is not None, key
        assert float((gradient - value).norm()) <= 1e-4 * float(value.norm()), key


def test_one_round_of_algorithm_1_agrees_with_the_authors(
    golden: dict[str, Tensor], networks: tuple[DenoiserNetwork, GeneratorNetwork, Discriminator]
) -> None:
    denoiser, generator, critic = networks
    clean, noisy, latent = golden["clean"], golden["noisy"], golden["latent"]

    losses = critic_losses(
        critic,
        (clean, noisy),
        denoiser(noisy).detach(),
        generator(clean, latent).detach(),
        (golden["gp_mix_denoiser"], golden["gp_mix_generator"]),
    )
    losses["loss"].backward()
    found = {
        "critic_loss": losses["loss"],
        # The authors' program weighs each term before it reports it.
        "critic_loss_denoiser": losses["denoiser"] / 2,
        "critic_loss_generator": losses["generator"] / 2,
        "critic_gp_denoiser": losses["denoiser_penalty"] / 2,
        "critic_gp_generator": losses["generator_penalty"] / 2,
    }
    assert_gradients(critic, "critic")
    torch.optim.Adam(critic.parameters(), 2e-4, (0.5, 0.9)).step()
    critic.requires_grad_(False)

    losses = denoiser_losses(critic, clean, noisy, denoiser(noisy))
    losses["loss"].backward()
    found |= {
        "denoiser_loss": losses["loss"],
        "denoiser_loss_adversarial": losses["adversarial"],
        "denoiser_l1": losses["error"],
        "denoiser_loss_l1_weighted": 1000 * losses["error"],
    }
    assert_gradients(denoiser, "denoiser")

    losses = generator_losses(critic, clean, noisy, generator(clean, latent))
    losses["loss"].backward()
    found |= {
        "generator_loss": losses["loss"],
        "generator_loss_adversarial": losses["adversarial"],
        "generator_loss_mean_match_weighted": 10 * losses["mean_match"],
    }
    assert_gradients(generator, "generator")
    for name, value in found.items():
        assert float(value.detach()) == pytest.approx(float(golden[name]), rel=1e-4, abs=2e-7), name


@pytest.mark.parametrize(("patch_size", "deviation"), [(8, ()), (32, ()), (32, (0.02, 0.05, 0.01))])
def test_the_gradient_penalty_and_its_slope_are_those_of_autograd(
    patch_size: int, deviation: tuple[float, ...]
) -> None:
    torch.manual_seed(0)
    critic = Discriminator(2, patch_size, deviation).double()
    real, fake = (tuple(torch.rand(2, 5, 3, patch_size, patch_size).double()) for _ in range(2))
    mix = torch.rand(5, 1, 1, 1).double()
    # From slopes far below 1 to slopes above it.
    for factor in (1.0, 1e3, 1e6):
        with torch.no_grad():
            critic.output.weight *= factor
        seen: list[Tensor] = []
        hook = critic.main[0].register_forward_pre_hook(
            lambda _, inputs, seen=seen: seen.append(inputs[0])
        )
        points = [
            (mix * a + (1 - mix) * b).requires_grad_() for a, b in zip(real, fake, strict=True)
        ]
        score = critic(*points).sum()
        hook.remove()
        (slopes,) = torch.autograd.grad(score, seen, create_graph=True)
        expected = ((slopes.square().sum(dim=(1, 2, 3)) + 1e-12).sqrt() - 1).square()
        found = gradient_penalty(critic, (real[0], real[1]), (fake[0], fake[1]), mix)
        torch.testing.assert_close(found, expected)
        weights = [w for name, w in critic.named_parameters() if name != "output.bias"]
        torch.testing.assert_close(
            torch.autograd.grad(found.sum(), weights), torch.autograd.grad(expected.sum(), weights)
        )


def inputs() -> Iterator[Tensor]:
    source = torch.Generator().manual_seed(0)
    while True:
        yield torch.rand(4, 3, 8, 8, generator=source)


def test_only_the_first_pairs_are_judged() -> None:
    draw = inputs()
    clean, noisy, denoised = next(draw), next(draw), next(draw)
    critic = Discriminator(2, 8)
    some = denoiser_losses(critic, clean, noisy, denoised, judged=3)
    first = denoiser_losses(critic, clean[:3], noisy[:3], denoised[:3])
    everything = denoiser_losses(None, clean, noisy, denoised)
    assert torch.allclose(some["adversarial"], first["adversarial"])
    assert torch.equal(some["error"], everything["loss"])


def test_alpha_weighs_the_two_games() -> None:
    draw = inputs()
    clean, noisy, denoised, generated = (next(draw) for _ in range(4))
    critic = Discriminator(2, 8)
    mixes = (torch.rand(4, 1, 1, 1), torch.rand(4, 1, 1, 1))

    def loss(alpha: float) -> float:
        losses = critic_losses(critic, (clean, noisy), denoised, generated, mixes, alpha=alpha)
        return float(losses["loss"].detach())

    assert loss(0.25) == pytest.approx(0.25 * loss(1) + 0.75 * loss(0), rel=1e-4)


def test_the_generator_starts_towards_noise_of_the_real_strength() -> None:
    source = torch.Generator().manual_seed(0)
    deviation = torch.linspace(0.01, 0.05, 256)  # from left to right
    clean = torch.full((1, 3, 256, 256), 0.5)
    noisy = clean + deviation * torch.randn(clean.shape, generator=source)
    latent = torch.randn(1, 1, 256, 256, generator=source)
    # The loss is an absolute error, so its slope tells where the noise that G adds ends up.
    generated = clean.clone().requires_grad_()
    optimizer = torch.optim.SGD([generated], lr=256 * 256 * 3 * 1e-3)
    for _ in range(300):
        optimizer.zero_grad()
        generator_start_losses(clean, noisy, generated, latent)["loss"].backward()
        optimizer.step()
    noise = (generated.detach() - clean)[0] / deviation
    assert noise.std() == pytest.approx(1, rel=0.05)
    between = torch.corrcoef(noise.flatten(1))
    assert between[0, 1] == pytest.approx(0.6, abs=0.1)
    assert between[1, 2] == pytest.approx(0.6, abs=0.1)
    along = (noise[..., 1:] * noise[..., :-1]).mean()
    assert 0.6 < float(along) < 0.9


def _noise(seed: int, coarse: bool = False, grey: bool = False) -> Tensor:
    noise = torch.randn((256, 3, 16, 16), generator=torch.Generator().manual_seed(seed))
    noise = smooth(noise, TAPS_3) if coarse else noise
    return noise.mean(dim=1, keepdim=True).expand_as(noise) if grey else noise


def test_noise_of_the_same_correlations_costs_least() -> None:
    clean = torch.full((256, 3, 16, 16), 0.5)
    kinds: list[dict[str, bool]] = [{}, {"coarse": True}, {"grey": True}]
    for kind in kinds:
        real = clean + _noise(0, **kind)
        costs = [
            correlation_match(clean, real, *(clean + _noise(seed, **made) for seed in (1, 2)))
            for made in kinds
        ]
        assert min(kinds, key=lambda made: costs[kinds.index(made)]) == kind


def test_the_correlations_do_not_ask_how_strong_the_noise_is() -> None:
    clean = torch.full((256, 3, 16, 16), 0.5)
    real, *weak = (clean + 0.1 * _noise(seed, coarse=seed > 0) for seed in range(3))
    strong = [clean + 10 * (side - clean) for side in weak]
    expected = correlation_match(clean, real, *weak)
    torch.testing.assert_close(correlation_match(clean, real, *strong), expected, rtol=1e-2, atol=0)


def test_the_root_mean_square_is_a_mean_over_pictures() -> None:
    clean = torch.rand(3, 3, 8, 8)
    noise = torch.randn(3, 3, 8, 8) * torch.tensor([0.0, 0.01, 0.1])[:, None, None, None]
    losses = denoiser_losses(None, clean, clean, clean + noise, measure="root-mean-square")
    squares = noise.square().mean(dim=(1, 2, 3)) + (1 / 255) ** 2
    torch.testing.assert_close(losses["loss"], squares.sqrt().mean())
