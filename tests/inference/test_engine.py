"""Pictures in tiles, in little memory, and with errors on the way."""

import copy
import pickle
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from danet.errors import ConfigError, DanetError, ImageError
from danet.inference import EngineSettings
from danet.inference import engine as engine_module
from danet.inference.memory import give_back
from danet.inference.sizes import crop, margins, pad
from danet.networks import DenoiserNetwork, Kind, build
from danet.pretrained import Denoiser, NoiseGenerator

TWO = ["cpu", "cpu"]
SIZES = [(1, 1), (1, 67), (64, 64), (61, 83), (97, 31)]
LOCAL = [("unet", 3), ("dncnn", 4), ("red", 4)]


def network(kind: Kind, backbone: str, depth: int) -> Any:
    made = build(kind, backbone, 4, depth)
    for parameter in made.parameters():
        parameter.data *= 1.5  # so that borders would show
    return made


def calls(denoiser: Denoiser | NoiseGenerator) -> list[tuple[int, ...]]:
    """The shapes of what the network is given from here on."""
    shapes: list[tuple[int, ...]] = []
    denoiser.network.register_forward_hook(lambda _, inputs, __: shapes.append(inputs[0].shape))
    return shapes


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tile", [8, 17, 40])
@pytest.mark.parametrize(("backbone", "depth"), LOCAL)
def test_tiles_give_the_whole_picture(
    backbone: str, depth: int, size: tuple[int, int], tile: int
) -> None:
    model = network("denoiser", backbone, depth)
    noisy = torch.rand(1, 3, *size)
    whole, parts = Denoiser(model)(noisy), Denoiser(model, tile=tile)(noisy)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)
    memory = int(5000 * Denoiser(model).engine.bytes_per_pixel)
    bounded = Denoiser(model, max_memory=memory)
    shapes = calls(bounded)
    torch.testing.assert_close(bounded(noisy), whole, rtol=0, atol=1e-6)
    assert all(n * height * width <= 5000 for n, _, height, width in shapes)
    assert len(shapes) > 1 or size[0] * size[1] <= 5000


@pytest.mark.parametrize("settings", [{"tile": 8}, {"tile": 24}, {"max_memory": 5_000_000}])
@pytest.mark.parametrize("pictures", [1, 2])
def test_a_seed_gives_the_same_noise_whatever_the_tiles_and_the_batch(
    settings: dict[str, int], pictures: int
) -> None:
    model = network("generator", "unet", 3)
    clean = torch.rand(pictures, 3, 61, 83)
    whole = NoiseGenerator(model).sample(clean, n=3, seed=7)
    parts = NoiseGenerator(model, **settings).sample(clean, n=3, seed=7)  # type: ignore[arg-type]
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)
    alone = [next(iter(NoiseGenerator(model).stream(clean[:1], 1, seed=7)))]
    torch.testing.assert_close(alone[0], whole[0, :1], rtol=0, atol=1e-6)


def test_small_pictures_are_drawn_many_at_once_and_large_ones_alone() -> None:
    generator = NoiseGenerator(network("generator", "unet", 2), border=0)
    shapes = calls(generator)
    generator.sample(torch.rand(3, 16, 16), n=50, seed=1)
    assert shapes == [(50, 3, 16, 16)]
    shapes.clear()
    one = 16 * 16 * generator.engine.bytes_per_pixel
    generator.engine.settings.max_memory = int(20 * one) + 1
    generator.sample(torch.rand(3, 16, 16), n=50, seed=1)
    assert [shape[0] for shape in shapes] == [20, 20, 10]


PICTURES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "L": (np.uint8, ()),
    "LA": (np.uint8, (2,)),
    "RGB": (np.uint8, (3,)),
    "RGBA": (np.uint8, (4,)),
    "I;16": (np.uint16, ()),
    "F": (np.float32, ()),
}


@pytest.mark.parametrize("mode", PICTURES)
def test_any_picture_is_put_together_from_its_tiles(mode: str) -> None:
    dtype, channels = PICTURES[mode]
    values = np.random.default_rng(0).random((61, 83, *channels))
    scale = 1 if dtype is np.float32 else np.iinfo(dtype).max
    array = (values * scale).astype(dtype)
    picture = Image.fromarray(array)
    picture.info["dpi"] = (300, 300)
    model = network("denoiser", "unet", 2)
    whole, parts = Denoiser(model)(picture), Denoiser(model, tile=16)(picture)
    assert parts.mode == whole.mode == mode
    assert parts.size == picture.size
    assert parts.info["dpi"] == (300, 300)
    difference = np.asarray(parts).astype(float) - np.asarray(whole).astype(float)
    assert np.abs(difference).max() <= (1e-6 if mode == "F" else 1)
    assert np.abs(difference).mean() < 0.01 * scale
    if mode != "LA":
        result = Denoiser(model, tile=16)(array)
        assert np.array_equal(result, np.asarray(parts))


