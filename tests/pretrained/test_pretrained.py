from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from danet.errors import ConfigError, ImageError, WeightsError
from danet.images import read_pixels
from danet.networks import BACKBONES, build
from danet.noise import processing
from danet.pretrained import Denoiser, NoiseGenerator

Golden = Callable[[str], dict[str, Tensor]]


@pytest.fixture
def denoiser(tiny_weights: Path) -> Denoiser:
    return Denoiser.from_pretrained(tiny_weights, device="cpu")


@pytest.fixture
def generator(tiny_weights: Path) -> NoiseGenerator:
    return NoiseGenerator.from_pretrained(tiny_weights, device="cpu")


def picture(height: int = 37, width: int = 50) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


# Of its own, so that the pictures do not depend on what else is imported.
SOURCE = torch.Generator().manual_seed(0)
PICTURES = [
    picture(),
    picture()[..., 0],
    picture()[..., :1],
    picture().astype(np.uint16) * 257,
    picture().astype(np.float64) / 255,
    Image.fromarray(picture()),
    Image.fromarray(picture()).convert("LA"),
    torch.rand(3, 37, 50, generator=SOURCE),
    torch.rand(2, 4, 37, 50, generator=SOURCE).double(),
    torch.full((1, 1, 1), 0.5),
]


def describe(image: Any) -> tuple[Any, ...]:
    if isinstance(image, Image.Image):
        return Image.Image, image.mode, image.size
    return type(image), image.dtype, image.shape


def same(first: Any, second: Any) -> bool:
    return bool(np.array_equal(np.asarray(first), np.asarray(second)))


