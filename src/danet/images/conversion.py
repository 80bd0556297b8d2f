"""Pictures to arrays and back, as the networks take them; `danet.images.tensors` adds tensors."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from danet.errors import ImageError
from danet.images.light import PLAIN, Light

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "CHANNELS",
    "GREY_ALPHA",
    "ImageForm",
    "Picture",
    "check_floats",
    "colours_of",
    "difference_from_array",
    "difference_of",
    "from_array",
    "plain_mode",
    "to_array",
]

Picture: TypeAlias = "Image.Image | NDArray[Any] | Tensor"
_ArrayT = TypeVar("_ArrayT", NDArray[Any], "Tensor")

# Rounding and resizing leave floats this far outside [0, 1]; a mistaken range, much farther.
_TOLERANCE = 0.01
_INTEGERS = (np.uint8, np.uint16)
_FLOATS = (np.float16, np.float32, np.float64)
CHANNELS = (1, 2, 3, 4)  # grey, grey and alpha, RGB, RGBA
GREY_ALPHA = 2

# PIL modes whose pixels can be taken and given back as they are, and what becomes of others.
_HELD_MODES = ("L", "LA", "RGB", "RGBA", "I;16", "I;16L", "I;16B", "F")
_OTHER_MODES = {"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}
# Their colour profile describes inks or axes that the converted picture does not have.
_OTHER_COLOURS = ("CMYK", "LAB", "HSV", "YCbCr")
_KEPT_INFO = ("exif", "icc_profile", "dpi")


@dataclass(frozen=True, eq=False)
class ImageForm:
    """What a picture was before `to_array` or `to_tensor`, so that it can be made that again.

    Attributes:
        kind: the library that the picture belongs to.
        dtype: type of its values.
        axes: number of its axes.
        grey: whether it had one colour channel.
        device: where a tensor lay.
        alpha: its transparency, in its own type and layout.
        info: exif, icc_profile and dpi of a PIL image, those that it has.
        light: how its numbers stand for light.
        given: its colours, N x C x H x W, integers divided by the largest of their type; None for
            `PLAIN` light.
        seen: what was made of them; None for `PLAIN` light.
    """

    kind: Literal["pil", "numpy", "torch"]
    dtype: np.dtype[Any] | torch.dtype
    axes: int
    grey: bool
    device: torch.device | None = None
    alpha: NDArray[Any] | Tensor | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    light: Light = PLAIN
    given: Any = None
    seen: Any = None


def to_array(
    image: Image.Image | NDArray[Any], light: Light = PLAIN
) -> tuple[NDArray[np.float32], ImageForm]:
    """Turn a PIL image or an array into what the networks take, without PyTorch.

    Args:
        image: as for `danet.images.to_tensor`, but for tensors.
        light: how its numbers stand for light.

    Returns:
        A new float32 array, 1 x 3 x H x W in [0, 1], and the form for `from_array`.

    Raises:
        ImageError: as `danet.images.to_tensor`.

    Example:
        >>> array, form = to_array(np.full((45, 70), 255, np.uint8))
        >>> array.shape, float(array.max())
        ((1, 3, 45, 70), 1.0)
        >>> from_array(array, form).shape
        (45, 70)
    """
    if isinstance(image, Image.Image):
        held = plain_mode(image)
        array, form = _from_pixels(np.asarray(held), light)
        info = {key: held.info[key] for key in _KEPT_INFO if key in held.info}
        return array, replace(form, kind="pil", info=info)
    if isinstance(image, np.ndarray):
        # The first look at np.ma imports it.
        if type(image) is not np.ndarray and isinstance(image, np.ma.MaskedArray):
            raise ImageError(
                "a masked array has pixels without values; take image.filled(value), which has them"
            )
        return _from_pixels(np.asarray(image), light)
    raise ImageError(
        f"a picture must be a PIL image, a NumPy array or a torch tensor, not "
        f"{type(image).__name__}; danet.images.read_image reads one from a file"
    )


def from_array(array: NDArray[Any], form: ImageForm) -> Image.Image | NDArray[Any]:
    """Turn a result into a PIL image or an array, as `danet.images.from_tensor` does.

    Args:
        array: 1 x 3 x H x W.
        form: what `to_array` gave along with the array.
    """
    array = colours_of(array, form)[0].transpose(1, 2, 0)
    assert isinstance(form.dtype, np.dtype)  # as of all that is no tensor
    if form.dtype.kind == "u":
        array = np.rint(array * np.iinfo(form.dtype).max)
    if form.alpha is not None:
        array = np.concatenate([array, np.asarray(form.alpha)], axis=2)
    array = array.astype(form.dtype)  # last: concatenation changes the order of bytes
    array = np.ascontiguousarray(array if form.axes == 3 else array[..., 0])
    if form.kind == "numpy":
        return array
    image = Image.fromarray(array)
    image.info.update(form.info)
    return image


def difference_from_array(array: NDArray[Any], form: ImageForm) -> NDArray[np.float32]:
    """Turn a difference into an array, as `danet.images.difference_from_tensor` does.

    Args:
        array: 1 x 3 x H x W, of any sign and size.
        form: what `to_array` gave along with the picture.
    """
    found: NDArray[np.float32] = difference_of(array, form)[0].transpose(1, 2, 0)
    flat = form.axes == 2 or (form.grey and form.alpha is not None)
    return np.ascontiguousarray(found[..., 0] if flat else found)


def colours_of(result: _ArrayT, form: ImageForm) -> _ArrayT:
    """The numbers that a picture has for a result, N x 3 x H x W: N x C x H x W, C being 1 or 3.

    They are in [0, 1].  Where its light is not plain, each number changes by as much light as what
    was seen of it.
    """
    shown: _ArrayT = _merged(result, form).clip(0, 1)
    if form.seen is None:
        return shown
    changed: _ArrayT = form.given + form.light.change(form.seen, shown)
    return changed


def difference_of(result: _ArrayT, form: ImageForm) -> _ArrayT:
    """The numbers that are taken from a picture for a residual, both as of `colours_of`."""
    taken = _merged(result, form)
    return taken if form.seen is None else form.light.change(form.seen - taken, form.seen)


def _merged(result: _ArrayT, form: ImageForm) -> _ArrayT:
    """N x 3 x H x W, or N x 1 x H x W with the mean of the channels for a grey picture."""
    if not form.grey:
        return result
    # The mean of the differences, so that three equal channels give exactly their value.
    first = result[:, :1]
    merged: _ArrayT = first + ((result[:, 1:2] - first) + (result[:, 2:] - first)) / 3
    return merged


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


def _from_pixels(array: NDArray[Any], light: Light) -> tuple[NDArray[np.float32], ImageForm]:
    if array.dtype.newbyteorder("=") not in _INTEGERS + _FLOATS:
        raise ImageError(
            f"a picture of {array.dtype} is not supported; take uint8, uint16, or float in [0, 1]"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in CHANNELS):
        raise ImageError(
            f"an array of shape {array.shape} is no picture; it must be H x W or H x W x C "
            "with 1 to 4 channels"
        )
    if array.size == 0:
        raise ImageError(f"the picture is empty: its shape is {array.shape}")
    stack = array[..., np.newaxis] if array.ndim == 2 else array
    grey = stack.shape[2] <= GREY_ALPHA
    alpha = stack[..., -1:].copy() if stack.shape[2] in (2, 4) else None
    colours = stack[..., :1] if grey else stack[..., :3]
    if array.dtype.kind == "u":
        if light.white is not None:
            raise ImageError(f"white is for pictures of floats, and this one is of {array.dtype}")
        colours = colours.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    else:
        check_floats(array.min(), array.max(), light)
        colours = colours.astype(np.result_type(array.dtype, np.float32))
    given = np.ascontiguousarray(colours.transpose(2, 0, 1))[np.newaxis]
    seen = light.seen(given).astype(np.float32, copy=False)
    kept: Any = {} if light == PLAIN else {"light": light, "given": given, "seen": seen}
    form = ImageForm("numpy", array.dtype, array.ndim, grey, alpha=alpha, **kept)
    return (np.repeat(seen, 3, axis=1) if grey else seen), form


def check_floats(low: float, high: float, light: Light) -> None:
    """Refuse floats that are not finite, or beyond what their light says.

    Args:
        low: the least of them; NaN where one of them is.
        high: the largest of them, likewise.
        light: how they stand for light.

    Raises:
        ImageError: they are.
    """
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
