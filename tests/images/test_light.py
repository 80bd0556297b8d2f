"""Pictures beyond [0, 1], and pictures in linear light."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from danet.errors import ConfigError, ImageError
from danet.images import difference_from_tensor, from_tensor, to_tensor
from danet.images.light import Light
from danet.noise import processing

RNG = np.random.default_rng(0)
HDR = RNG.normal(1, 3, (37, 50, 3))
KINDS: list[Any] = [
    HDR,
    HDR.astype(np.float32),
    HDR.astype(np.float16),
    HDR[..., 0],
    np.concatenate([HDR, HDR[..., :1]], axis=2),
    torch.from_numpy(HDR.transpose(2, 0, 1).copy()),
    torch.from_numpy(HDR[:, :, :1].transpose(2, 0, 1).copy())[None].bfloat16(),
    Image.fromarray(HDR[..., 0].astype(np.float32)),
]
INTEGERS: list[Any] = [
    RNG.integers(0, 256, (37, 50, 4), np.uint8),
    RNG.integers(0, 65536, (37, 50), np.uint16),
    Image.fromarray(RNG.integers(0, 256, (37, 50, 3), np.uint8)),
]


def values(picture: Any) -> Any:
    if isinstance(picture, torch.Tensor):
        return picture.double().numpy()
    return np.asarray(picture).astype(np.float64)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("image", KINDS)
def test_what_is_seen_as_before_comes_back_exactly(image: Any, linear: bool) -> None:
    tensor, form = to_tensor(image, Light(2.3, linear))
    assert tensor.dtype == torch.float32
    assert 0 <= tensor.min() < tensor.max() <= 1
    result = from_tensor(tensor.clone(), form)
    assert type(result) is type(image)
    np.testing.assert_array_equal(values(result), values(image))


@pytest.mark.parametrize("image", INTEGERS)
def test_integers_in_linear_light_come_back_exactly(image: Any) -> None:
    tensor, form = to_tensor(image, Light(linear=True))
    np.testing.assert_array_equal(values(from_tensor(tensor.clone(), form)), values(image))


def test_linear_light_is_seen_by_the_curve_of_srgb() -> None:
    picture = np.linspace(0, 1, 300, dtype=np.float32).reshape(10, 10, 3)
    tensor, form = to_tensor(picture, Light(linear=True))
    seen = tensor[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(seen, processing.to_display(picture), atol=1e-6)
    result = values(from_tensor(tensor * 0.9, form))
    np.testing.assert_allclose(result, processing.to_linear(seen * 0.9), atol=1e-6)


def test_what_is_taken_is_scaled_by_white_and_values_beyond_stay_beyond() -> None:
    picture = np.array([[-0.5, 0.0, 1.0, 4.0, 10.0]])
    tensor, form = to_tensor(picture, Light(white=4.0))
    assert tensor[0, 0, 0].tolist() == [0.0, 0.0, 0.25, 1.0, 1.0]
    taken = torch.full_like(tensor, 0.125)
    result = values(from_tensor(tensor - taken, form))
    np.testing.assert_allclose(result, [[-0.5, 0, 0.5, 3.5, 9.5]])
    np.testing.assert_allclose(difference_from_tensor(taken, form), np.full((1, 5), 0.5))


def test_the_difference_is_that_of_the_results_in_linear_light() -> None:
    picture = RNG.random((9, 8, 3)).astype(np.float32) * 2 + 0.2
    tensor, form = to_tensor(picture, Light(3.0, linear=True))
    taken = 0.1 * tensor
    difference = values(difference_from_tensor(taken, form))
    result = values(from_tensor(tensor - taken, form))
    np.testing.assert_allclose(picture - difference, result, atol=1e-5)


def test_the_gradient_reaches_a_picture_beyond_white() -> None:
    picture = torch.tensor([0.5, 5.0]).reshape(1, 1, 2).requires_grad_()
    tensor, form = to_tensor(picture, Light(2.0, linear=True))
    result = from_tensor(0.5 * tensor, form)
    assert isinstance(result, torch.Tensor)
    result.sum().backward()
    assert picture.grad is not None
    assert torch.isfinite(picture.grad).all()
    assert picture.grad[0, 0, 1] == 1  # beyond white, noise and result change alike


@pytest.mark.parametrize("white", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_white(white: float) -> None:
    with pytest.raises(ConfigError, match="white is"):
        Light(white)


def test_pictures_that_do_not_go_with_a_white() -> None:
    with pytest.raises(ImageError, match="white is for pictures of floats"):
        to_tensor(INTEGERS[0], Light(1.0))
    with pytest.raises(ImageError, match="the picture holds inf"):
        to_tensor(np.full((4, 5), np.inf), Light(1.0))
    with pytest.raises(ImageError, match=r"from 0 to 1; say which value is white"):
        to_tensor(np.full((4, 5), 2.0))