def test_palette_and_views_are_taken_by_tiles() -> None:
    array = np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)
    model = network("denoiser", "unet", 2)
    tiles = Denoiser(model, tile=16)
    palette = Image.fromarray(array).quantize(16)
    expected = np.asarray(tiles(palette.convert("RGB")))
    assert np.array_equal(np.asarray(tiles(palette)), expected)
    turned = array[::-1, ::-1]
    assert np.array_equal(tiles(turned), tiles(np.ascontiguousarray(turned)))


def test_memory_mapped_arrays_in_and_out(tmp_path: Path) -> None:
    noisy = np.lib.format.open_memmap(tmp_path / "in.npy", "w+", np.uint8, (61, 83, 3))
    noisy[:] = np.random.default_rng(0).integers(0, 256, noisy.shape)
    result = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.uint8, noisy.shape)
    model = network("denoiser", "unet", 2)
    assert Denoiser(model, tile=16)(noisy, out=result) is result
    expected = Denoiser(model, tile=16)(np.array(noisy))
    assert np.array_equal(np.load(tmp_path / "out.npy"), expected)
    Denoiser(model)(noisy, out=result)
    assert np.abs(result.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda image: image, "shares memory"),
        (lambda image: image[::-1], "shares memory"),
        (lambda image: np.zeros_like(image[1:]), "out is uint8 of shape"),
        (lambda image: np.zeros(image.shape), "out is float64"),
        (lambda image: np.broadcast_to(np.uint8(0), image.shape), "out is read-only"),
        (lambda image: torch.zeros(3, 9, 9), "out is for arrays"),
    ],
)
def test_an_array_that_cannot_be_written_to_is_an_error(
    make: Callable[[Any], Any], message: str
) -> None:
    image = np.zeros((9, 9, 3), np.uint8)
    with pytest.raises(ImageError, match=message):
        Denoiser(build("denoiser", "unet", 2, 2))(image, out=make(image))


def forgetful(denoiser: Denoiser, pixels: int) -> list[int]:
    """Make a network that runs out of memory beyond so many pixels; what it was given."""
    given = []

    def refuse(_: object, inputs: tuple[Tensor, ...]) -> None:
        given.append(inputs[0][:, 0].numel())
        if given[-1] > pixels:
            torch.empty(2**60, dtype=torch.uint8)

    denoiser.network.register_forward_pre_hook(refuse)
    return given


@pytest.mark.parametrize("settings", [{}, {"tile": 60}])
def test_lack_of_memory_halves_the_budget(settings: dict[str, int]) -> None:
    model = network("denoiser", "unet", 2)
    noisy = torch.rand(3, 101, 83)
    whole = Denoiser(model)(noisy)
    denoiser = Denoiser(model, **settings)  # type: ignore[arg-type]
    given = forgetful(denoiser, 3000)
    torch.testing.assert_close(denoiser(noisy), whole, rtol=0, atol=1e-6)
    refused = [pixels for pixels in given if pixels > 3000]
    assert refused
    assert all(after <= before / 2 for before, after in pairwise(refused))
    assert min(given) > 1000


def test_it_gives_up_only_at_the_smallest_tile() -> None:
    denoiser = Denoiser(network("denoiser", "unet", 2))
    given = forgetful(denoiser, 0)
    with pytest.raises(DanetError, match="the smallest tile, 36 x 36 pixels with its halo, takes"):
        denoiser(torch.rand(3, 101, 83))
    assert given[-1] == 36 * 36


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    denoiser = Denoiser(network("denoiser", "unet", 2))

    def fail(*_: object) -> None:
        raise RuntimeError("no kernel image")

    denoiser.network.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="no kernel image"):
        denoiser(torch.rand(3, 16, 16))


def test_too_small_a_budget_is_an_error() -> None:
    denoiser = Denoiser(network("denoiser", "unet", 2), max_memory=10_000)
    with pytest.raises(DanetError, match="the smallest tile, 36 x 36 pixels"):
        denoiser(torch.rand(3, 101, 83))
    denoiser.engine.settings.border = 0
    assert denoiser(torch.rand(3, 2, 2)).shape == (3, 2, 2)


