from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from danet import Denoiser
from danet.errors import ConfigError
from danet.inference.sizes import crop, margins, pad
from danet.networks import (
    BACKBONES,
    Backbone,
    DenoiserNetwork,
    Discriminator,
    GeneratorNetwork,
    Kind,
    build,
)
from danet.train.losses import critic_losses, denoiser_losses, generator_losses

Golden = Callable[[str], dict[str, Tensor]]
# Width and depth of small networks with every part that the large ones have.
SMALL = {
    "unet": (4, 2),
    "half-unet": (4, 2),
    "dncnn": (4, 4),
    "red": (4, 8),
    "ridnet": (16, 1),
    "nafnet": (4, 2),
}
MODULATED = (4, 2)  # of generators alone


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def close(result: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-6)


@pytest.fixture
def denoiser(golden: Golden) -> DenoiserNetwork:
    network = build("denoiser", "unet", width=2)
    network.backbone.load_state_dict(golden("denoiser_weights"))
    return network


@torch.no_grad()
def test_denoiser_is_that_of_the_authors(denoiser: DenoiserNetwork, golden: Golden) -> None:
    values = golden("inference")
    close(denoiser(values["noisy"]), values["denoised"])


@torch.no_grad()
def test_odd_size_is_padded_as_the_authors_do(denoiser: DenoiserNetwork, golden: Golden) -> None:
    values = golden("inference")
    noisy = values["noisy_odd"]
    missing = margins(noisy.shape[2:], denoiser.size_multiple)
    close(crop(denoiser(pad(noisy, missing)), missing), values["denoised_odd"])


@torch.no_grad()
def test_generator_is_that_of_the_authors(golden: Golden) -> None:
    generator = build("generator", "unet", width=2)
    generator.backbone.load_state_dict(golden("generator_weights"))
    values = golden("inference")
    close(generator(values["clean"], values["latent"]), values["generated"])


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (partial(build, "denoiser"), 9_153_571),
        (partial(build, "generator"), 9_153_859),
        (Discriminator, 44_703_745),
    ],
)
def test_parameters_are_as_many_as_in_the_paper(make: Callable[[], nn.Module], count: int) -> None:
    with torch.device("meta"):
        assert parameters(make()) == count


@pytest.mark.parametrize(("width", "depth"), [(1, 1), (3, 2), (2, 4)])
def test_any_width_and_depth(width: int, depth: int) -> None:
    network = build("denoiser", "unet", width, depth)
    side = 3 * network.size_multiple
    assert network(torch.rand(2, 3, side, side)).shape == (2, 3, side, side)


def test_each_backbone_is_tested() -> None:
    assert {*SMALL, "modulated"} == BACKBONES.keys()


class Mirror(Backbone):
    """A backbone of a user's own: one convolution."""

    def __init__(self, in_channels: int, out_channels: int = 3) -> None:
        super().__init__(in_channels, out_channels, width=1, depth=1)
        self.only = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.only(x)
        return output


def test_a_backbone_of_ones_own_needs_no_registration() -> None:
    noisy = np.zeros((20, 30, 3), np.uint8)
    assert Denoiser(DenoiserNetwork(Mirror(3)))(noisy).shape == noisy.shape
    with pytest.raises(ConfigError, match="takes 3 channels and gives 3, and that of a generator"):
        GeneratorNetwork(Mirror(3))


