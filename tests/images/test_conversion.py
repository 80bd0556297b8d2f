from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms

from danet.errors import ImageError
from danet.images import difference_from_tensor, from_tensor, stack, to_tensor

SHAPES = [(5, 7), (1, 1), (5, 7, 1), (5, 7, 2), (5, 7, 3), (5, 7, 4)]
NUMPY_TYPES = ["uint8", "uint16", ">u2", "float16", "float32", "float64"]
TORCH_TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
PLAIN_MODES = ["L", "LA", "RGB", "RGBA", "I;16", "F"]


def random_array(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    rng = np.random.default_rng(0)
    kind = np.dtype(dtype)
    if kind.kind == "u":
        return rng.integers(0, np.iinfo(kind).max, shape, endpoint=True).astype(kind)
    return rng.random(shape, np.float32).astype(kind)


def random_picture(mode: str, size: tuple[int, int] = (7, 5)) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(random_array(size[::-1], "uint16"))
    if mode == "F":
        return Image.fromarray(random_array(size[::-1], "float32"))
    rgba = Image.fromarray(random_array((*size[::-1], 4), "uint8"))
    return rgba.convert("RGB").convert(mode) if mode in ("1", "P", "CMYK") else rgba.convert(mode)


@pytest.mark.parametrize("dtype", NUMPY_TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_array_comes_back_bit_for_bit(shape: tuple[int, ...], dtype: str) -> None:
    array = random_array(shape, dtype)
    kept = array.copy()
    tensor, form = to_tensor(array)
    assert tensor.dtype == torch.float32
    assert tensor.shape == (1, 3, *shape[:2])
    result = from_tensor(tensor, form)
    assert isinstance(result, np.ndarray)
    assert result.dtype == array.dtype
    np.testing.assert_array_equal(result, kept)
    tensor.zero_()
    np.testing.assert_array_equal(array, kept)


@pytest.mark.parametrize("mask", [False, True])
def test_a_masked_array_is_refused(mask: bool) -> None:
    array = np.ma.masked_array(random_array((5, 7), "uint8"), mask)
    with pytest.raises(ImageError, match=r"masked array .* take image\.filled\(value\)"):
        to_tensor(array)


@pytest.mark.parametrize("dtype", TORCH_TYPES)
@pytest.mark.parametrize(
    "shape", [(1, 5, 7), (2, 5, 7), (3, 5, 7), (4, 1, 1), (2, 1, 5, 7), (2, 4, 5, 7)]
)
def test_tensor_comes_back_bit_for_bit(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    picture = torch.rand(shape).to(dtype)
    kept = picture.clone()
    tensor, form = to_tensor(picture)
    assert tensor.dtype == torch.float32
    assert tensor.shape == (shape[0] if len(shape) == 4 else 1, 3, *shape[-2:])
    result = from_tensor(tensor, form)
    assert isinstance(result, torch.Tensor)
    assert result.dtype == dtype
    assert torch.equal(result, kept)
    tensor.zero_()
    assert torch.equal(picture, kept)


@pytest.mark.parametrize("mode", PLAIN_MODES)
def test_pil_image_comes_back_bit_for_bit(mode: str) -> None:
    image = random_picture(mode)
    result = from_tensor(*to_tensor(image))
    assert isinstance(result, Image.Image)
    assert result.mode == mode
    assert result.tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("mode", "becomes"),
    [("1", "L"), ("P", "RGB"), ("CMYK", "RGB"), ("YCbCr", "RGB"), ("HSV", "RGB"), ("RGBa", "RGBA")],
)
def test_other_pil_modes_come_back_converted(mode: str, becomes: str) -> None:
    image = random_picture(mode)
    image.info["icc_profile"] = b"profile"
    result = from_tensor(*to_tensor(image))
    assert isinstance(result, Image.Image)
    assert result.mode == becomes
    assert result.tobytes() == image.convert(becomes).tobytes()
    assert ("icc_profile" in result.info) == (mode in ("1", "P", "RGBa"))


def test_cmyk_and_lab_are_converted_by_their_profile() -> None:
    grey = Image.new("RGB", (4, 3), (120, 120, 120))
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    picture = ImageCms.profileToProfile(grey, srgb, lab, outputMode="LAB")
    assert picture is not None
    result = from_tensor(*to_tensor(picture))
    assert isinstance(result, Image.Image)
    assert result.mode == "RGB"
    assert np.abs(np.asarray(result).astype(int) - 120).max() <= 2
    # A profile of other colours than the picture's is of no use, and is no error.
    image = Image.new("CMYK", (4, 3), (10, 20, 30, 40))
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(srgb).tobytes()
    result = from_tensor(*to_tensor(image))
    assert isinstance(result, Image.Image)
    assert result.tobytes() == image.convert("RGB").tobytes()


@pytest.mark.parametrize(("mode", "becomes"), [("L", "LA"), ("RGB", "RGBA"), ("P", "RGBA")])
def test_transparent_colour_becomes_an_alpha_channel(mode: str, becomes: str) -> None:
    image = random_picture("RGB").convert(mode)
    image.info["transparency"] = image.getpixel((0, 0))
    result = from_tensor(*to_tensor(image))
    assert isinstance(result, Image.Image)
    assert result.mode == becomes
    assert result.getchannel("A").getpixel((0, 0)) == 0


def test_pil_mode_of_32_bits_holds_16() -> None:
    values = random_array((5, 7), "uint16")
    result = from_tensor(*to_tensor(Image.fromarray(values.astype(np.int32))))
    np.testing.assert_array_equal(np.asarray(result), values)
    with pytest.raises(ImageError, match="holds 65536"):
        to_tensor(Image.new("I", (2, 2), 65536))


def test_pil_info_is_put_back() -> None:
    image = random_picture("RGB")
    info: dict[str | tuple[int, int], Any] = {
        "exif": b"exif",
        "icc_profile": b"profile",
        "dpi": (300, 300),
    }
    image.info = {**info, "comment": "no"}
    result = from_tensor(*to_tensor(image))
    assert isinstance(result, Image.Image)
    assert result.info == info


def test_result_is_clamped_and_rounded() -> None:
    _, form = to_tensor(np.zeros((1, 4, 3), np.uint8))
    values = torch.tensor([-0.5, 1.5, 100.4 / 255, 100.6 / 255])
    result = from_tensor(values.expand(1, 3, 1, 4), form)
    np.testing.assert_array_equal(np.asarray(result)[0, :, 0], [0, 255, 100, 101])


def test_grey_takes_the_mean_of_the_channels_and_alpha_stays() -> None:
    array = random_array((2, 2, 4), "float32")
    tensor, form = to_tensor(array)
    result = np.asarray(from_tensor(torch.zeros_like(tensor), form))
    np.testing.assert_array_equal(result[..., 3], array[..., 3])
    _, form = to_tensor(np.zeros((1, 1), np.float32))
    channels = torch.tensor([0.2, 0.3, 0.7]).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(np.asarray(from_tensor(channels, form)), 0.4, rtol=1e-6)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 2), (5, 7, 3), (5, 7, 4)])