@pytest.mark.parametrize("backbone", ["ridnet", "nafnet"])
def test_a_network_that_sees_everything_is_not_tiled_unless_asked_for(backbone: str) -> None:
    model = network("denoiser", backbone, 2)
    noisy = 0.4 + 0.2 * torch.rand(3, 50, 61)
    denoiser = Denoiser(model, tile=32, border=0)
    shapes = calls(denoiser)
    whole = denoiser(noisy)
    assert len(shapes) == 1
    denoiser.engine.settings.halo = 4
    assert denoiser(noisy).shape == whole.shape
    assert shapes[1:] == [(4, 3, 40, 40)]
    denoiser.engine.settings = EngineSettings(halo=None, tile=None, max_memory=10_000)
    with pytest.raises(DanetError, match="do not give its exact result; with halo=64"):
        denoiser(noisy)


def test_a_smaller_halo_is_nearly_exact_and_a_larger_one_no_better() -> None:
    model = network("denoiser", "dncnn", 6)
    noisy = torch.rand(3, 101, 83)
    whole = Denoiser(model)(noisy)
    errors = [float((Denoiser(model, tile=16, halo=h)(noisy) - whole).abs().max()) for h in (0, 3)]
    assert errors[0] > errors[1] > 1e-6
    many = Denoiser(model, tile=24, halo=1000)
    shapes = calls(many)
    torch.testing.assert_close(many(noisy), whole, rtol=0, atol=1e-6)
    assert max(shape[-1] for shape in shapes) == 24 + 2 * 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tile": 1}, "tile is 1, and must be at least 2"),
        ({"halo": -1}, "halo is -1"),
        ({"max_memory": 0}, "max_memory is 0"),
        ({"tile": 64.5}, "tile is 64.5, and must be a whole number of pixels"),
        ({"halo": 16.5}, "halo is 16.5, and must be a whole number of pixels"),
        ({"max_memory": "2G"}, "max_memory is '2G', and must be a whole number of bytes"),
    ],
)
def test_useless_settings_are_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Denoiser(build("denoiser", "unet", 2, 2), **settings)


