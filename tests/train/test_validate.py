from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from danet import metrics
from danet.errors import ConfigError, DataError, ImageError
from danet.networks import DenoiserNetwork, GeneratorNetwork, build
from danet.pretrained import Denoiser, NoiseGenerator
from danet.train.validate import Validation, unit_level

Pictures = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@pytest.fixture
def pairs() -> list[Pictures]:
    rng = np.random.default_rng(0)
    clean = [rng.integers(60, 190, (37, 48, 3), dtype=np.uint8) for _ in range(5)]
    return [(x, x + rng.integers(0, 12, x.shape, dtype=np.uint8)) for x in clean]


@pytest.fixture
def networks() -> tuple[DenoiserNetwork, GeneratorNetwork]:
    return build("denoiser", "unet", width=2, depth=3), build("generator", "unet", width=2, depth=3)


def test_the_numbers_are_those_of_the_metrics(
    pairs: list[Pictures], networks: tuple[DenoiserNetwork, GeneratorNetwork]
) -> None:
    expected: dict[str, list[float]] = {}
    for seed, index in enumerate((0, 2, 4)):
        x, y = (torch.from_numpy(side[2:34, 8:40] / np.float32(255)) for side in pairs[index])
        clean, noisy = x.permute(2, 0, 1), y.permute(2, 0, 1)
        denoised = Denoiser(networks[0])(noisy)
        fakes = NoiseGenerator(networks[1]).sample(clean, n=2, seed=seed)
        for name, score in (
            ("psnr", metrics.psnr(clean, denoised)),
            ("ssim", metrics.ssim(clean, denoised)),
            ("noisy_psnr", metrics.psnr(clean, noisy)),
            ("noisy_ssim", metrics.ssim(clean, noisy)),
            ("akld", metrics.akld(clean, noisy, fakes)),
        ):
            expected.setdefault(f"validation/{name}", []).append(score)
    scores = Validation(pairs, crop=32, limit=3, fakes=2).measure(*networks)
    assert scores.keys() == expected.keys()
    for name, values in expected.items():
        assert len(set(values)) == 3
        assert scores[name] == pytest.approx(np.mean(values), rel=1e-5)


def test_each_network_has_its_own_numbers(
    pairs: list[Pictures], networks: tuple[DenoiserNetwork, GeneratorNetwork]
) -> None:
    validation = Validation(pairs, crop=32, limit=2, fakes=1)
    both = validation.measure(*networks)
    denoiser = validation.measure(networks[0], None)
    generator = validation.measure(None, networks[1])
    assert denoiser | generator == both
    assert set(both) - set(denoiser) == {"validation/akld"}
    assert set(both) - set(generator) == {"validation/psnr", "validation/ssim"}


