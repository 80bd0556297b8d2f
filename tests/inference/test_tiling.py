import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from danet.errors import ConfigError
from danet.inference.pipeline import run_tiled
from danet.inference.sizes import crop, margins, pad
from danet.inference.tiling import Tile, check_tile, choose_window, cut, smallest_window, window_of
from danet.networks import BACKBONES, Backbone

Size = tuple[int, int]
LOCAL = [("unet", depth) for depth in (1, 2, 3, 4)]
LOCAL += [("dncnn", 2), ("dncnn", 5), ("red", 2), ("red", 6)]


def tiled(
    picture: Tensor,
    function: Callable[[Tensor], Tensor],
    window: Size,
    halo: int,
    multiple: int,
    batch: int = 1,
    devices: int = 1,
    border: int = 0,
) -> Tensor:
    """The picture treated in tiles."""
    result = torch.full_like(picture, torch.nan)
    written = torch.zeros(picture.shape[-2:])

    def read(tile: Tile) -> Tensor:
        return pad(picture[..., tile.seen[0], tile.seen[1]], tile.beyond)

    def write(tile: Tile, output: Tensor) -> None:
        rows, columns = tile.inner
        result[..., tile.core[0], tile.core[1]] = crop(output, tile.beyond)[..., rows, columns]
        written[tile.core] += 1

    size = (picture.shape[-2], picture.shape[-1])
    tiles = cut(size, window, halo=halo, multiple=multiple, border=border)
    predictors = [nullcontext(function) for _ in range(devices)]
    run_tiled(tiles, read, predictors, write, batch=batch)
    assert bool((written == 1).all())
    return result