def test_settings_may_be_integers_of_numpy() -> None:
    model = network("denoiser", "unet", 2)
    noisy = torch.rand(3, 61, 83)
    settings: dict[str, Any] = {"tile": 16, "halo": 4, "max_memory": 2**24}
    of_numpy = {name: np.int64(value) for name, value in settings.items()}
    assert torch.equal(Denoiser(model, **of_numpy)(noisy), Denoiser(model, **settings)(noisy))


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_share_of_the_free_memory_is_the_default(
    monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    model = network("denoiser", "unet", 2)
    free = int(jobs * 2 * 4000 * Denoiser(model).engine.bytes_per_pixel)
    monkeypatch.setattr(engine_module, "free_memory", lambda _: free)
    denoiser = Denoiser(model)
    denoiser.engine.settings.jobs = jobs
    shapes = calls(denoiser)
    denoiser(torch.rand(3, 101, 83))
    assert len(shapes) > 1
    assert all(height * width <= 4000 for _, _, height, width in shapes)


def modules(denoiser: Denoiser | NoiseGenerator) -> list[Any]:
    """The networks that compute from here on: itself and its copies, one entry for each call."""
    used: list[Any] = []
    denoiser.network.register_forward_hook(lambda module, *_: used.append(module))
    return used


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("settings", [{}, {"tile": 17}, {"max_memory": 4_000_000}])
@pytest.mark.parametrize(("backbone", "depth"), LOCAL)
def test_several_devices_give_what_one_gives(
    backbone: str, depth: int, size: tuple[int, int], settings: dict[str, int]
) -> None:
    model = network("denoiser", backbone, depth)
    noisy = torch.rand(3, 3, *size)
    whole = Denoiser(model)(noisy)
    for count in (2, 3):
        denoiser = Denoiser(model, devices=["cpu"] * count, **settings)  # type: ignore[arg-type]
        used = modules(denoiser)
        torch.testing.assert_close(denoiser(noisy), whole, rtol=0, atol=1e-6)
        assert len({id(module) for module in used}) == count
        torch.testing.assert_close(denoiser(noisy[0]), whole[0], rtol=0, atol=1e-6)


def test_a_picture_that_fits_is_cut_where_that_is_faster() -> None:
    denoiser = Denoiser(network("denoiser", "unet", 2), devices=TWO, border=0)  # of halo 12
    shapes, used = calls(denoiser), modules(denoiser)
    denoiser(torch.rand(3, 101, 83))
    assert [shape[2:] for shape in shapes] == [(64, 84)] * 2
    assert used[0] is not used[1]
    shapes.clear()
    denoiser(torch.rand(3, 24, 24))  # no smaller with its halo
    assert [shape[2:] for shape in shapes] == [(24, 24)]
    shapes.clear()
    denoiser(torch.rand(6, 3, 101, 83))
    assert shapes == [(3, 3, 102, 84)] * 2


@pytest.mark.parametrize("settings", [{}, {"tile": 8}, {"max_memory": 5_000_000}])
def test_a_seed_gives_the_same_noise_whatever_the_devices(settings: dict[str, int]) -> None:
    model = network("generator", "unet", 3)
    for clean in (torch.rand(3, 61, 83), torch.rand(2, 3, 61, 83)):
        one = NoiseGenerator(model).sample(clean, n=5, seed=7)
        generator = NoiseGenerator(model, devices=TWO, **settings)  # type: ignore[arg-type]
        used = modules(generator)
        torch.testing.assert_close(generator.sample(clean, 5, 7), one, rtol=0, atol=1e-6)
        assert len({id(module) for module in used}) == 2
        first = next(generator.stream(clean, 1, 7))
        torch.testing.assert_close(first, one[0], rtol=0, atol=1e-6)


def test_draws_and_the_pictures_of_map_are_shared_out() -> None:
    generator = NoiseGenerator(network("generator", "unet", 2), devices=TWO, border=0)
    shapes = calls(generator)
    generator.sample(torch.rand(3, 16, 16), n=50, seed=1)
    assert shapes == [(25, 3, 16, 16)] * 2
    model = network("denoiser", "ridnet", 1)  # whose pictures are not cut
    denoiser = Denoiser(model, devices=TWO)
    pictures = [torch.rand(3, 20, 9) for _ in range(7)] + [torch.rand(1, 8, 8)]
    alone = list(Denoiser(model).map(pictures))
    shapes = calls(denoiser)
    for result, expected in zip(denoiser.map(pictures), alone, strict=True):
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)
    assert sorted(shape[0] for shape in shapes) == [1, 3, 4]


def change_in_place(model: DenoiserNetwork) -> None:
    with torch.no_grad():
        model.backbone.get_parameter("last.weight").mul_(2)


def change_data(model: DenoiserNetwork) -> None:
    last = model.backbone.get_parameter("last.weight")
    last.data = 2 * last.data


def load(model: DenoiserNetwork) -> None:
    model.load_state_dict(network("denoiser", "unet", 2).state_dict())


def replace_layer(model: DenoiserNetwork) -> None:
    model.backbone.last = copy.deepcopy(model.backbone.last)
    change_in_place(model)


@pytest.mark.parametrize("change", [change_in_place, change_data, load, replace_layer])
def test_copies_follow_the_weights(change: Callable[[DenoiserNetwork], None]) -> None:
    model = network("denoiser", "unet", 2)
    denoiser = Denoiser(model, devices=TWO)
    used = modules(denoiser)
    noisy = torch.rand(4, 3, 16, 16)
    before = denoiser(noisy)
    assert torch.equal(denoiser(noisy), before)
    assert len({id(module) for module in used}) == 2
    change(model)
    after = denoiser(noisy)
    torch.testing.assert_close(after, Denoiser(model)(noisy), rtol=0, atol=1e-6)
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_several_devices_can_be_copied_and_left() -> None:
    denoiser = Denoiser(network("denoiser", "unet", 2), devices=TWO)
    noisy = torch.rand(3, 101, 83)
    expected = denoiser(noisy)
    for other in (pickle.loads(pickle.dumps(denoiser)), copy.deepcopy(denoiser)):
        torch.testing.assert_close(other(noisy), expected, rtol=0, atol=1e-6)
    used = modules(denoiser.to("cpu"))
    denoiser(noisy)
    assert used == [denoiser.network]