def test_difference_has_the_layout_without_transparency(shape: tuple[int, ...]) -> None:
    _, form = to_tensor(np.zeros(shape, np.uint8))
    noise = torch.randn(1, 3, 5, 7)
    result = np.asarray(difference_from_tensor(noise, form))
    expected = noise[0].permute(1, 2, 0).numpy()
    if shape[2:] in ((), (1,), (2,)):
        expected = expected.mean(2, keepdims=True)
    layouts: dict[tuple[int, ...], tuple[int, ...]] = {(5, 7, 2): (5, 7), (5, 7, 4): (5, 7, 3)}
    layout = layouts.get(shape, shape)
    assert result.shape == layout
    np.testing.assert_allclose(result, expected.reshape(layout), atol=1e-6)


def test_difference_of_a_tensor_is_one() -> None:
    _, form = to_tensor(torch.zeros(2, 4, 5, 7))
    noise = torch.randn(2, 3, 5, 7)
    result = difference_from_tensor(noise, form)
    assert isinstance(result, torch.Tensor)
    assert torch.equal(result, noise)


def test_tensor_is_differentiable() -> None:
    picture = torch.rand(1, 5, 7, requires_grad=True)
    result = from_tensor(*to_tensor(picture))
    assert isinstance(result, torch.Tensor)
    (gradient,) = torch.autograd.grad(result.sum(), picture)
    torch.testing.assert_close(gradient, torch.ones(1, 5, 7))


def test_slightly_outside_of_the_range_is_clamped() -> None:
    tensor, _ = to_tensor(np.array([[-0.001, 1.001]]))
    assert (float(tensor.min()), float(tensor.max())) == (0.0, 1.0)


BAD = [
    (np.full((4, 4, 3), 200.0), r"holds 200, .* from 0 to 1"),
    (np.full((4, 4, 3), -0.5), r"holds -0.5, .* from 0 to 1"),
    (np.full((4, 4, 3), np.nan), "holds nan"),
    (np.full((4, 4), np.inf), "holds inf"),
    (np.zeros((0, 4, 3), np.uint8), r"empty: its shape is \(0, 4, 3\)"),
    (np.zeros((4, 4, 5), np.uint8), r"shape \(4, 4, 5\).* 1 to 4 channels"),
    (np.zeros((1, 4, 4, 3), np.uint8), r"shape \(1, 4, 4, 3\)"),
    (np.zeros(4, np.uint8), r"shape \(4,\)"),
    (np.zeros((4, 4), np.int32), "int32 is not supported; take uint8"),
    (np.zeros((4, 4), bool), "bool is not supported"),
    (torch.full((3, 4, 4), 255.0), "holds 255"),
    (torch.full((3, 4, 4), torch.nan), "holds nan"),
    (torch.zeros(3, 0, 4), "empty"),
    (torch.zeros(0, 3, 4, 4), "empty"),
    (torch.zeros(6, 4, 3), r"shape \(6, 4, 3\)"),
    (torch.zeros(5, 4, 4), r"shape \(5, 4, 4\).* 1 to 4 channels"),
    (torch.zeros(4, 4), r"shape \(4, 4\)"),
    (torch.zeros(3, 4, 4, dtype=torch.uint8), "uint8 is not supported; take float"),
    (torch.zeros(3, 4, 4).to_sparse(), "holds no plain pixels"),
    (torch.zeros(3, 4, 4, device="meta"), "holds no plain pixels"),
    (Image.new("RGB", (0, 0)), "empty"),
    ("picture.png", "not str"),
    ([[0, 1]], "not list"),
]


@pytest.mark.parametrize(("picture", "message"), BAD)
def test_bad_picture_is_an_error(picture: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        to_tensor(picture)


def test_stack_joins_arrays_and_tensors_and_lists_images() -> None:
    assert np.asarray(stack([np.zeros((2, 3))] * 4)).shape == (4, 2, 3)
    tensors = stack([torch.zeros(3, 2, 2)] * 4)
    assert isinstance(tensors, torch.Tensor)
    assert tensors.shape == (4, 3, 2, 2)
    images = [random_picture("L")] * 2
    assert stack(images) == images