def test_denoiser_is_that_of_the_authors(golden_folder: Path, golden: Golden) -> None:
    denoiser = Denoiser(golden_folder / "joint_checkpoint.pt", device="cpu", border=0)
    values = golden("inference")
    for noisy, denoised in [("noisy", "denoised"), ("noisy_odd", "denoised_odd")]:
        expected = values[denoised].clamp(0, 1)
        torch.testing.assert_close(denoiser(values[noisy]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("image", PICTURES)
def test_denoiser_gives_back_the_kind_it_takes(denoiser: Denoiser, image: Any) -> None:
    kept = image.clone() if isinstance(image, Tensor) else image.copy()
    result = denoiser(image)
    assert describe(result) == describe(image)
    assert not same(result, image)
    assert same(image, kept)


@pytest.mark.parametrize("image", PICTURES)
def test_strength_scales_what_is_taken(denoiser: Denoiser, image: Any) -> None:
    residual = denoiser(image, residual=True)
    assert isinstance(residual, Tensor if isinstance(image, Tensor) else np.ndarray)
    twice = denoiser(image, strength=2, residual=True)
    np.testing.assert_allclose(np.asarray(twice), 2 * np.asarray(residual), atol=1e-6)
    unchanged = np.asarray(denoiser(image, strength=0)).astype(float)
    np.testing.assert_allclose(unchanged, np.asarray(image).astype(float), atol=1e-7)
    assert same(denoiser(image, strength=1), denoiser(image))
    assert describe(denoiser(image, strength=1.5)) == describe(image)


def test_the_residual_is_what_is_missing_from_the_result(denoiser: Denoiser) -> None:
    image = torch.rand(3, 37, 50)
    residual = denoiser(image, residual=True)
    assert residual.abs().max() > 0.01
    torch.testing.assert_close((image - residual).clamp(0, 1), denoiser(image))
    alpha = torch.rand(4, 37, 50)
    assert denoiser(alpha, residual=True).shape == (3, 37, 50)


@pytest.mark.parametrize(
    "options", [{"strength": 0.5}, {"residual": True}, {"self_ensemble": True}]
)
def test_options_are_computed_in_tiles_too(denoiser: Denoiser, options: dict[str, Any]) -> None:
    image = picture(45, 301)
    whole = np.asarray(denoiser(image, **options)).astype(float)
    sides: list[int] = []
    denoiser.network.register_forward_hook(
        lambda _, inputs, __: sides.append(max(inputs[0].shape[2:]))
    )
    denoiser.engine.settings.tile = 32
    tiled = np.asarray(denoiser(image, **options)).astype(float)
    assert max(sides) < 301
    np.testing.assert_allclose(tiled, whole, atol=1e-6 if "residual" in options else 1)
    exact = torch.rand(3, 45, 301)
    tiled = np.asarray(denoiser(exact, **options))
    denoiser.engine.settings.tile = None
    np.testing.assert_allclose(tiled, np.asarray(denoiser(exact, **options)), atol=1e-6)


def test_the_residuals_of_several_pictures_are_computed_in_groups(denoiser: Denoiser) -> None:
    pictures = torch.rand(3, 4, 48, 64)
    expected = torch.stack([denoiser(picture, residual=True) for picture in pictures])
    batches: list[int] = []
    denoiser.network.register_forward_hook(lambda _, inputs, __: batches.append(len(inputs[0])))
    pixels = 80 * 96 * denoiser.engine.bytes_per_pixel
    denoiser.engine.settings.max_memory = round(1.5 * pixels)
    result = denoiser(pictures, residual=True)
    assert batches == [1, 1, 1]
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("tile", [None, 32])
@pytest.mark.parametrize(
    "options", [{"strength": 0.5}, {"residual": True}, {"self_ensemble": True}]
)
def test_options_write_to_out(
    denoiser: Denoiser, options: dict[str, Any], tile: int | None
) -> None:
    image = np.random.default_rng(0).integers(0, 65536, (45, 301, 4)).astype(np.uint16)
    denoiser.engine.settings.tile = tile
    expected = denoiser(image, **options)
    out = np.zeros_like(expected)
    assert denoiser(image, out=out, **options) is out
    np.testing.assert_array_equal(out, expected)
    with pytest.raises(ImageError, match=rf"must be {expected.dtype} of shape \(45, 301, \d\)"):
        denoiser(image, out=np.zeros((45, 301, 2)), **options)


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf")])
def test_bad_strength(denoiser: Denoiser, strength: float) -> None:
    for call in (denoiser.__call__, lambda image, **more: denoiser.map([image], **more)):
        with pytest.raises(ConfigError, match=f"strength is {strength}"):
            call(picture(), strength=strength)


def test_self_ensemble_follows_the_flips_of_the_picture(denoiser: Denoiser) -> None:
    image = torch.rand(1, 3, 48, 64)  # of these sides, nothing is padded
    result = denoiser(image, self_ensemble=True)
    torch.testing.assert_close(denoiser(image.flip(3), self_ensemble=True), result.flip(3))
    assert not torch.allclose(denoiser(image.flip(3)), denoiser(image).flip(3))


def test_uncertainty_is_the_spread_of_the_eight_results(denoiser: Denoiser) -> None:
    image = torch.rand(3, 48, 64)
    results = [
        torch.rot90(denoiser(torch.rot90(view, turns, (1, 2))), -turns, (1, 2))
        for view in (image, image.flip(2))
        for turns in range(4)
    ]
    results[4:] = [result.flip(2) for result in results[4:]]
    expected = torch.stack(results).std(dim=0)
    uncertainty = denoiser.uncertainty(image)
    torch.testing.assert_close(uncertainty, expected, rtol=1e-3, atol=1e-6)
    denoiser.engine.settings.tile = 16
    torch.testing.assert_close(denoiser.uncertainty(image), uncertainty, rtol=1e-3, atol=1e-6)
    assert np.asarray(denoiser.uncertainty(picture())).shape == (37, 50, 3)


def test_map_gives_what_single_calls_give(denoiser: Denoiser) -> None:
    pictures: list[Any] = [*PICTURES, *reversed(PICTURES)]
    results = list(denoiser.map(iter(pictures), strength=0.5, batch_size=3))
    assert len(results) == len(pictures)
    for result, image in zip(results, pictures, strict=True):
        assert describe(result) == describe(image)
        single = np.asarray(denoiser(image, strength=0.5)).astype(float)
        top = 1 if np.asarray(image).dtype.kind == "f" else np.iinfo(np.asarray(image).dtype).max
        # A value that lies between two integers may be rounded to either.
        np.testing.assert_allclose(
            np.asarray(result).astype(float), single, atol=1e-5 if top == 1 else 1
        )


def test_map_computes_pictures_of_one_size_together_and_takes_few_ahead(
    denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("danet.inference.batching._WINDOW_PIXELS", 6 * 20 * 30)
    batches = []
    denoiser.network.register_forward_hook(
        lambda _, inputs, __: batches.append(tuple(inputs[0].shape))
    )
    taken: list[int] = []

    def endless() -> Any:
        while True:
            taken.append(len(taken))
            yield torch.rand(3, *((20, 30) if len(taken) % 2 else (30, 20)))

    results = denoiser.map(endless(), batch_size=2)
    assert taken == []
    assert [next(results).shape[1] for _ in range(6)] == [20, 30] * 3
    assert taken == list(range(6))
    assert sorted(shape[0] for shape in batches) == [1, 1, 2, 2]


def test_map_names_the_picture_and_shows_progress(
    denoiser: Denoiser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ImageError, match="picture 1: the picture holds nan"):
        list(denoiser.map([picture(), np.full((3, 4), np.nan)]))
    with pytest.raises(ConfigError, match="batch_size is 0"):
        denoiser.map([], batch_size=0)
    assert list(denoiser.map([])) == []
    assert capsys.readouterr().err == ""
    assert len(list(denoiser.map([picture()], progress=True))) == 1
    assert "1/1" in capsys.readouterr().err


@pytest.mark.parametrize("image", PICTURES)
def test_generator_gives_back_the_kind_it_takes(generator: NoiseGenerator, image: Any) -> None:
    kept = image.clone() if isinstance(image, Tensor) else image.copy()
    result = generator.sample(image, n=2, seed=1)
    assert len(result) == 2
    assert isinstance(result, list) == isinstance(image, Image.Image)
    for version in result:
        assert describe(version) == describe(image)
    assert not same(result[0], result[1])
    assert same(image, kept)


def test_tiles_give_the_whole_picture(tiny_weights: Path) -> None:
    noisy = torch.rand(1, 3, 61, 331)
    tiled = Denoiser(tiny_weights, device="cpu", tile=48)(noisy)
    whole = Denoiser(tiny_weights, device="cpu", tile=None)(noisy)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-6)


# Between the halos of 112 pixels at both ends, 32 pixels each.
@pytest.mark.parametrize(("size", "tiles"), [((240, 240), 1), ((16, 640), 13), ((513, 32), 10)])
def test_pictures_larger_than_the_tile_are_tiled(
    denoiser: Denoiser, size: tuple[int, int], tiles: int
) -> None:
    done: list[int] = []
    denoiser.network.register_forward_hook(lambda _, inputs, __: done.append(len(inputs[0])))
    denoiser.engine.settings.tile, denoiser.engine.settings.border = 32, 0
    denoiser(torch.rand(3, *size))
    assert sum(done) == tiles


def test_same_seed_gives_the_same_noise(tiny_weights: Path) -> None:
    clean = torch.rand(2, 3, 61, 331)
    whole = NoiseGenerator(tiny_weights, device="cpu")
    tiled = NoiseGenerator(tiny_weights, device="cpu", tile=48)
    two = whole.sample(clean, n=2, seed=7)
    torch.testing.assert_close(tiled.sample(clean, n=2, seed=7), two, rtol=0, atol=1e-6)
    assert torch.equal(whole.sample(clean, n=3, seed=7)[:2], two)
    alone = whole.sample(clean[:1], n=1, seed=7)
    torch.testing.assert_close(alone[0, 0], two[0, 0], rtol=0, atol=1e-6)
    for version, expected in zip(whole.stream(clean, n=2, seed=7), two, strict=True):
        assert torch.equal(version, expected)
    assert not torch.equal(whole.sample(clean, n=2, seed=8), two)


def test_pictures_of_a_batch_have_noise_of_their_own(generator: NoiseGenerator) -> None:
    first, second = generator.sample(torch.full((2, 3, 32, 32), 0.5), n=1, seed=1)[0]
    assert not torch.equal(first, second)


def test_no_seed_draws_a_new_one(generator: NoiseGenerator) -> None:
    clean = torch.full((3, 32, 32), 0.5)
    state = torch.get_rng_state()
    assert not torch.equal(generator.sample(clean, n=1), generator.sample(clean, n=1))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("n", "seed"), [(0, 1), (-1, None), (1, -1)])
def test_bad_number_or_seed_is_an_error_at_once(
    generator: NoiseGenerator, n: int, seed: int | None
) -> None:
    with pytest.raises(ConfigError, match=r"n is|seed is"):
        generator.stream(picture(), n, seed)


def test_bad_picture_is_an_error_at_once(denoiser: Denoiser, generator: NoiseGenerator) -> None:
    with pytest.raises(ImageError):
        denoiser(picture() * 1.0)
    with pytest.raises(ImageError):
        generator.stream(picture() * 1.0)


def test_gradient_reaches_the_picture_and_ignores_the_tile(tiny_weights: Path) -> None:
    denoiser = Denoiser(tiny_weights, device="cpu", tile=16)
    noisy = torch.rand(3, 40, 40, requires_grad=True)
    (gradient,) = torch.autograd.grad(denoiser(noisy).sum(), noisy)
    assert gradient.abs().sum() > 0
    with torch.no_grad():
        assert not denoiser(noisy).requires_grad


def test_result_can_be_used_in_training(denoiser: Denoiser) -> None:
    result = denoiser(torch.rand(1, 3, 32, 32))
    assert not result.requires_grad
    assert not result.is_inference()
    denoiser.network(result).sum().backward()
    assert all(parameter.grad is not None for parameter in denoiser.network.parameters())


def test_network_is_taken_as_it_is() -> None:
    network = build("denoiser", "unet", width=2, depth=3)
    denoiser = Denoiser(network)
    assert denoiser.network is network
    denoiser(picture())
    assert network.training


@pytest.mark.parametrize("backbone", sorted(BACKBONES.keys() - {"modulated"}))
def test_a_denoiser_of_any_backbone_takes_odd_sizes(backbone: str) -> None:
    noisy = picture(13, 22)
    denoised = Denoiser(build("denoiser", backbone, 2, 2))(noisy)
    assert denoised.shape == noisy.shape
    assert not same(denoised, noisy)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_generator_of_any_backbone_takes_odd_sizes(backbone: str) -> None:
    clean = picture(13, 22)
    generated = NoiseGenerator(build("generator", backbone, 2, 2)).sample(clean, n=2, seed=1)
    assert generated.shape == (2, *clean.shape)
    assert not same(generated[0], generated[1])


def test_a_latent_of_several_channels_is_the_same_in_tiles() -> None:
    torch.manual_seed(0)
    network = build("generator", "modulated", 2, 2, latent_channels=3)
    clean = picture(150, 131)
    whole = NoiseGenerator(network).sample(clean, n=2, seed=1)
    tiled = NoiseGenerator(network, tile=64).sample(clean, n=2, seed=1)
    assert same(whole, tiled)


@pytest.mark.parametrize(
    ("cls", "network"),
    [
        (Denoiser, build("denoiser", "unet", 2, 3)),
        (NoiseGenerator, build("generator", "unet", 2, 3)),
        (Denoiser, build("denoiser", "dncnn", 2, 3)),
        (NoiseGenerator, build("generator", "nafnet", 2, 2)),
        (NoiseGenerator, build("generator", "modulated", 2, 2, latent_channels=3)),
    ],
)
def test_saved_networks_load_bit_for_bit(
    tmp_path: Path, cls: type[Denoiser] | type[NoiseGenerator], network: Any
) -> None:
    cls(network).save_pretrained(tmp_path)
    loaded = cls.from_pretrained(tmp_path, device="cpu").network.state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(loaded[name], value)
    assert f"{cls.__name__}.from_pretrained" in (tmp_path / "README.md").read_text()
    cls(network).save_pretrained(tmp_path, "# My card")
    assert (tmp_path / "README.md").read_text() == "# My card\n"


def test_to_returns_the_object(denoiser: Denoiser) -> None:
    assert denoiser.to("cpu") is denoiser
    assert denoiser.device == torch.device("cpu")


@pytest.mark.gpu
def test_pictures_and_network_may_be_on_different_devices(tiny_weights: Path) -> None:
    on_gpu, on_cpu = (Denoiser(tiny_weights, device=device) for device in ("cuda", "cpu"))
    noisy = torch.rand(3, 61, 331)
    expected = on_cpu(noisy)
    assert on_gpu(noisy).device == noisy.device
    for result in (on_gpu(noisy), on_gpu(noisy.cuda()), on_cpu(noisy.cuda())):
        torch.testing.assert_close(result.cpu(), expected, rtol=0, atol=1e-3)
    assert on_cpu(noisy.cuda()).is_cuda


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta"])
def test_unknown_device_is_an_error(tiny_weights: Path, device: str) -> None:
    with pytest.raises(ConfigError, match=f"device '{device}' cannot be used here"):
        Denoiser(tiny_weights, device=device)


@pytest.mark.parametrize(
    ("cls", "network", "right"),
    [
        (Denoiser, build("generator", "unet", 2, 3), "DenoiserNetwork"),
        (NoiseGenerator, build("denoiser", "unet", 2, 3), "GeneratorNetwork"),
        (Denoiser, BACKBONES["unet"](3, 3, 2, 3), "DenoiserNetwork"),
    ],
)
def test_network_of_another_class_is_an_error(cls: Any, network: Any, right: str) -> None:
    with pytest.raises(WeightsError, match=rf"is a {type(network).__name__}, .*\.{right}"):
        cls(network)


def test_small_tile_is_an_error(tiny_weights: Path) -> None:
    with pytest.raises(ConfigError, match="tile is 15, and must be at least 16"):
        Denoiser(tiny_weights, tile=15)


def test_unknown_name_is_an_error() -> None:
    with pytest.raises(WeightsError, match="no weights called 'phto'"):
        Denoiser("phto")


def test_luma_and_chroma_are_taken_apart(denoiser: Denoiser) -> None:
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    image = torch.rand(3, 45, 70)
    noise = denoiser(image, residual=True)
    luma = (weights * noise).sum(dim=0, keepdim=True).expand(3, -1, -1)
    for strength, expected in (
        ((1.0, 0.0), luma),
        ((0.0, 1.0), noise - luma),
        ((0.5, 2.0), 2 * noise - 1.5 * luma),
        ((0.7, 0.7), 0.7 * noise),
    ):
        taken = denoiser(image, residual=True, strength=strength)
        torch.testing.assert_close(taken, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (2, 90), (97, 131)])
