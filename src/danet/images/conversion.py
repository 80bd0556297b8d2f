"""Pictures of every kind to tensors and back."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms
from torch import Tensor

from danet.errors import ImageError
from danet.images.light import PLAIN, Light

__all__ = [
    "ImageForm",
    "Picture",
    "difference_from_tensor",
    "from_tensor",
    "plain_mode",
    "stack",
    "to_tensor",
]

Picture: TypeAlias = Image.Image | NDArray[Any] | Tensor

# Rounding and resizing leave floats this far outside [0, 1]; a mistaken range, much farther.
_TOLERANCE = 0.01
_INTEGERS = (np.uint8, np.uint16)
_FLOATS = (np.float16, np.float32, np.float64)
_TORCH_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_CHANNELS = (1, 2, 3, 4)  # grey, grey and alpha, RGB, RGBA
_GREY_ALPHA = 2

# PIL modes whose pixels can be taken and given back as they are, and what becomes of others.
_HELD_MODES = ("L", "LA", "RGB", "RGBA", "I;16", "I;16L", "I;16B", "F")
_OTHER_MODES = {"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}
# Their colour profile describes inks or axes that the converted picture does not have.
_OTHER_COLOURS = ("CMYK", "LAB", "HSV", "YCbCr")
_KEPT_INFO = ("exif", "icc_profile", "dpi")


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
        light: how its numbers stand for light.
        given: its colours, N x C x H x W, integers divided by the largest of their type; None for
            `PLAIN` light.
        seen: the tensor that was made of them; None for `PLAIN` light.
    """

    kind: Literal["pil", "numpy", "torch"]
    dtype: np.dtype[Any] | torch.dtype
    axes: int
    grey: bool
    device: torch.device
    alpha: NDArray[Any] | Tensor | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    light: Light = PLAIN
    given: Tensor | None = None
    seen: Tensor | None = None


def to_tensor(image: Picture, light: Light = PLAIN) -> tuple[Tensor, ImageForm]:
    """Turn a picture of any supported kind into what the networks take.

    Integers are divided by the largest of their type.  Grey becomes three equal channels, and
    transparency is set aside.  A PIL image of mode P, 1, CMYK or another that has no plain
    channels is converted to L, LA, RGB or RGBA first, and comes back in that mode; so does
    an L or RGB image with a transparent colour, which becomes LA or RGBA.  CMYK and LAB are
    converted to sRGB by their colour profile where they have a good one.

    Args:
        image: a PIL image; a NumPy array, H x W or H x W x C, of uint8, uint16 or float in
            [0, 1]; or a torch tensor, C x H x W or N x C x H x W, of float in [0, 1].  C is 1
            (grey), 2 (grey and alpha), 3 or 4 (RGBA).  It is left as it is.
        light: how its numbers stand for light.

    Returns:
        A new float32 tensor, N x 3 x H x W in [0, 1], on the device of the picture and
        differentiable with respect to it, and the form for `from_tensor`.

    Raises:
        ImageError: the picture is of another type or shape, is empty or a masked array, holds NaN
            or infinity, or floats outside [0, 1] without a ``white``; or integers with one.

    Example:
        >>> tensor, form = to_tensor(np.full((45, 70), 255, np.uint8))
        >>> tensor.shape, float(tensor.max())
        (torch.Size([1, 3, 45, 70]), 1.0)
        >>> from_tensor(tensor, form).shape
        (45, 70)
    """
    if isinstance(image, Image.Image):
        held = plain_mode(image)
        tensor, form = _from_array(np.asarray(held), light)
        info = {key: held.info[key] for key in _KEPT_INFO if key in held.info}
        return tensor, replace(form, kind="pil", info=info)
    if isinstance(image, np.ma.MaskedArray):
        raise ImageError(
            "a masked array has pixels without values; take image.filled(value), which has them"
        )
    if isinstance(image, np.ndarray):
        return _from_array(np.asarray(image), light)
    if isinstance(image, Tensor):
        return _from_torch(image, light)
    raise ImageError(
        f"a picture must be a PIL image, a NumPy array or a torch tensor, not "
        f"{type(image).__name__}; danet.images.read_image reads one from a file"
    )


