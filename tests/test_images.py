from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms

from danet.errors import DanetError, ImageError
from danet.images import format_of, from_tensor, read_image, stack, to_tensor, write_image

SHAPES = [(5, 7), (1, 1), (5, 7, 1), (5, 7, 3), (5, 7, 4)]
NUMPY_TYPES = ["uint8", "uint16", ">u2", "float16", "float32", "float64"]
TORCH_TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
PLAIN_MODES = ["L", "LA", "RGB", "RGBA", "I;16", "F"]
ORIENTATION = 0x0112


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


@pytest.mark.parametrize("dtype", TORCH_TYPES)
@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 5, 7), (4, 1, 1), (2, 1, 5, 7), (2, 4, 5, 7)])
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
    (np.zeros((4, 4, 2), np.uint8), r"shape \(4, 4, 2\).* 1, 3 or 4 channels"),
    (np.zeros((1, 4, 4, 3), np.uint8), r"shape \(1, 4, 4, 3\)"),
    (np.zeros(4, np.uint8), r"shape \(4,\)"),
    (np.zeros((4, 4), np.int32), "int32 is not supported; take uint8"),
    (np.zeros((4, 4), bool), "bool is not supported"),
    (torch.full((3, 4, 4), 255.0), "holds 255"),
    (torch.full((3, 4, 4), torch.nan), "holds nan"),
    (torch.zeros(3, 0, 4), "empty"),
    (torch.zeros(0, 3, 4, 4), "empty"),
    (torch.zeros(6, 4, 3), r"shape \(6, 4, 3\)"),
    (torch.zeros(5, 4, 4), r"shape \(5, 4, 4\).* 1, 3 or 4 channels"),
    (torch.zeros(4, 4), r"shape \(4, 4\)"),
    (torch.zeros(3, 4, 4, dtype=torch.uint8), "uint8 is not supported; take float"),
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


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [
        (".png", "L"),
        (".png", "I;16"),
        (".png", "RGBA"),
        (".TIF", "RGB"),
        (".tif", "F"),
        (".bmp", "RGB"),
        (".ppm", "RGB"),
    ],
)
def test_file_holds_the_picture(tmp_path: Path, suffix: str, mode: str) -> None:
    image = random_picture(mode)
    write_image(image, tmp_path / f"new/picture{suffix}")
    result = read_image(tmp_path / f"new/picture{suffix}")
    np.testing.assert_array_equal(np.asarray(result), np.asarray(image))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_file_keeps_exif_and_profile(tmp_path: Path, suffix: str) -> None:
    image = random_picture("RGB", (16, 16))
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.info = {"exif": exif.tobytes(), "icc_profile": profile}
    write_image(image, tmp_path / f"picture{suffix}")
    with Image.open(tmp_path / f"picture{suffix}") as written:
        assert written.getexif()[0x010F] == "Maker"
        assert written.info["icc_profile"] == profile


def test_jpeg_keeps_full_colour_resolution(tmp_path: Path) -> None:
    checks = np.zeros((16, 16, 3), np.uint8)
    checks[::2, ::2, 0] = checks[1::2, 1::2, 0] = 255
    write_image(Image.fromarray(checks), tmp_path / "checks.jpg")
    error = np.asarray(read_image(tmp_path / "checks.jpg")).astype(int) - checks
    assert np.abs(error).mean() < 10


def test_picture_is_turned_upright(tmp_path: Path) -> None:
    image = random_picture("RGB")
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    upright = read_image(tmp_path / "turned.png")
    np.testing.assert_array_equal(np.asarray(upright), np.rot90(np.asarray(image), -1))
    write_image(upright, tmp_path / "upright.png")
    assert read_image(tmp_path / "upright.png").size == upright.size


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    random_picture("RGB", (64, 64)).save(tmp_path / "whole.jpg")
    (tmp_path / "half.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:1000])
    random_picture("RGB", (64, 64)).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:1000])
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("text.png", "half.jpg", "half.png", "empty.png", "missing.png", "."):
        path = tmp_path / name
        with pytest.raises(ImageError) as error:
            read_image(path)
        assert str(error.value).startswith(f"{path}: ")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "mode", "message"),
    [
        ("a.xyz", "RGB", r"no picture format has the suffix '.xyz'; take .png"),
        ("a", "RGB", "suffix ''"),
        ("a.jpg", "RGBA", "JPEG cannot hold this picture of mode RGBA"),
        ("a.png", "F", "PNG cannot hold"),
    ],
)
def test_unwritable_picture_leaves_no_file(
    tmp_path: Path, name: str, mode: str, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        write_image(random_picture(mode), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "expected"), [("a.png", "PNG"), ("a.b.TIFF", "TIFF"), ("new/a.ppm", "PPM")]
)
def test_format_of_a_suffix(name: str, expected: str) -> None:
    assert format_of(name) == expected


@pytest.mark.parametrize("name", ["a", "a.xyz", ".png", "a.psd"])
def test_format_of_no_suffix_that_can_be_written(name: str) -> None:
    with pytest.raises(ImageError, match=f"{name}: no picture format has the suffix"):
        format_of(name)


def test_unwritable_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DanetError, match=r"a\.png: cannot be written"):
        write_image(random_picture("RGB"), tmp_path / "file" / "a.png")