@pytest.mark.parametrize("options", [{}, {"strength": (0.5, 1.0), "self_ensemble": True}])
def test_grain_is_fine_and_colourless(
    denoiser: Denoiser, size: tuple[int, int], options: dict[str, Any]
) -> None:
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    plain, rest = (denoiser(image, residual=True, grain=g, **options) for g in (0.0, 0.4))
    grain = plain - rest
    torch.testing.assert_close(grain, grain[:1].expand(3, -1, -1), rtol=0, atol=1e-6)
    luma = (weights * plain).sum(dim=0).numpy()
    row = np.array([1, 3.5, 7, 9, 7, 3.5, 1]) / 32
    smooth = luma
    if min(size) > 3:  # else a mirrored picture is mirrored again
        for axis in (0, 1):
            smooth = ndimage.correlate1d(smooth, row, axis=axis, mode="mirror")
        np.testing.assert_allclose(grain[0], 0.4 * (luma - smooth), atol=1e-6)
    denoiser.engine.settings.tile = 16
    tiled = denoiser(image, residual=True, grain=0.4, **options)
    torch.testing.assert_close(tiled, rest, rtol=0, atol=1e-6)
    result = denoiser(image, grain=0.4, **options)
    torch.testing.assert_close(result, (image - rest).clamp(0, 1), rtol=0, atol=1e-6)
    (mapped,) = denoiser.map([image], grain=0.4, **options)
    torch.testing.assert_close(mapped, result, rtol=0, atol=1e-6)