@pytest.mark.parametrize("name", SMALL)
def test_backbone_estimates_the_noise(name: str) -> None:
    clean, noisy, latent = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8), torch.randn(2, 1, 8, 8)
    denoiser = build("denoiser", name, *SMALL[name]).eval()
    generator = build("generator", name, *SMALL[name]).eval()
    assert isinstance(denoiser, DenoiserNetwork)
    assert isinstance(generator, GeneratorNetwork)
    plain, joined = BACKBONES[name](3, 3, *SMALL[name]), BACKBONES[name](4, 3, *SMALL[name])
    plain.load_state_dict(denoiser.backbone.state_dict())
    joined.load_state_dict(generator.backbone.state_dict())
    with torch.no_grad():
        close(denoiser(noisy), noisy - plain.eval()(noisy))
        close(generator(clean, latent), clean + joined.eval()(torch.cat([clean, latent], 1)))


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("unet", (32, 5)),
        ("half-unet", (36, 4)),
        ("dncnn", (64, 17)),
        ("red", (64, 30)),
        ("ridnet", (64, 4)),
        ("nafnet", (32, 5)),
    ],
)
@pytest.mark.parametrize("kind", ["denoiser", "generator"])
def test_sizes_that_are_not_given_are_the_backbones_own(
    kind: Kind, name: str, default: tuple[int, int]
) -> None:
    with torch.device("meta"):
        for given in [(None, None), (2, None), (None, 2)]:
            network = build(kind, name, *given)
            expected = tuple(a or b for a, b in zip(given, default, strict=True))
            assert (network.width, network.depth) == expected


@pytest.mark.parametrize("name", SMALL)
def test_weights_are_drawn_from_torchs_random_numbers(name: str) -> None:
    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in build("denoiser", name, *SMALL[name]).parameters()])

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_unknown_backbone_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no backbone 'dcnn'; did you mean 'dncnn'\?$"):
        build("denoiser", "dcnn")
    with pytest.raises(ConfigError, match="there are dncnn, half-unet, modulated, nafnet"):
        build("generator", "transformer")


def test_size_that_the_backbone_has_not_is_an_error() -> None:
    with pytest.raises(ConfigError, match="depth is 17, and must be from 1 to 12 for a UNet"):
        build("denoiser", "unet", depth=17)


@pytest.mark.parametrize("name", SMALL)
def test_training_lowers_the_error(name: str) -> None:
    clean = torch.rand(4, 3, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    noisy = clean + 0.2 * torch.randn_like(clean)
    network = build("denoiser", name, *SMALL[name])
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    errors = []
    for _ in range(30):
        error = (network(noisy) - clean).abs().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.9 * errors[0]


@pytest.mark.parametrize("name", SMALL)
def test_losses_give_every_parameter_a_finite_gradient(name: str) -> None:
    critic = Discriminator(2, patch_size=16)
    denoiser = build("denoiser", name, *SMALL[name])
    generator = build("generator", name, *SMALL[name])
    clean, noisy = torch.rand(2, 2, 3, 16, 16)
    denoised, generated = denoiser(noisy), generator(clean, torch.randn(2, 1, 16, 16))
    fakes = denoised.detach(), generated.detach()
    mixes = torch.rand(2, 1, 1, 1), torch.rand(2, 1, 1, 1)
    losses = {
        denoiser: denoiser_losses(critic, clean, noisy, denoised),
        generator: generator_losses(critic, clean, noisy, generated),
        critic: critic_losses(critic, (clean, noisy), *fakes, mixes),
    }
    for network, terms in losses.items():
        gradients = torch.autograd.grad(terms["loss"], tuple(network.parameters()))
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.any() for gradient in gradients)


def test_a_deviation_leaves_the_critics_functions_as_they_are() -> None:
    torch.manual_seed(0)
    plain, changed = Discriminator(2, 16), Discriminator(2, 16, deviation=[1 / 20])
    weights = plain.state_dict()
    changed.load_state_dict(weights)
    in_clean, in_noise = weights["main.0.weight"].chunk(2, dim=1)
    first = torch.cat([in_clean - 20 * in_noise, 20 * in_noise], dim=1)
    plain.load_state_dict({**weights, "main.0.weight": first})
    clean, noisy = torch.rand(2, 3, 3, 16, 16)
    torch.testing.assert_close(changed(clean, noisy), plain(clean, noisy))
    in_clean, in_noisy = plain.gradient(clean, noisy).chunk(2, dim=1)
    in_noise = torch.cat([in_clean + in_noisy, in_noisy / 20], dim=1)
    torch.testing.assert_close(changed.gradient(clean, noisy), in_noise)