def from_tensor(tensor: Tensor, form: ImageForm) -> Picture:
    """Turn a result into a picture of the kind that `to_tensor` was given.

    Values are clamped to [0, 1], and rounded for integer types.  A grey picture takes the mean
    of the channels.  Where its light is not plain, each number changes by as much light as what
    was seen of it; one that is seen as before is as before.

    Args:
        tensor: N x 3 x H x W.
        form: what `to_tensor` gave along with the tensor.

    Returns:
        A picture of the same kind, type, shape, device, transparency and PIL info; a torch
        tensor is differentiable.
    """
    tensor = _merged(tensor, form).clamp(0, 1)
    if form.given is not None and form.seen is not None:
        before = form.seen[:, : tensor.shape[1]]
        tensor = form.given + form.light.change(before, tensor.to(before.device))
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


def difference_from_tensor(tensor: Tensor, form: ImageForm) -> NDArray[np.float32] | Tensor:
    """Turn a difference of pictures into an array or tensor in the layout of a picture.

    Args:
        tensor: N x 3 x H x W, of any sign and size.
        form: what `to_tensor` gave along with the picture.

    Returns:
        For a tensor, a float32 tensor of its layout and device, differentiable; for others,
        a float32 array, H x W or H x W x C.  C is that of the picture without transparency.
    """
    tensor = _merged(tensor, form)
    if form.seen is not None:
        before = form.seen[:, : tensor.shape[1]]
        tensor = form.light.change(before - tensor.to(before.device), before)
    if form.kind == "torch":
        tensor = tensor.to(form.device)
        return tensor if form.axes == 4 else tensor[0]
    array: NDArray[np.float32] = tensor[0].permute(1, 2, 0).detach().cpu().numpy()
    flat = form.axes == 2 or (form.grey and form.alpha is not None)
    return np.ascontiguousarray(array[..., 0] if flat else array)


def stack(pictures: Sequence[Any]) -> list[Image.Image] | NDArray[Any] | Tensor:
    """Join pictures of one kind and shape along a new leading axis; PIL images become a list.

    Example:
        >>> stack([np.zeros((4, 5)), np.ones((4, 5))]).shape
        (2, 4, 5)
    """
    if isinstance(pictures[0], Tensor):
        return torch.stack(list(pictures))
    return np.stack(pictures) if isinstance(pictures[0], np.ndarray) else list(pictures)


def _merged(tensor: Tensor, form: ImageForm) -> Tensor:
    """N x 3 x H x W, or N x 1 x H x W with the mean of the channels for a grey picture."""
    if not form.grey:
        return tensor
    # The mean of the differences, so that three equal channels give exactly their value.
    first = tensor[:, :1]
    return first + (tensor - first).mean(dim=1, keepdim=True)


def plain_mode(image: Image.Image) -> Image.Image:
    """The picture itself, or a conversion of it to a mode that NumPy can hold.

    Returns:
        An image of mode L, LA, RGB, RGBA, F or one of the 16-bit grey modes, with the info of
        the picture as far as it still holds.

    Raises:
        ImageError: the picture cannot be converted, or holds more than 16 bits.
    """
    if "transparency" in image.info and image.mode in ("1", "L", "RGB", "P"):
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    if image.mode in _HELD_MODES:
        return image
    if image.mode == "I":  # 32 bits, in which PIL keeps some 16-bit pictures
        values = np.asarray(image)
        _check_range(values.min(initial=0), values.max(initial=0), 65535)
        held = Image.fromarray(values.astype(np.uint16))
    elif image.mode in ("CMYK", "LAB"):
        held = _to_srgb(image)
    else:
        held = image.convert(_OTHER_MODES.get(image.mode, "RGB"))
    held.info = dict(image.info)
    if image.mode in _OTHER_COLOURS:
        held.info.pop("icc_profile", None)
    return held


