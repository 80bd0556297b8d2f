"""Parts of pictures, read and put together without a second whole picture in between."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from danet.errors import ImageError
from danet.images import Picture, to_tensor

__all__ = ["Area", "Canvas", "check_picture", "part", "size_of"]

Area: TypeAlias = tuple[slice, slice]

_STRIP = 2**22  # pixels


def size_of(image: Picture) -> tuple[int, int]:
    """Height and width of a picture as `danet.images.to_tensor` takes it.

    Raises:
        ImageError: it has none.

    Example:
        >>> size_of(np.zeros((45, 70, 3), np.uint8))
        (45, 70)
    """
    if isinstance(image, Image.Image) and image.width and image.height:
        return image.height, image.width
    layouts = ((), (1,), (2,), (3,), (4,))
    if (
        isinstance(image, np.ndarray)
        and image.ndim > 1
        and image.size
        and image.shape[2:] in layouts
    ):
        return image.shape[0], image.shape[1]
    if isinstance(image, Tensor) and image.numel() and image.ndim in (3, 4):
        return image.shape[-2], image.shape[-1]
    to_tensor(image)  # says what is wrong
    raise ImageError(f"the picture is empty: {image!r}")


def part(image: Picture, area: Area) -> Picture:
    """Some rows and columns of a picture: a view of arrays and tensors, a copy of a PIL image."""
    rows, columns = area
    if isinstance(image, Image.Image):
        return image.crop((columns.start, rows.start, columns.stop, rows.stop))
    if isinstance(image, Tensor):
        return image[..., rows, columns]
    return image[rows, columns]


def check_picture(image: Picture) -> None:
    """Refuse a picture that `danet.images.to_tensor` does, looking at one strip after the other.

    Raises:
        ImageError: the picture cannot be taken; the message says why.
    """
    height, width = size_of(image)
    rows = max(1, _STRIP // width)
    for start in range(0, height, rows):
        strip = slice(start, min(start + rows, height)), slice(0, width)
        to_tensor(image if rows >= height else part(image, strip))


class Canvas:
    """A picture put together from parts, of the kind of the first one.

    Args:
        size: height and width.
        picture: an array or tensor to write to instead of a new one.
    """

    def __init__(self, size: tuple[int, int], picture: Picture | None = None) -> None:
        self._size = size
        self._picture = picture

    @property
    def picture(self) -> Picture:
        """What has been put together."""
        assert self._picture is not None  # a picture has at least one part
        return self._picture

    def put(self, picture: Picture, inner: Area, area: Area) -> None:
        """Write the area ``inner`` of a picture to ``area``."""
        whole = area == inner == (slice(0, self._size[0]), slice(0, self._size[1]))
        if self._picture is None and whole:
            self._picture = picture
            return
        if self._picture is None:
            self._picture = self._blank(picture)
        piece = part(picture, inner)
        if isinstance(self._picture, Image.Image):
            self._picture.paste(cast(Image.Image, piece), (area[1].start, area[0].start))
        elif isinstance(self._picture, Tensor):
            self._picture[..., area[0], area[1]] = cast(Tensor, piece)
        else:
            self._picture[area] = cast("NDArray[Any]", piece)

    def _blank(self, like: Picture) -> Picture:
        """A picture of the canvas's size, and of the kind, type and channels of another."""
        height, width = self._size
        if isinstance(like, Image.Image):
            blank = Image.new(like.mode, (width, height))
            blank.info.update(like.info)
            return blank
        if isinstance(like, Tensor):
            return like.new_empty((*like.shape[:-2], height, width))
        return np.empty((height, width, *like.shape[2:]), like.dtype)