def test_the_deviation_lies_between_its_neighbours_in_the_list() -> None:
    torch.manual_seed(0)
    levels = torch.tensor([0.01, 0.03, 0.02])
    critic, plain = Discriminator(2, 8, levels.tolist()), Discriminator(2, 8)
    plain.load_state_dict(critic.state_dict())
    clean, noise = torch.rand(2, 3, 3, 8, 8)
    clean[0, 0, 0, :5] = torch.tensor([-0.1, 0.0, 0.5, 1.0, 1.1])
    deviation = np.interp(clean.numpy(), [0, 0.5, 1], levels.numpy())
    seen = plain(clean, noise)  # y itself
    torch.testing.assert_close(
        critic(clean, clean + noise * torch.from_numpy(deviation).float()), seen
    )


def test_a_critic_with_a_deviation_soon_tells_noise_from_none() -> None:
    def distance(*deviation: float) -> float:
        torch.manual_seed(0)
        critic = Discriminator(32, 8, deviation)
        optimizer = torch.optim.Adam(critic.parameters(), 2e-3, (0.5, 0.9))
        for _ in range(100):
            clean = torch.rand(32, 3, 1, 1).expand(32, 3, 8, 8)
            noisy = clean + 0.015 * torch.randn(clean.shape)
            found = (critic(clean, noisy) - critic(clean, clean)).mean()
            slopes = critic.gradient(clean, noisy).flatten(1).norm(dim=1)
            loss = 10 * (slopes - 1).square().mean() - found
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(found.detach())

    # With slopes of 1 it is at most the norm of the noise that is seen, here 0.015 sqrt(3 * 8 * 8)
    # = 0.21 and there sqrt(3 * 8 * 8) = 14; they are about 1.6 yet.
    assert abs(distance()) < 0.01
    assert 5 < distance(0.015) < 25


@pytest.mark.parametrize(("name", "latents"), [("unet", 3), ("modulated", 1), ("modulated", 4)])
def test_a_latent_of_several_channels(name: str, latents: int) -> None:
    torch.manual_seed(0)
    generator = build("generator", name, *MODULATED, latent_channels=latents)
    assert (generator.latent_channels, generator.channels) == (latents, 3 + latents)
    clean, latent = torch.rand(2, 3, 16, 16), torch.randn(2, latents, 16, 16)
    generated = generator(clean, latent)
    for channel in range(latents):
        other = latent.clone()
        other[:, channel] = 0
        assert not torch.equal(generator(clean, other), generated)


@pytest.mark.parametrize(
    ("kind", "backbone", "latents", "message"),
    [
        ("generator", "unet", 0, "latent_channels is 0, and must be from 1 to 64 for a generator"),
        ("generator", "unet", 65, "latent_channels is 65"),
        ("denoiser", "unet", 2, "latent_channels is 2, and must be from 1 to 1 for a denoiser"),
        ("denoiser", "modulated", 1, "takes 3 channels and gives 3: it is a generator's"),
    ],
)
def test_latents_that_no_network_has(kind: Kind, backbone: str, latents: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(kind, backbone, latent_channels=latents)


def test_modulated_noise_has_the_reach_that_it_says() -> None:
    torch.manual_seed(0)
    backbone = build("generator", "modulated", 4, 2).backbone.double()
    pixels = torch.rand(1, 4, 64, 64, dtype=torch.float64, requires_grad=True)
    reaches = []
    for row in (32, 33):
        (gradient,) = torch.autograd.grad(backbone(pixels)[0, 0, row, 32], pixels)
        seen = gradient[0].abs().sum(dim=(0, 2)).nonzero().flatten()
        reaches += [row - int(seen[0]), int(seen[-1]) - row]
    assert backbone.receptive_radius is not None
    assert max(reaches) == backbone.receptive_radius
