"""The backbones: their sizes against the papers', and how far they see."""

import pytest
import torch.fx
from torch import nn

from danet.errors import ConfigError
from danet.networks import BACKBONES, RED, Backbone, DnCNN, Kind, NAFNet, RIDNet, UNet, build

LOCAL = [("unet", depth) for depth in (1, 2, 3, 4, 5)]
LOCAL += [("half-unet", depth) for depth in (1, 2, 3, 4)]
LOCAL += [("dncnn", depth) for depth in (2, 5, 17)]
LOCAL += [("red", depth) for depth in (2, 4, 6, 30)]
GLOBAL = [("ridnet", 1), ("ridnet", 2), ("nafnet", 1), ("nafnet", 3)]


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("cls", "arguments", "count"),
    [
        (UNet, {"in_channels": 3}, 9_153_571),
        # 0.56 M for grey pictures; 0.67 M for colour and noise of any level.
        (DnCNN, {"in_channels": 1, "out_channels": 1}, 556_096),
        (DnCNN, {"in_channels": 3, "depth": 20}, 669_376),
        # 4.13 M: the grey RED30 in the width that its authors released.
        (RED, {"in_channels": 1, "out_channels": 1, "width": 128}, 4_134_785),
        # 1499 K
        (RIDNet, {"in_channels": 3}, 1_499_347),
    ],
)
def test_parameters_are_as_many_as_published(
    cls: type[Backbone], arguments: dict[str, int], count: int
) -> None:
    with torch.device("meta"):
        assert parameters(cls(**arguments)) == count


@pytest.mark.parametrize(
    ("blocks", "millions"),
    [(([1, 1, 1, 28], 1, 1), 17.11), (([2, 2, 4, 8], 12, 2), 29.16)],
)
def test_nafnet_with_the_papers_blocks_has_its_size(
    blocks: tuple[list[int], int, int], millions: float
) -> None:
    encoder, middle, decoder = blocks
    with torch.device("meta"):
        network = NAFNet(3)
    count = parameters(network)
    wanted = [*encoder, middle, *[decoder] * 4]
    for stage, number in zip(
        [*network.encoder, network.middle, *network.decoder], wanted, strict=True
    ):
        assert isinstance(stage, nn.Sequential)
        count += (number - len(stage)) * parameters(stage[0])
    assert round(count / 1e6, 2) == millions


@pytest.mark.parametrize(("name", "depth"), LOCAL + GLOBAL)
def test_any_width_and_depth(name: str, depth: int) -> None:
    network = BACKBONES[name](4, 3, 2, depth)
    assert (network.width, network.depth) == (2, depth)
    sides = 3 * network.size_multiple, 2 * network.size_multiple
    assert network(torch.rand(2, 4, *sides)).shape == (2, 3, *sides)


@pytest.mark.parametrize(
    ("name", "width", "depth", "message"),
    [
        ("unet", 0, 5, "width is 0, and must be from 1 to 1024 for a UNet"),
        ("unet", 32, 13, "depth is 13, and must be from 1 to 12"),
        ("nafnet", 32, 0, "depth is 0, and must be from 1 to 12"),
        ("dncnn", 64, 1, "depth is 1, and must be from 2 to 100"),
        ("dncnn", 1025, 17, "width is 1025"),
        ("red", 64, 15, "depth is 15, and must be from 2 to 100 in steps of 2"),
        ("ridnet", 64, 101, "depth is 101, and must be from 1 to 100"),
    ],
)
def test_other_sizes_are_refused(name: str, width: int, depth: int, message: str) -> None:
    with torch.device("meta"), pytest.raises(ConfigError, match=message):
        BACKBONES[name](3, 3, width, depth)


@pytest.mark.parametrize(("name", "depth"), LOCAL)
def test_receptive_radius_is_the_farthest_reach_of_any_phase(name: str, depth: int) -> None:
    network = BACKBONES[name](1, 1, 1, depth).double().eval()
    # Everything positive, so that nothing cancels in the gradient and every unit is at work.
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    multiple, radius = network.size_multiple, network.receptive_radius
    assert radius is not None
    centre = (radius // multiple + 1) * multiple
    size = (1, 1, multiple, 2 * centre + multiple)
    row = torch.ones(size, dtype=torch.float64, requires_grad=True)
    output = network(row)
    reaches = []
    for column in range(centre, centre + multiple):
        (gradient,) = torch.autograd.grad(output[0, 0, 0, column], row, retain_graph=True)
        seen = gradient[0, 0].sum(dim=0).nonzero().flatten()
        reaches += [column - int(seen[0]), int(seen[-1]) - column]
    assert max(reaches) == radius


@pytest.mark.parametrize(("name", "depth"), GLOBAL)
def test_attention_sees_the_whole_picture(name: str, depth: int) -> None:
    network = BACKBONES[name](1, 1, 4, depth).double()
    # Above 0: no unit is dead, and NAFNet's blocks are no longer the identity.
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.01, 0.05)
    picture = torch.rand(1, 1, 4, 160, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(picture)[0, 0, 0, 0], picture)
    assert network.receptive_radius is None
    assert (gradient[..., 80:] != 0).any()


@pytest.mark.parametrize("name", BACKBONES)
def test_pixels_are_seen_and_made_in_full_under_autocast(name: str) -> None:
    torch.manual_seed(0)
    network = BACKBONES[name](4, 3, 16, 2).eval()
    picture = torch.full((1, 4, 32, 32), 0.7)
    close = picture + 1e-3 * torch.rand_like(picture)
    assert torch.equal(close.bfloat16(), picture.bfloat16())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        first, second = network(picture), network(close)
    assert first.dtype == torch.float32
    assert not torch.equal(first, first.bfloat16().float())
    assert not torch.equal(first, second)


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize(
    ("kind", "name"),
    [("denoiser", name) for name in sorted(BACKBONES.keys() - {"modulated"})]
    + [("generator", name) for name in BACKBONES],
)
def test_a_traced_network_gives_the_same(kind: Kind, name: str, bfloat16: bool) -> None:
    torch.manual_seed(0)
    network = build(kind, name, 4, 4).eval()
    side = network.size_multiple  # of a single column in the deepest level
    pictures = torch.rand(2, 3, 4 * side, side)
    latent = torch.randn(2, 1, 4 * side, side)
    traced = torch.fx.symbolic_trace(network)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        given = (pictures, latent)[: 1 if kind == "denoiser" else 2]
        assert torch.equal(traced(*given), network(*given))
