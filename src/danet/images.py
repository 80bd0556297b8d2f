"""Pictures of every kind to tensors and back, and picture files."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from danet.errors import ImageError, one_line
from danet.files import atomic_write

__all__ = [
    "READABLE",
    "ImageForm",
    "Picture",
    "format_of",
    "from_tensor",
    "read_image",
    "stack",
    "to_tensor",
    "write_image",
]

Picture: TypeAlias = Image.Image | NDArray[Any] | Tensor

# Suffixes, in lower case, of what is taken for a picture in a folder.
READABLE = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

# Rounding and resizing leave floats this far outside [0, 1]; a mistaken range, much farther.
_TOLERANCE = 0.01
_INTEGERS = (np.uint8, np.uint16)
_FLOATS = (np.float16, np.float32, np.float64)
_TORCH_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_CHANNELS = (1, 3, 4)
_GREY_ALPHA = 2

# PIL modes whose pixels can be taken and given back as they are, and what becomes of others.
_HELD_MODES = ("L", "LA", "RGB", "RGBA", "I;16", "I;16L", "I;16B", "F")
_OTHER_MODES = {"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}
# Their colour profile describes inks or axes that the converted picture does not have.
_OTHER_COLOURS = ("CMYK", "LAB", "HSV", "YCbCr")
_KEPT_INFO = ("exif", "icc_profile", "dpi")
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 95},
}


@dataclass(frozen=True, eq=False)
class ImageForm:
    """What a picture was before `to_tensor`, so that `from_tensor` can make it that again.

    Attributes:
        kind: the library that the picture belongs to.
        dtype: type of its values.
        axes: number of its axes.
        grey: whether it had one colour channel.
        device: where it lay.
        alpha: its transparency, in its own type and layout.
        info: exif, icc_profile and dpi of a PIL image, those that it has.
    """

    kind: Literal["pil", "numpy", "torch"]
    dtype: np.dtype[Any] | torch.dtype
    axes: int
    grey: bool
    device: torch.device
    alpha: NDArray[Any] | Tensor | None = None
    info: Mapping[str, Any] = field(default_factory=dict)


def to_tensor(image: Picture) -> tuple[Tensor, ImageForm]:
    """Turn a picture of any supported kind into what the networks take.

    Integers are divided by the largest of their type.  Grey becomes three equal channels, and
    transparency is set aside.  A PIL image of mode P, 1, CMYK or another that has no plain
    channels is converted to L, LA, RGB or RGBA first, and comes back in that mode; so does
    an L or RGB image with a transparent colour, which becomes LA or RGBA.

    Args:
        image: a PIL image; a NumPy array, H x W or H x W x 1, 3 or 4, of uint8, uint16 or
            float in [0, 1]; or a torch tensor, C x H x W or N x C x H x W with C 1, 3 or
            4, of float in [0, 1].  It is left as it is.

    Returns:
        A new float32 tensor, N x 3 x H x W in [0, 1], on the device of the picture and
        differentiable with respect to it, and the form for `from_tensor`.

    Raises:
        ImageError: the picture is of another type or shape, is empty, holds NaN or
            infinity, or floats outside [0, 1].

    Example:
        >>> tensor, form = to_tensor(np.full((45, 70), 255, np.uint8))
        >>> tensor.shape, float(tensor.max())
        (torch.Size([1, 3, 45, 70]), 1.0)
        >>> from_tensor(tensor, form).shape
        (45, 70)
    """
    if isinstance(image, Image.Image):
        held = _plain_mode(image)
        tensor, form = _from_array(np.asarray(held), (*_CHANNELS, _GREY_ALPHA))
        info = {key: held.info[key] for key in _KEPT_INFO if key in held.info}
        return tensor, replace(form, kind="pil", info=info)
    if isinstance(image, np.ndarray):
        return _from_array(image, _CHANNELS)
    if isinstance(image, Tensor):
        return _from_torch(image)
    raise ImageError(
        f"a picture must be a PIL image, a NumPy array or a torch tensor, not "
        f"{type(image).__name__}; danet.images.read_image reads one from a file"
    )


def from_tensor(tensor: Tensor, form: ImageForm) -> Picture:
    """Turn a result into a picture of the kind that `to_tensor` was given.

    Values are clamped to [0, 1], and rounded for integer types.  A grey picture takes the mean
    of the channels.

    Args:
        tensor: N x 3 x H x W.
        form: what `to_tensor` gave along with the tensor.

    Returns:
        A picture of the same kind, type, shape, device, transparency and PIL info; a torch
        tensor is differentiable.
    """
    if form.grey:
        # The mean of the differences, so that three equal channels give exactly their value.
        first = tensor[:, :1]
        tensor = first + (tensor - first).mean(dim=1, keepdim=True)
    tensor = tensor.clamp(0, 1)
    if isinstance(form.dtype, torch.dtype):
        tensor = tensor.to(form.device, form.dtype)
        if isinstance(form.alpha, Tensor):
            tensor = torch.cat([tensor, form.alpha], dim=1)
        return tensor if form.axes == 4 else tensor[0]
    array = tensor[0].permute(1, 2, 0).detach().cpu().numpy()
    if form.dtype.kind == "u":
        array = np.rint(array * np.iinfo(form.dtype).max)
    if form.alpha is not None:
        array = np.concatenate([array, form.alpha], axis=2)
    array = array.astype(form.dtype)  # last: concatenation changes the order of bytes
    array = np.ascontiguousarray(array if form.axes == 3 else array[..., 0])
    if form.kind == "numpy":
        return array
    image = Image.fromarray(array)
    image.info.update(form.info)
    return image


def stack(pictures: Sequence[Any]) -> list[Image.Image] | NDArray[Any] | Tensor:
    """Join pictures of one kind and shape along a new leading axis; PIL images become a list.

    Example:
        >>> stack([np.zeros((4, 5)), np.ones((4, 5))]).shape
        (2, 4, 5)
    """
    if isinstance(pictures[0], Tensor):
        return torch.stack(list(pictures))
    return np.stack(pictures) if isinstance(pictures[0], np.ndarray) else list(pictures)


def read_image(path: str | os.PathLike[str]) -> Image.Image:
    """Read a picture file as a whole, turned upright as its EXIF orientation says.

    Raises:
        ImageError: there is no such file, it is no picture, or it is damaged.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: not a picture of a known format") from error
    # The decoders raise nearly anything on a damaged file.
    except Exception as error:
        raise ImageError(f"{path}: cannot be read: {one_line(error)}") from error