def test_each_network_is_applied_by_pytorch_alone(
    pairs: list[Pictures],
    networks: tuple[DenoiserNetwork, GeneratorNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Denoiser | NoiseGenerator] = []

    def recorded(cls: Any) -> Any:
        def make(*weights: Any, **settings: Any) -> Any:
            made.append(cls(*weights, **settings))
            return made[-1]

        return make

    for cls in (Denoiser, NoiseGenerator):
        monkeypatch.setattr(f"danet.train.validate.{cls.__name__}", recorded(cls))
    validation = Validation(pairs, crop=32, limit=3, fakes=1)
    for use in (validation.measure, validation.grid):
        made.clear()
        use(*networks)
        assert [id(model.network) for model in made] == [id(network) for network in networks]
        assert {model.engine.runtime.name for model in made} == {"torch"}


def test_nothing_else_changes(
    pairs: list[Pictures], networks: tuple[DenoiserNetwork, GeneratorNetwork]
) -> None:
    modes: list[bool] = []
    for network, training in zip(networks, (True, False), strict=True):
        network.train(training)
        network.register_forward_hook(lambda module, *_: modes.append(module.training))
    weights = [{k: v.clone() for k, v in n.state_dict().items()} for n in networks]
    torch.manual_seed(3)
    state, python_state = torch.get_rng_state(), random.getstate()
    numpy_state = str(np.random.get_state())  # noqa: NPY002
    validation = Validation(pairs, crop=32, limit=2, fakes=2)
    first, grid = validation.measure(*networks), validation.grid(*networks)
    assert torch.equal(torch.get_rng_state(), state)
    assert random.getstate() == python_state
    assert str(np.random.get_state()) == numpy_state  # noqa: NPY002
    assert modes
    assert not any(modes)
    assert [network.training for network in networks] == [True, False]
    for network, before in zip(networks, weights, strict=True):
        assert all(p.grad is None and p.requires_grad for p in network.parameters())
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    torch.manual_seed(4)
    assert validation.measure(*networks) == first
    assert np.array_equal(validation.grid(*networks), grid)


def test_memory_maps_and_16_bits(
    pairs: list[Pictures], networks: tuple[DenoiserNetwork, GeneratorNetwork], tmp_path: Path
) -> None:
    mapped = []
    for index, pair in enumerate(pairs):
        sides = []
        for side, picture in zip(("clean", "noisy"), pair, strict=True):
            path = tmp_path / f"{side}{index}.npy"
            np.save(path, picture.astype(np.uint16) * 257)
            sides.append(np.load(path, mmap_mode="r"))
        mapped.append((sides[0], sides[1]))
    scores = Validation(mapped, crop=32, limit=2, fakes=1).measure(*networks)
    of_bytes = Validation(pairs, crop=32, limit=2, fakes=1).measure(*networks)
    assert scores == pytest.approx(of_bytes, rel=1e-4)


def test_the_grid_shows_the_pictures(
    pairs: list[Pictures], networks: tuple[DenoiserNetwork, GeneratorNetwork]
) -> None:
    validation = Validation(pairs, crop=32, limit=5, fakes=1)
    grid = validation.grid(*networks, pictures=2)
    assert grid.dtype == np.uint8
    assert grid.shape == (16 + 2 * 36 - 4, 7 * 36 - 4, 3)
    for row, (clean, noisy) in enumerate((pairs[0], pairs[4])):
        x, y = clean[2:34, 8:40], noisy[2:34, 8:40]
        cells = [grid[16 + row * 36 :, column * 36 :][:32, :32] for column in range(7)]
        assert np.array_equal(cells[0], y)
        assert np.array_equal(cells[1], Denoiser(networks[0])(y))
        assert np.array_equal(cells[2], x)
        assert not np.array_equal(cells[3], x)
        for cell, picture in zip(cells[4:], (cells[0], cells[1], cells[3]), strict=True):
            strong = (127.5 + 5 * (picture.astype(float) - x)).clip(0, 255)
            assert np.abs(cell - strong).max() <= 3.5  # the pictures are rounded
    assert validation.grid(networks[0], None, pictures=1).shape == (48, 5 * 36 - 4, 3)
    assert validation.grid(None, networks[1], pictures=1).shape == (48, 5 * 36 - 4, 3)


def test_pictures_of_different_sizes(networks: tuple[DenoiserNetwork, GeneratorNetwork]) -> None:
    rng = np.random.default_rng(0)
    clean = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in ((20, 50), (50, 13))]
    validation = Validation([(x, x // 2) for x in clean], crop=32, fakes=1)
    assert np.isfinite(list(validation.measure(*networks).values())).all()
    assert validation.grid(*networks).shape == (16 + 2 * 36 - 4, 7 * 36 - 4, 3)


def test_what_is_refused(pairs: list[Pictures]) -> None:
    with pytest.raises(DataError, match="no pairs"):
        Validation([])
    with pytest.raises(ConfigError, match="crop is 0"):
        Validation(pairs, crop=0)
    with pytest.raises(ConfigError, match="limit is -1"):
        Validation(pairs, limit=-1)
    with pytest.raises(ImageError, match="too small"):
        Validation(pairs, crop=10)
    clean, noisy = pairs[0]
    with pytest.raises(DataError, match="pair 0: the noisy picture has 48 x 36"):
        Validation([(clean, noisy[1:])])


def test_a_network_that_gives_no_numbers(pairs: list[Pictures]) -> None:
    network = build("denoiser", "unet", width=2, depth=2)
    torch.nn.init.constant_(network.backbone.get_parameter("last.weight"), float("nan"))
    with pytest.raises(ImageError, match="nan"):
        Validation(pairs, crop=32, limit=1).measure(network, None)


def test_the_unit_is_the_level_that_noise_level_finds() -> None:
    torch.manual_seed(0)
    generator = build("generator", "modulated", 2, 2, levels=(0.01, 0.02, 0.03))
    grey = np.full((64, 80, 3), 128, np.uint8)
    generator.unit_level = unit_level(generator, [grey, grey])
    clean = grey / np.float32(255)
    versions = NoiseGenerator(generator).sample(clean, n=8, seed=5, level=0.02)
    levels = [metrics.noise_level(noisy, noisy - clean).channels.mean() for noisy in versions]
    assert np.mean(levels) == pytest.approx(0.02, rel=0.05)