def test_no_grain_is_given_back_where_a_mask_takes_nothing(denoiser: Denoiser) -> None:
    image = torch.rand(3, 45, 70)
    mask = np.zeros((45, 70))
    mask[:, :30] = 0.7
    result = denoiser(image, strength=mask, grain=0.5, residual=True)
    assert not result[..., 30:].any()
    even = denoiser(image, strength=0.7, grain=0.5, residual=True)
    torch.testing.assert_close(result[..., :30], even[..., :30], rtol=0, atol=1e-6)


@pytest.mark.parametrize("grain", [-0.1, 1.1, float("nan")])
def test_bad_grain(denoiser: Denoiser, grain: float) -> None:
    with pytest.raises(ConfigError, match="grain is"):
        denoiser(picture(), grain=grain)
    with pytest.raises(ConfigError, match="grain is"):
        denoiser.map([], grain=grain)


@pytest.mark.parametrize("tile", [None, 16])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_exposure_is_given_back(denoiser: Denoiser, tile: int | None, dtype: Any) -> None:
    image = np.random.default_rng(0).normal(3, 2, (45, 301, 3)).astype(dtype)
    denoiser.engine.settings.tile = tile
    np.testing.assert_array_equal(denoiser(image, white=5.0, strength=0), image)
    result = denoiser(image, white=5.0, grain=0.3)
    assert result.dtype == dtype
    inside = (image.astype(np.float64) / 5).clip(0, 1)
    expected = image + 5 * (denoiser(inside, grain=0.3) - inside)
    np.testing.assert_allclose(
        result, expected, rtol=1e-3 if dtype == np.float16 else 1e-5, atol=1e-5
    )
    out = np.empty_like(image)
    assert denoiser(image, white=5.0, grain=0.3, out=out) is out
    np.testing.assert_array_equal(out, result)
    found = denoiser.find_noise(image, white=5.0)
    assert found == pytest.approx(denoiser.find_noise(inside), rel=1e-3)