def format_of(path: str | os.PathLike[str]) -> str:
    """The format, as Pillow calls it, that `write_image` writes to a path.

    Raises:
        ImageError: the suffix names no format that can be written.

    Example:
        >>> format_of("photo.JPG")
        'JPEG'
    """
    suffix = Path(path).suffix
    file_format = Image.registered_extensions().get(suffix.lower())
    if file_format not in Image.SAVE:
        raise ImageError(
            f"{path}: no picture format has the suffix {suffix!r}; "
            "take .png, .jpg, .tif, .webp or .bmp"
        )
    return file_format


def write_image(image: Image.Image, path: str | os.PathLike[str]) -> None:
    """Write a picture file, whole or not at all, in the format that its suffix names.

    EXIF, colour profile and resolution are kept where the format has a place for them.  JPEG
    is written at quality 95 with full colour resolution.

    Raises:
        ImageError: the suffix names no format, or the format cannot hold the picture.
        DanetError: the file cannot be written.
    """
    path = Path(path)
    file_format = format_of(path)
    options = {key: image.info[key] for key in _KEPT_INFO if key in image.info}
    options.update(_SAVE_OPTIONS.get(file_format, {}))
    with atomic_write(path) as temporary:
        try:
            image.save(temporary, format=file_format, **options)
        except (ValueError, KeyError) as error:
            raise _cannot_hold(path, file_format, image, error) from error
        except OSError as error:
            if error.errno is not None:  # the disk's, not the format's
                raise
            raise _cannot_hold(path, file_format, image, error) from error