def test_the_gradient_is_the_networks_own() -> None:
    model = network("denoiser", "unet", 2)
    noisy = torch.rand(2, 3, 32, 32)
    gradients = []
    for devices in (None, TWO):
        model.zero_grad()
        picture = noisy.clone().requires_grad_()
        Denoiser(model, devices=devices)(picture).square().sum().backward()
        gradients.append((picture.grad, model.backbone.last.weight.grad.clone()))
    torch.testing.assert_close(gradients[1], gradients[0])


def test_short_types_are_those_of_every_device() -> None:
    model = network("denoiser", "unet", 2)
    noisy = torch.rand(2, 3, 32, 32)
    noisy[1] = noisy[0]
    exact = Denoiser(model)(noisy)
    short = Denoiser(model, dtype="bfloat16", devices=TWO)(noisy)
    torch.testing.assert_close(short[0], short[1], rtol=0, atol=1e-6)
    assert not torch.equal(short[0], exact[0])


def test_networks_on_one_device_share_its_memory() -> None:
    model = network("denoiser", "unet", 2)
    memory = 8000 * Denoiser(model).engine.bytes_per_pixel
    denoiser = Denoiser(model, max_memory=int(memory), devices=TWO)
    shapes = calls(denoiser)
    denoiser(torch.rand(5, 3, 40, 61))
    assert len(shapes) > 2
    assert all(n * height * width <= 4000 for n, _, height, width in shapes)


@pytest.mark.parametrize("pictures", [1, 6])
def test_lack_of_memory_on_one_device_halves_for_all(pictures: int) -> None:
    model = network("denoiser", "unet", 2)
    noisy = torch.rand(pictures, 3, 101, 83)
    whole = Denoiser(model)(noisy)
    denoiser = Denoiser(model, devices=TWO)
    given: list[int] = []

    def refuse(module: object, inputs: tuple[Tensor, ...]) -> None:
        if module is not model:
            given.append(inputs[0][:, 0].numel())
            if given[-1] > 3000:
                torch.empty(2**60, dtype=torch.uint8)

    model.register_forward_pre_hook(refuse)
    torch.testing.assert_close(denoiser(noisy), whole, rtol=0, atol=1e-6)
    assert max(given) > 3000 >= min(given)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "cpu", "devices": TWO}, "device is 'cpu', and devices are given too"),
        ({"devices": []}, "devices is empty"),
        ({"devices": "cpu,abacus"}, "'abacus' cannot be used here"),
        ({"devices": TWO, "compile": True}, "several devices are for PyTorch without compile"),
    ],
)
def test_devices_that_cannot_be_are_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Denoiser(build("denoiser", "unet", 2, 2), **settings)


@pytest.mark.gpu
def test_a_gpu_shares_the_work_with_another_device() -> None:
    model = build("denoiser", "unet", 16, 3)
    noisy = torch.rand(4, 3, 301, 283)
    alone = Denoiser(model, dtype="float32")(noisy)
    other = "cuda:1" if torch.cuda.device_count() > 1 else "cpu"
    for devices in (["cuda:0", other], ["cuda:0", "cuda:0"], [other, "cuda:0"]):
        denoiser = Denoiser(copy.deepcopy(model), dtype="float32", devices=devices)
        for picture in (noisy, noisy.cuda()):
            for single in (picture, picture[0]):
                result = denoiser(single)
                assert result.device == single.device
                expected = alone if single.ndim == 4 else alone[0]
                # GPUs may round the factors of convolutions.
                torch.testing.assert_close(result.cpu(), expected, rtol=0, atol=1e-3)
    give_back()


@pytest.mark.parametrize("border", [0, 5, 16, 40])
@pytest.mark.parametrize("size", [(1, 1), (3, 50), (61, 83)])
def test_the_border_is_a_mirrored_picture_around_it(border: int, size: tuple[int, int]) -> None:
    model = network("denoiser", "unet", 3)
    noisy = torch.rand(1, 3, *size)
    missing = margins(size, 4, border + -border % 4)
    with torch.no_grad():
        expected = crop(model(pad(noisy, missing)), missing).clamp(0, 1)
    for settings in ({}, {"tile": 8}):
        found = Denoiser(model, border=border, **settings)(noisy)  # type: ignore[arg-type]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    if border == 16:
        assert torch.equal(Denoiser(model)(noisy), Denoiser(model, border=border)(noisy))


@pytest.mark.parametrize("border", [-1, 1.5])
def test_a_border_of_no_use_is_refused(border: Any) -> None:
    with pytest.raises(ConfigError, match="border is"):
        Denoiser(network("denoiser", "unet", 2), border=border)
