from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from danet.errors import ConfigError
from danet.networks import UNetDenoiser
from danet.sizes import crop, pad_to_multiple
from danet.tiling import run_tiled


@pytest.mark.parametrize("size", [(1, 1), (1, 37), (16, 16), (33, 48), (53, 31), (64, 17)])
@pytest.mark.parametrize(("tile", "halo", "multiple"), [(16, 0, 16), (31, 3, 8), (7, 20, 1)])
@pytest.mark.parametrize("function", [lambda x: 2 * x, lambda x: x + 1])
def test_arithmetic_is_exact(
    size: tuple[int, int],
    tile: int,
    halo: int,
    multiple: int,
    function: Callable[[Tensor], Tensor],
) -> None:
    picture = torch.rand(2, 3, *size)
    kept = picture.clone()
    result = run_tiled(picture, function, tile=tile, halo=halo, multiple=multiple)
    assert torch.equal(result, function(kept))
    assert torch.equal(picture, kept)


def network_error(depth: int, size: tuple[int, int], halo: int | None = None) -> float:
    """The largest difference between tiles and the whole, for a network in float64."""
    torch.manual_seed(0)
    network = UNetDenoiser(width=2, depth=depth).double()
    picture = torch.rand(1, 3, *size, dtype=torch.float64)
    multiple = network.size_multiple
    halo = network.receptive_radius if halo is None else halo
    with torch.no_grad():
        tiled = run_tiled(picture, network, tile=3 * multiple, halo=halo, multiple=multiple)
        padded, _ = pad_to_multiple(picture, multiple)
        return float((tiled - crop(network(padded), size)).abs().max())


@pytest.mark.parametrize("size", [(1, 1), (13, 211), (101, 64), (97, 89)])
@pytest.mark.parametrize("depth", [1, 3, 4])
def test_network_gives_the_whole_picture(depth: int, size: tuple[int, int]) -> None:
    assert network_error(depth, size) < 1e-12


def test_network_of_the_paper_gives_the_whole_picture() -> None:
    assert network_error(5, (17, 331)) < 1e-12


@pytest.mark.parametrize(("depth", "halo"), [(1, 2), (3, 20), (4, 48)])
def test_smaller_halo_is_not_enough(depth: int, halo: int) -> None:
    assert network_error(depth, (97, 211), halo) > 1e-12


def test_channels_may_change_and_batch_is_kept() -> None:
    picture = torch.rand(3, 4, 20, 30)
    result = run_tiled(picture, lambda x: x[:, :3] + x[:, 3:], tile=8, halo=2, multiple=4)
    assert torch.equal(result, picture[:, :3] + picture[:, 3:])


def test_progress_counts_the_tiles() -> None:
    calls: list[tuple[int, int]] = []
    run_tiled(
        torch.rand(1, 3, 20, 9),
        lambda x: x,
        tile=8,
        halo=2,
        multiple=4,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize(
    ("tile", "halo", "multiple"), [(15, 0, 16), (0, 0, 1), (-16, 0, 16), (16, -1, 16)]
)
def test_useless_tile_or_halo_is_an_error(tile: int, halo: int, multiple: int) -> None:
    with pytest.raises(ConfigError, match=r"tile is|halo is"):
        run_tiled(torch.rand(1, 3, 32, 32), lambda x: x, tile=tile, halo=halo, multiple=multiple)