def _cannot_hold(path: Path, file_format: str, image: Image.Image, error: Exception) -> ImageError:
    return ImageError(
        f"{path}: {file_format} cannot hold this picture of mode {image.mode}: {one_line(error)}"
    )


def _plain_mode(image: Image.Image) -> Image.Image:
    """The picture itself, or a conversion to a mode that NumPy can hold."""
    if "transparency" in image.info and image.mode in ("1", "L", "RGB", "P"):
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    if image.mode in _HELD_MODES:
        return image
    if image.mode == "I":  # 32 bits, in which PIL keeps some 16-bit pictures
        values = np.asarray(image)
        _check_range(values.min(initial=0), values.max(initial=0), 65535)
        held = Image.fromarray(values.astype(np.uint16))
    else:
        held = image.convert(_OTHER_MODES.get(image.mode, "RGB"))
    held.info = dict(image.info)
    if image.mode in _OTHER_COLOURS:
        held.info.pop("icc_profile", None)
    return held


def _from_array(array: NDArray[Any], channels: tuple[int, ...]) -> tuple[Tensor, ImageForm]:
    if array.dtype.newbyteorder("=") not in _INTEGERS + _FLOATS:
        raise ImageError(
            f"a picture of {array.dtype} is not supported; take uint8, uint16, or float in [0, 1]"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in channels):
        raise ImageError(
            f"an array of shape {array.shape} is no picture; it must be H x W or H x W x C "
            "with 1, 3 or 4 channels"
        )
    if array.size == 0:
        raise ImageError(f"the picture is empty: its shape is {array.shape}")
    stack = array[..., np.newaxis] if array.ndim == 2 else array
    grey = stack.shape[2] <= _GREY_ALPHA
    alpha = stack[..., -1:].copy() if stack.shape[2] in (2, 4) else None
    colours = stack[..., :1] if grey else stack[..., :3]
    if array.dtype.kind == "u":
        colours = colours.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    else:
        _check_range(array.min(), array.max(), 1, _TOLERANCE)
        colours = colours.astype(np.float32).clip(0, 1)
    tensor = torch.from_numpy(np.ascontiguousarray(colours.transpose(2, 0, 1)))[None]
    tensor = tensor.repeat(1, 3, 1, 1) if grey else tensor
    return tensor, ImageForm("numpy", array.dtype, array.ndim, grey, torch.device("cpu"), alpha)


def _from_torch(image: Tensor) -> tuple[Tensor, ImageForm]:
    if image.dtype not in _TORCH_FLOATS:
        raise ImageError(f"a tensor of {image.dtype} is not supported; take float in [0, 1]")
    if image.ndim not in (3, 4) or image.shape[-3] not in _CHANNELS:
        raise ImageError(
            f"a tensor of shape {tuple(image.shape)} is no picture; it must be C x H x W or "
            "N x C x H x W with 1, 3 or 4 channels"
        )
    if image.numel() == 0:
        raise ImageError(f"the picture is empty: its shape is {tuple(image.shape)}")
    low, high = torch.aminmax(image.detach())
    _check_range(low.item(), high.item(), 1, _TOLERANCE)
    stack = image if image.ndim == 4 else image[None]
    grey = stack.shape[1] == 1
    alpha = stack[:, 3:].clone() if stack.shape[1] == 4 else None
    tensor = stack[:, :3].to(torch.float32).clamp(0, 1)
    tensor = tensor.repeat(1, 3, 1, 1) if grey else tensor
    return tensor, ImageForm("torch", image.dtype, image.ndim, grey, image.device, alpha)


def _check_range(low: float, high: float, limit: int, tolerance: float = 0.0) -> None:
    # NaN anywhere makes both of them NaN.
    for value in (float(low), float(high)):
        if not math.isfinite(value):
            raise ImageError(f"the picture holds {value}; every value must be a finite number")
        if not -tolerance <= value <= limit + tolerance:
            raise ImageError(
                f"the picture holds {value:g}, and its values must be from 0 to {limit}; "
                "scale or clip it first"
            )