def _to_srgb(image: Image.Image) -> Image.Image:
    """Convert CMYK or LAB by the profile of the picture; CMYK without one, by Pillow's rule."""
    profile: Any = io.BytesIO(image.info.get("icc_profile") or b"")
    if image.mode == "LAB":
        profile = ImageCms.createProfile("LAB")
    try:
        held = ImageCms.profileToProfile(
            image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        assert held is not None  # None comes only from a conversion in place
        return held
    except (ImageCms.PyCMSError, OSError):  # no profile, or one of other colours
        if image.mode == "LAB":
            raise ImageError("a LAB picture cannot be converted without littlecms") from None
        return image.convert("RGB")


def _from_array(array: NDArray[Any], light: Light) -> tuple[Tensor, ImageForm]:
    if array.dtype.newbyteorder("=") not in _INTEGERS + _FLOATS:
        raise ImageError(
            f"a picture of {array.dtype} is not supported; take uint8, uint16, or float in [0, 1]"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in _CHANNELS):
        raise ImageError(
            f"an array of shape {array.shape} is no picture; it must be H x W or H x W x C "
            "with 1 to 4 channels"
        )
    if array.size == 0:
        raise ImageError(f"the picture is empty: its shape is {array.shape}")
    stack = array[..., np.newaxis] if array.ndim == 2 else array
    grey = stack.shape[2] <= _GREY_ALPHA
    alpha = stack[..., -1:].copy() if stack.shape[2] in (2, 4) else None
    colours = stack[..., :1] if grey else stack[..., :3]
    if array.dtype.kind == "u":
        if light.white is not None:
            raise ImageError(f"white is for pictures of floats, and this one is of {array.dtype}")
        colours = colours.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    else:
        _check_floats(array.min(), array.max(), light)
        colours = colours.astype(np.result_type(array.dtype, np.float32))
    given = torch.from_numpy(np.ascontiguousarray(colours.transpose(2, 0, 1)))[None]
    form = ImageForm("numpy", array.dtype, array.ndim, grey, torch.device("cpu"), alpha)
    return _seen(given, form, light)


def _seen(given: Tensor, form: ImageForm, light: Light) -> tuple[Tensor, ImageForm]:
    """What a network is given for colours, N x C x H x W, and what is kept of these."""
    seen = light.seen(given).to(torch.float32)
    seen = seen.repeat(1, 3, 1, 1) if form.grey else seen
    if light == PLAIN:
        return seen, form
    return seen, replace(form, light=light, given=given, seen=seen)


def _from_torch(image: Tensor, light: Light) -> tuple[Tensor, ImageForm]:
    if image.layout != torch.strided or image.device.type == "meta":
        raise ImageError(
            f"a tensor of layout {image.layout} on {image.device} holds no plain pixels; "
            "take a dense one that has values"
        )
    if image.dtype not in _TORCH_FLOATS:
        raise ImageError(f"a tensor of {image.dtype} is not supported; take float in [0, 1]")
    if image.ndim not in (3, 4) or image.shape[-3] not in _CHANNELS:
        raise ImageError(
            f"a tensor of shape {tuple(image.shape)} is no picture; it must be C x H x W or "
            "N x C x H x W with 1 to 4 channels"
        )
    if image.numel() == 0:
        raise ImageError(f"the picture is empty: its shape is {tuple(image.shape)}")
    low, high = torch.aminmax(image.detach())
    _check_floats(low.item(), high.item(), light)
    stack = image if image.ndim == 4 else image[None]
    grey = stack.shape[1] <= _GREY_ALPHA
    alpha = stack[:, -1:].clone() if stack.shape[1] in (2, 4) else None
    given = stack[:, : 1 if grey else 3]
    given = given.to(torch.promote_types(given.dtype, torch.float32))
    form = ImageForm("torch", image.dtype, image.ndim, grey, image.device, alpha)
    return _seen(given, form, light)


def _check_floats(low: float, high: float, light: Light) -> None:
    # NaN anywhere makes both of them NaN.
    for value in (float(low), float(high)):
        if not math.isfinite(value):
            raise ImageError(f"the picture holds {value}; every value must be a finite number")
    if light.white is None:
        advice = "say which value is white, or scale or clip it first"
        _check_range(low, high, 1, _TOLERANCE, advice)


def _check_range(
    low: float,
    high: float,
    limit: int,
    tolerance: float = 0.0,
    advice: str = "scale or clip it first",
) -> None:
    for value in (float(low), float(high)):
        if not -tolerance <= value <= limit + tolerance:
            raise ImageError(
                f"the picture holds {value:g}, and its values must be from 0 to {limit}; {advice}"
            )