def test_linear_light_is_denoised_as_it_is_shown(denoiser: Denoiser, tmp_path: Path) -> None:
    shown = np.random.default_rng(0).random((45, 70, 3), np.float32)
    linear = processing.to_linear(shown)
    result = denoiser(linear, linear=True, strength=0.5)
    expected = processing.to_linear(denoiser(shown, strength=0.5))
    np.testing.assert_allclose(result, expected, atol=1e-5)
    np.save(tmp_path / "linear.npy", 7 * linear)
    target = tmp_path / "clean.npy"
    denoiser.denoise_file(tmp_path / "linear.npy", target, strength=0.5, white=7, linear=True)
    np.testing.assert_allclose(np.load(target), 7 * expected, atol=1e-4)


@pytest.mark.parametrize("tile", [None, 16])
@pytest.mark.parametrize("self_ensemble", [False, True])
def test_a_mask_says_how_much_is_taken_where(
    denoiser: Denoiser, tile: int | None, self_ensemble: bool
) -> None:
    generator = np.random.default_rng(0)
    image = torch.from_numpy(generator.random((3, 45, 301), np.float32))
    mask = generator.random((45, 301, 2), np.float32) * 2
    options: dict[str, Any] = {"residual": True, "self_ensemble": self_ensemble}
    luma, chroma = (denoiser(image, strength=one, **options) for one in ((1, 0), (0, 1)))
    denoiser.engine.settings.tile = tile
    taken = denoiser(image, strength=mask, **options)
    first, second = (torch.from_numpy(mask[..., part]) for part in (0, 1))
    torch.testing.assert_close(taken, first * luma + second * chroma, rtol=0, atol=1e-6)


