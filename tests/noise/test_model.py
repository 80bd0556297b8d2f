from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from danet import NoiseGenerator, noise
from danet.errors import ConfigError, ImageError
from danet.noise import NoiseModel

STRENGTH = noise.PoissonGaussian(gain=(2e-3, 1e-3, 3e-3), read=(0.01, 0.01, 0.01))
BLUR = np.zeros((3, 3, 3, 3))
BLUR[range(3), range(3)] = 1 / 3
MODELS = [
    noise.WhiteGaussian(0.05),
    STRENGTH,
    noise.CorrelatedGaussian(STRENGTH, BLUR),
    noise.CameraPipeline(),
    noise.CameraPipeline.unprocessing(),
    noise.CBDNetPipeline(),
]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)


@pytest.fixture(scope="module")
def clean() -> NDArray[np.float32]:
    """Every intensity, black and white among them, and odd sizes."""
    axis = np.linspace(0, 1, 45, dtype=np.float32)
    ramp = np.stack(np.meshgrid(axis, axis[:31]), axis=-1)
    return np.concatenate([ramp, 1 - ramp[..., :1]], axis=-1)


@every_model
def test_the_seed_fixes_the_noise_whatever_the_number(
    model: NoiseModel, clean: NDArray[np.float32]
) -> None:
    many = model.sample(clean, n=4, seed=3)
    np.testing.assert_array_equal(many[:2], model.sample(clean, n=2, seed=3))
    np.testing.assert_array_equal(many, np.stack(list(model.stream(clean, n=4, seed=3))))
    assert not np.array_equal(many[0], many[1])
    assert not np.array_equal(many[0], model.sample(clean, n=1, seed=4)[0])


@every_model
def test_noise_is_float32_in_the_range_and_leaves_the_picture_as_it_is(
    model: NoiseModel, clean: NDArray[np.float32]
) -> None:
    before = clean.copy()
    for seed in range(4):
        noisy = model.add_noise(clean, np.random.default_rng(seed))
        assert noisy.dtype == np.float32
        assert noisy.shape == clean.shape
        assert 0 <= noisy.min() < noisy.max() <= 1
        assert not np.array_equal(noisy, clean)
    np.testing.assert_array_equal(clean, before)


@every_model
def test_every_kind_of_picture(model: NoiseModel, clean: NDArray[np.float32]) -> None:
    levels = np.rint(clean * 255).astype(np.uint8)
    arrays = model.sample(levels, n=2, seed=0)
    assert arrays.dtype == np.uint8
    assert arrays.shape == (2, *levels.shape)
    pictures = model.sample(Image.fromarray(levels), n=2, seed=0)
    np.testing.assert_array_equal(np.stack([np.asarray(p) for p in pictures]), arrays)
    batch = model.sample(torch.full((2, 3, 24, 40), 0.5), n=3, seed=0)
    assert batch.shape == (3, 2, 3, 24, 40)
    assert not torch.equal(batch[0, 0], batch[0, 1])


@pytest.mark.parametrize("name", ["sample", "stream"])
def test_a_model_is_called_as_the_generator_is(name: str) -> None:
    ours, theirs = (
        [(p.name, p.default) for p in inspect.signature(getattr(owner, name)).parameters.values()]
        for owner in (NoiseModel, NoiseGenerator)
    )
    assert ours == theirs


@every_model
@pytest.mark.parametrize(("n", "seed"), [(0, 1), (-1, None), (1, -1)])
def test_bad_number_or_seed_is_an_error_at_once(
    model: NoiseModel, clean: NDArray[np.float32], n: int, seed: int | None
) -> None:
    with pytest.raises(ConfigError, match=r"n is|seed is"):
        model.stream(clean, n, seed)


@every_model
def test_bad_picture_is_an_error_at_once(model: NoiseModel, clean: NDArray[np.float32]) -> None:
    with pytest.raises(ImageError):
        model.stream(clean * 255)
