"""The strength that is found for a picture."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from danet.errors import ConfigError, ImageError
from danet.inference.automatic import FoundNoise, found_noise, sample_areas
from danet.networks import DenoiserNetwork
from danet.networks.backbone import Backbone
from danet.pretrained import Denoiser

LEFT = 1.1  # the level over that of what is taken


class Deviation(Backbone):
    """Takes all that is not middle grey for noise."""

    receptive_radius = 0

    def __init__(self) -> None:
        super().__init__(3, 3, 1, 1)
        self.bias = torch.nn.Parameter(torch.full((1,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return x - self.bias


@pytest.fixture
def denoiser() -> Denoiser:
    return Denoiser(DenoiserNetwork(Deviation()))


def grey(level: float, *size: int, seed: int = 0) -> Any:
    """Middle grey with noise of a level in grey levels."""
    noise = np.random.default_rng(seed).normal(0, level / 255, size)
    return (0.5 + noise).astype(np.float32)


@pytest.mark.parametrize("size", [(1, 1), (45, 300), (256, 257), (5000, 3000)])
def test_the_parts_are_few_within_the_picture_and_reach_its_sides(size: tuple[int, int]) -> None:
    areas = sample_areas(size)
    assert len(areas) == len({str(area) for area in areas}) <= 16
    for axis, length in enumerate(size):
        spans = [area[axis] for area in areas]
        assert min(span.start for span in spans) == 0
        assert max(span.stop for span in spans) == length
        assert {span.stop - span.start for span in spans} == {min(length, 256)}


def test_noise_that_grows_with_the_intensity_is_averaged_over_all_pixels() -> None:
    rng = np.random.default_rng(0)
    clean = np.repeat(np.linspace(0.2, 0.8, 256), 256).reshape(1, 1, 256, 256)
    clean = clean + rng.normal(0, 0.01, (1, 3, 256, 256))
    noise = rng.normal(0, 1, clean.shape) * clean / 20
    found = found_noise(clean + noise, noise)
    assert found.level == pytest.approx(LEFT * noise.std(), rel=0.05)


def test_what_is_taken_from_texture_does_not_count() -> None:
    rng = np.random.default_rng(0)
    pixels, residual = np.full((1, 3, 128, 128), 0.5), rng.normal(0, 0.01, (1, 3, 128, 128))
    residual[..., 64:] *= 4
    pixels[..., 64:] += 0.1 * (-1) ** np.indices((128, 64)).sum(axis=0)
    level = found_noise(pixels + residual, residual).level
    assert level == pytest.approx(LEFT * 0.01, rel=0.05)


@pytest.mark.parametrize(("level", "strength"), [(0, 0), (1.1, 0), (1.64, 0.5), (2.2, 1), (9, 1)])
def test_clean_pictures_stay_and_noisy_ones_are_cleaned(
    denoiser: Denoiser, level: float, strength: float
) -> None:
    noisy = grey(level, 200, 200, 3)
    found = denoiser.find_noise(noisy)
    assert 255 * found.level == pytest.approx(LEFT * level, rel=0.03)
    assert found.strength == pytest.approx(strength, abs=0.05)
    expected = denoiser(noisy, strength=found.strength)
    np.testing.assert_array_equal(denoiser(noisy, strength="auto"), expected)
    if strength == 0:
        np.testing.assert_array_equal(expected, noisy)


def test_the_level_is_of_the_whole_picture_whatever_the_tiles_and_its_kind(
    denoiser: Denoiser,
) -> None:
    noisy = grey(1.75, 600, 900)
    noisy[:300] = 0.5
    found = denoiser.find_noise(noisy)
    denoiser.engine.settings.tile = 64
    for same in (noisy, torch.from_numpy(noisy)[None], Image.fromarray(noisy)):
        assert denoiser.find_noise(same) == pytest.approx(found, rel=1e-6)


def test_few_pixels_of_a_large_picture_are_computed(denoiser: Denoiser) -> None:
    counts = []
    denoiser.network.register_forward_hook(lambda _, inputs, __: counts.append(inputs[0].numel()))
    denoiser.find_noise(np.full((4000, 5000), 128, np.uint8))
    assert sum(counts) <= 3 * 16 * 288**2


def test_each_picture_of_a_batch_and_of_map_has_its_own(denoiser: Denoiser) -> None:
    levels = (0, 1.75, 10)
    batch = torch.stack([torch.from_numpy(grey(level, 3, 64, 64)) for level in levels])
    singly = torch.stack([denoiser(one, strength=("auto", 0.5)) for one in batch])
    torch.testing.assert_close(denoiser(batch, strength=("auto", 0.5)), singly, rtol=0, atol=1e-6)
    for one, result in zip(batch, denoiser.map(batch, strength="auto"), strict=True):
        expected = denoiser(one, strength="auto")
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


def test_the_gradient_goes_through_the_picture_alone(denoiser: Denoiser) -> None:
    noisy = torch.from_numpy(grey(1.75, 3, 64, 64)).requires_grad_()
    strength = denoiser.find_noise(noisy).strength
    denoiser(noisy, strength="auto").sum().backward()
    assert noisy.grad is not None
    torch.testing.assert_close(noisy.grad, torch.full_like(noisy, 1 - strength))


def test_bad_calls(denoiser: Denoiser) -> None:
    with pytest.raises(ImageError, match="2 pictures in one tensor"):
        denoiser.find_noise(torch.zeros(2, 3, 8, 8))
    for bad in ("much", ("auto", -1.0), ("auto",)):
        with pytest.raises(ConfigError, match="strength is"):
            denoiser(grey(1, 8, 8), strength=bad)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="strength is"):
            denoiser.map([], strength=bad)  # type: ignore[arg-type]


def test_two_strengths_are_filled_in() -> None:
    found = FoundNoise(0.01, 0.75)
    assert found.fill_in("auto") == found.fill_in(0.75) == 0.75
    assert found.fill_in(("auto", 0.5)) == (0.75, 0.5)
