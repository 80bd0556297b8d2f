from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from danet.networks import Discriminator, UNet, UNetDenoiser, UNetGenerator
from danet.sizes import crop, pad_to_multiple

Golden = Callable[[str], dict[str, Tensor]]


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def close(result: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-6)


@pytest.fixture
def denoiser(golden: Golden) -> UNetDenoiser:
    network = UNetDenoiser(width=2)
    network.load_state_dict(golden("denoiser_weights"))
    return network


@torch.no_grad()
def test_denoiser_is_that_of_the_authors(denoiser: UNetDenoiser, golden: Golden) -> None:
    values = golden("inference")
    close(denoiser(values["noisy"]), values["denoised"])


@torch.no_grad()
def test_odd_size_is_padded_as_the_authors_do(denoiser: UNetDenoiser, golden: Golden) -> None:
    values = golden("inference")
    padded, size = pad_to_multiple(values["noisy_odd"], denoiser.size_multiple)
    close(crop(denoiser(padded), size), values["denoised_odd"])


@torch.no_grad()
def test_generator_is_that_of_the_authors(golden: Golden) -> None:
    generator = UNetGenerator(width=2)
    generator.load_state_dict(golden("generator_weights"))
    values = golden("inference")
    close(generator(values["clean"], values["latent"]), values["generated"])


@pytest.mark.parametrize(
    ("network", "count"),
    [(UNetDenoiser, 9_153_571), (UNetGenerator, 9_153_859), (Discriminator, 44_703_745)],
)
def test_parameters_are_as_many_as_in_the_paper(network: type[nn.Module], count: int) -> None:
    with torch.device("meta"):
        assert parameters(network()) == count


@pytest.mark.parametrize(("width", "depth"), [(1, 1), (3, 2), (2, 4)])
def test_any_width_and_depth(width: int, depth: int) -> None:
    network = UNetDenoiser(width, depth)
    side = 3 * network.size_multiple
    assert network(torch.rand(2, 3, side, side)).shape == (2, 3, side, side)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_receptive_radius_is_the_farthest_reach_of_any_phase(depth: int) -> None:
    network = UNet(1, 1, width=1, depth=depth).double()
    # Everything linear and positive, so that nothing cancels in the gradient.
    for module in network.modules():
        if isinstance(module, nn.LeakyReLU):
            module.negative_slope = 1.0
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    multiple, radius = network.size_multiple, network.receptive_radius
    centre = (radius // multiple + 1) * multiple
    size = (1, 1, multiple, 2 * centre + multiple)
    row = torch.zeros(size, dtype=torch.float64, requires_grad=True)
    output = network(row)
    reaches = []
    for column in range(centre, centre + multiple):
        (gradient,) = torch.autograd.grad(output[0, 0, 0, column], row, retain_graph=True)
        seen = gradient[0, 0].sum(dim=0).nonzero().flatten()
        reaches += [column - int(seen[0]), int(seen[-1]) - column]
    assert max(reaches) == radius
