"""Pictures of every kind to tensors and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from danet.errors import ImageError
from danet.images.conversion import (
    CHANNELS,
    GREY_ALPHA,
    ImageForm,
    Picture,
    check_floats,
    colours_of,
    difference_from_array,
    difference_of,
    from_array,
    to_array,
)
from danet.images.light import PLAIN, Light

__all__ = ["difference_from_tensor", "from_tensor", "stack", "to_tensor"]

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


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
    if isinstance(image, Tensor):
        return _from_torch(image, light)
    array, form = to_array(image, light)
    return torch.from_numpy(array), form


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
    if not isinstance(form.dtype, torch.dtype):
        return from_array(tensor.detach().cpu().numpy(), form)
    tensor = colours_of(tensor.to(form.device), form).to(form.dtype)
    if isinstance(form.alpha, Tensor):
        tensor = torch.cat([tensor, form.alpha], dim=1)
    return tensor if form.axes == 4 else tensor[0]


def difference_from_tensor(tensor: Tensor, form: ImageForm) -> NDArray[np.float32] | Tensor:
    """Turn a difference of pictures into an array or tensor in the layout of a picture.

    Args:
        tensor: N x 3 x H x W, of any sign and size.
        form: what `to_tensor` gave along with the picture.

    Returns:
        For a tensor, a float32 tensor of its layout and device, differentiable; for others,
        a float32 array, H x W or H x W x C.  C is that of the picture without transparency.
    """
    if form.kind != "torch":
        return difference_from_array(tensor.detach().cpu().numpy(), form)
    tensor = difference_of(tensor.to(form.device), form)
    return tensor if form.axes == 4 else tensor[0]


def stack(pictures: Sequence[Any]) -> list[Image.Image] | NDArray[Any] | Tensor:
    """Join pictures of one kind and shape along a new leading axis; PIL images become a list.

    Example:
        >>> stack([np.zeros((4, 5)), np.ones((4, 5))]).shape
        (2, 4, 5)
    """
    if isinstance(pictures[0], Tensor):
        return torch.stack(list(pictures))
    return np.stack(pictures) if isinstance(pictures[0], np.ndarray) else list(pictures)


def _from_torch(image: Tensor, light: Light) -> tuple[Tensor, ImageForm]:
    if image.layout != torch.strided or image.device.type == "meta":
        raise ImageError(
            f"a tensor of layout {image.layout} on {image.device} holds no plain pixels; "
            "take a dense one that has values"
        )
    if image.dtype not in _FLOATS:
        raise ImageError(f"a tensor of {image.dtype} is not supported; take float in [0, 1]")
    if image.ndim not in (3, 4) or image.shape[-3] not in CHANNELS:
        raise ImageError(
            f"a tensor of shape {tuple(image.shape)} is no picture; it must be C x H x W or "
            "N x C x H x W with 1 to 4 channels"
        )
    if image.numel() == 0:
        raise ImageError(f"the picture is empty: its shape is {tuple(image.shape)}")
    low, high = torch.aminmax(image.detach())
    check_floats(low.item(), high.item(), light)
    stack = image if image.ndim == 4 else image[None]
    grey = stack.shape[1] <= GREY_ALPHA
    alpha = stack[:, -1:].clone() if stack.shape[1] in (2, 4) else None
    given = stack[:, : 1 if grey else 3]
    given = given.to(torch.promote_types(given.dtype, torch.float32))
    seen = light.seen(given).to(torch.float32)
    kept: Any = {} if light == PLAIN else {"light": light, "given": given, "seen": seen}
    form = ImageForm("torch", image.dtype, image.ndim, grey, image.device, alpha, **kept)
    return (seen.repeat(1, 3, 1, 1) if grey else seen), form