@pytest.mark.parametrize("size", [(1, 1), (1, 37), (16, 16), (33, 48), (53, 31), (64, 17)])
@pytest.mark.parametrize(("tile", "halo", "multiple"), [(16, 0, 16), (31, 8, 8), (7, 20, 1)])
@pytest.mark.parametrize(("batch", "devices"), [(1, 1), (3, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("border", [0, 16])
def test_arithmetic_is_exact(
    size: Size, tile: int, halo: int, multiple: int, batch: int, devices: int, border: int
) -> None:
    picture = torch.rand(2, 3, *size)
    kept = picture.clone()
    window = window_of(size, tile, halo=halo, multiple=multiple, border=border)
    result = tiled(picture, lambda x: 2 * x, window, halo, multiple, batch, devices, border)
    assert torch.equal(result, 2 * kept)
    assert torch.equal(picture, kept)


@pytest.mark.parametrize("size", [(1, 1), (5, 60), (29, 31), (160, 9)])
@pytest.mark.parametrize("limit", [1, 300, 1500, 1e9])
@pytest.mark.parametrize(
    ("halo", "multiple", "border"),
    [(0, 1, 0), (3, 1, 0), (0, 8, 0), (8, 8, 0), (24, 8, 0), (3, 1, 5), (0, 8, 16), (24, 8, 16)],
)
def test_windows_are_of_one_shape_within_the_limit_and_padded_as_the_whole(
    size: Size, limit: float, halo: int, multiple: int, border: int
) -> None:
    rules = {"halo": halo, "multiple": multiple, "border": border}
    window = choose_window(size, limit=limit, **rules)
    least = smallest_window(size, **rules)
    assert window[0] * window[1] <= max(limit, least[0] * least[1])
    picture = torch.rand(1, 1, *size)
    whole = pad(picture, margins(size, multiple, border))
    for tile in cut(size, window, **rules):
        padded = pad(picture[..., tile.seen[0], tile.seen[1]], tile.beyond)
        assert padded.shape[-2:] == window
        top, left = (span.start + border for span in tile.window)
        assert top % multiple == left % multiple == 0
        assert torch.equal(padded, whole[..., top : top + window[0], left : left + window[1]])
        ends = (
            length + margin
            for length, margin in zip(size, margins(size, multiple, border)[1::2], strict=True)
        )
        for core, part, end in zip(tile.core, tile.window, ends, strict=True):
            assert core.start - part.start >= halo or part.start == -border
            assert part.stop - core.stop >= halo or part.stop == end


@pytest.mark.parametrize("size", [(120, 200), (320, 50), (50, 320), (128, 128)])
@pytest.mark.parametrize("limit", [2500, 6000, 15_000, 100_000])
@pytest.mark.parametrize(("pictures", "devices"), [(1, 1), (1, 2), (3, 2), (1, 5)])
def test_no_other_window_costs_less(size: Size, limit: int, pictures: int, devices: int) -> None:
    halo, multiple = 16, 8

    def cost(window: Size) -> int:
        """The pixels of the busiest device."""
        windows = pictures * len(cut(size, window, halo=halo, multiple=multiple))
        return -(-windows // devices) * window[0] * window[1]

    least = smallest_window(size, halo=halo, multiple=multiple)
    sides = [range(low, length + 8, 8) for low, length in zip(least, size, strict=True)]
    costs = [
        cost((row, column)) for row in sides[0] for column in sides[1] if row * column <= limit
    ]
    shares = {"pictures": pictures, "devices": devices}
    chosen = choose_window(size, halo=halo, multiple=multiple, limit=limit, **shares)
    assert chosen[0] * chosen[1] <= limit
    assert cost(chosen) <= min(costs)


def positive(name: str, depth: int) -> Backbone:
    """A network in which nothing cancels and every unit is at work."""
    network = BACKBONES[name](3, 3, 1, depth).double().eval()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    return network


def error(network: Backbone, halo: int, size: Size, tile: int = 1, border: int = 0) -> float:
    """The largest relative difference between tiles and the whole, in float64."""
    multiple = network.size_multiple
    picture = torch.rand(1, 3, *size, dtype=torch.float64)
    window = window_of(size, tile, halo=halo, multiple=multiple, border=border)
    missing = margins(size, multiple, border)
    with torch.no_grad():
        parts = tiled(picture, network, window, halo, multiple, border=border)
        whole = crop(network(pad(picture, missing)), missing)
    return float(((parts - whole) / whole).abs().max())


@pytest.mark.parametrize(("name", "depth"), [*LOCAL, ("unet", 5)])
def test_halo_is_the_smallest_that_works(name: str, depth: int) -> None:
    network = positive(name, depth)
    assert network.halo is not None
    multiple = network.size_multiple
    size = (multiple + 1, 2 * network.halo + 3 * multiple - 1)
    halos = range(0, network.halo + multiple + 1, multiple)
    working = [halo for halo in halos if error(network, halo, size) < 1e-13]
    assert working == [network.halo, network.halo + multiple]


@pytest.mark.parametrize("size", [(1, 1), (13, 211), (101, 64), (97, 83)])
@pytest.mark.parametrize(("name", "depth"), LOCAL)
@pytest.mark.parametrize("border", [0, 16])
def test_network_gives_the_whole_picture(name: str, depth: int, size: Size, border: int) -> None:
    network = positive(name, depth)
    assert network.halo is not None
    assert error(network, network.halo, size, tile=32, border=border) < 1e-13


@pytest.mark.parametrize("name", ["ridnet", "nafnet"])
def test_networks_that_see_everything_have_no_halo(name: str) -> None:
    assert BACKBONES[name](3, 3, 4, 2).halo is None


def test_an_error_of_any_step_is_raised() -> None:
    tiles = cut((40, 40), (16, 16), halo=0, multiple=1)
    steps: list[Any] = [lambda x: torch.rand(1, 1, 16, 16), lambda x: x, lambda *_: None]

    def fail(*_: object) -> None:
        raise ValueError("as it must")

    for number in range(3):
        failing = [*steps[:number], fail, *steps[number + 1 :]]
        read, predict, write = failing
        for predictors in ([nullcontext(predict)], [nullcontext(predict), nullcontext(steps[1])]):
            with pytest.raises(ValueError, match="as it must"):
                run_tiled(tiles, read, predictors, write)


def test_devices_compute_at_the_same_time_each_in_one_thread() -> None:
    meeting = threading.Barrier(3, timeout=10)
    entered: list[int] = []
    order: list[int] = []

    @contextmanager
    def predictor() -> Iterator[Callable[[Tensor], Tensor]]:
        entered.append(threading.get_ident())

        def predict(pixels: Tensor) -> Tensor:
            assert threading.get_ident() == thread
            meeting.wait()  # goes on when all three are here
            return pixels

        thread = entered[-1]
        yield predict
        assert threading.get_ident() == thread

    def read(item: int) -> Tensor:
        order.append(item)
        return torch.full((1, 1, 4, 4), float(item))

    written: dict[int, float] = {}

    def write(item: int, result: Tensor) -> None:
        written[item] = float(result.mean())

    run_tiled(range(12), read, [predictor() for _ in range(3)], write, batch=2)
    assert len(set(entered)) == 3
    assert order == list(range(12))
    assert written == {item: item for item in range(12)}


def test_a_failure_ends_the_work_of_the_other_devices() -> None:
    read: list[int] = []
    failed = threading.Event()

    def fail(_: Tensor) -> Tensor:
        failed.set()
        raise ValueError("as it must")

    def wait(pixels: Tensor) -> Tensor:
        assert failed.wait(10)
        return pixels

    with pytest.raises(ValueError, match="as it must"):
        run_tiled(
            range(100_000),
            lambda item: read.append(item) or torch.zeros(1, 1, 1, 1),  # type: ignore[func-returns-value]
            [nullcontext(fail), nullcontext(wait)],
            lambda *_: None,
        )
    assert len(read) < 100_000


def test_parts_of_several_pictures_are_joined_whatever_their_number() -> None:
    counts, written = [3, 1, 2], []
    run_tiled(
        counts,
        lambda count: torch.full((count, 1, 5, 5), float(count)),
        [nullcontext(lambda x: 2 * x)],
        lambda count, result: written.append((count, tuple(result.shape), float(result.mean()))),
        batch=3,
    )
    assert written == [(count, (count, 1, 5, 5), 2.0 * count) for count in counts]


@pytest.mark.parametrize(("tile", "multiple"), [(15, 16), (0, 1), (-16, 16)])
def test_useless_tile_is_an_error(tile: int, multiple: int) -> None:
    with pytest.raises(ConfigError, match="tile is"):
        check_tile(tile, multiple)