def test_a_mask_may_be_a_picture_and_is_for_every_picture_of_a_batch(denoiser: Denoiser) -> None:
    batch = torch.rand(2, 3, 37, 50)
    mask = np.zeros((37, 50), np.uint8)
    mask[:, :25] = 255
    for kind in (mask, Image.fromarray(mask), mask / 255):
        result = denoiser(batch, strength=kind)
        assert torch.equal(result[..., 25:], batch[..., 25:])
        whole = denoiser(batch)
        torch.testing.assert_close(result[..., :25], whole[..., :25], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("strength", "message"),
    [
        (np.zeros((37, 51)), "the mask has 51 x 37 pixels, and the picture 50 x 37"),
        (np.zeros((37, 50, 3)), r"this one \(37, 50, 3\)"),
        (np.zeros(37), r"H x W or H x W x 2, and this one \(37, 1\)"),
        (np.full((37, 50), -1.0), "at least 0"),
        (np.full((37, 50), np.nan), "at least 0"),
        (np.zeros((37, 50, 3), np.uint8), "it has colours"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(
    denoiser: Denoiser, strength: Any, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        denoiser(picture(), strength=strength)


@pytest.mark.parametrize(
    "strength", [(1.0,), (1.0, 1.0, 1.0), (1.0, -1.0), [1.0, 0.5], (None, 1.0), None]
)
def test_bad_strengths_of_luma_and_chroma(denoiser: Denoiser, strength: Any) -> None:
    with pytest.raises(ConfigError, match="strength is"):
        denoiser(picture(), strength=strength)


@pytest.mark.parametrize("options", [{"strength": 0.5}, {"self_ensemble": True}])
@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_a_file_becomes_what_its_pixels_become(
    denoiser: Denoiser, tmp_path: Path, suffix: str, options: dict[str, Any]
) -> None:
    source, target = tmp_path / f"noisy{suffix}", tmp_path / "new" / f"clean{suffix}"
    exif = Image.Exif()
    exif[0x010F] = "maker"
    if suffix == ".npy":
        np.save(source, picture())
    else:
        Image.fromarray(picture()).save(source, exif=exif, dpi=(300, 300))
    denoiser.denoise_file(source, target, **options)
    np.testing.assert_array_equal(read_pixels(target), denoiser(picture(), **options))
    if suffix == ".png":
        with Image.open(target) as image:
            assert image.getexif()[0x010F] == "maker"
    denoiser.denoise_file(source, source, **options)  # onto itself
    np.testing.assert_array_equal(read_pixels(source), read_pixels(target))


def test_an_exr_file_is_linear_with_white_at_1(denoiser: Denoiser, tmp_path: Path) -> None:
    exr = pytest.importorskip("OpenEXR")
    pixels = np.random.default_rng(0).random((37, 50, 3), np.float32) * 2
    with exr.File({"type": exr.scanlineimage}, {"RGB": pixels.copy()}) as file:
        file.write(str(tmp_path / "a.exr"))
    target = tmp_path / "b.exr"
    denoiser.denoise_file(tmp_path / "a.exr", target)
    expected = denoiser(pixels, white=1.0, linear=True)
    np.testing.assert_allclose(read_pixels(target), expected, atol=1e-6)
    denoiser.denoise_file(tmp_path / "a.exr", target, white=2.0, linear=False, strength="auto")
    expected = denoiser(pixels, white=2.0, strength="auto")
    np.testing.assert_allclose(read_pixels(target), expected, atol=1e-6)


def test_a_residual_file_is_around_grey_or_has_its_sign(denoiser: Denoiser, tmp_path: Path) -> None:
    source = tmp_path / "noisy.png"
    Image.fromarray(picture()).save(source)
    noise = denoiser(picture(), residual=True)
    denoiser.denoise_file(source, tmp_path / "noise.npy", residual=True)
    np.testing.assert_array_equal(np.load(tmp_path / "noise.npy"), noise)
    denoiser.denoise_file(source, tmp_path / "noise.png", residual=True)
    grey = np.rint((noise + 0.5).clip(0, 1) * 255)
    np.testing.assert_array_equal(read_pixels(tmp_path / "noise.png"), grey)


def test_a_file_that_fails_leaves_the_target(denoiser: Denoiser, tmp_path: Path) -> None:
    (tmp_path / "noisy.png").write_bytes(b"none")
    (tmp_path / "clean.png").write_bytes(b"before")
    with pytest.raises(ImageError, match=r"noisy\.png"):
        denoiser.denoise_file(tmp_path / "noisy.png", tmp_path / "clean.png")
    assert (tmp_path / "clean.png").read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 2
