"""Pictures that are read and put together part by part, without a second whole one in between."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from danet.arrays import is_tensor
from danet.errors import ImageError
from danet.images.conversion import Picture, to_array

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Area", "Canvas", "Raster", "check_picture", "raster"]

Area: TypeAlias = tuple[slice, slice]

_PictureT = TypeVar("_PictureT", Image.Image, NDArray[Any], "Tensor")

_STRIP = 2**22  # pixels


class Raster(ABC, Generic[_PictureT]):
    """A picture, or a batch of pictures, and what its kind knows of it.

    Attributes:
        picture: a PIL image, array or tensor.
        size: height and width.
        count: how many pictures it is.
    """

    picture: _PictureT
    size: tuple[int, int]
    count: int = 1

    def __init__(self, picture: _PictureT) -> None:
        self.picture = picture

    @abstractmethod
    def part(self, area: Area) -> _PictureT:
        """Some rows and columns: a view of arrays and tensors, a copy of a PIL image."""

    @abstractmethod
    def put(self, area: Area, part: _PictureT) -> None:
        """Write some rows and columns."""

    @abstractmethod
    def blank(self, size: tuple[int, int], count: int) -> Raster[_PictureT]:
        """One of another size and count, and of the same kind, type and channels."""

    def some(self, group: range) -> Raster[_PictureT]:
        """Some of the pictures, a view of them."""
        return self


class _Pillow(Raster[Image.Image]):
    def __init__(self, picture: Image.Image) -> None:
        super().__init__(picture)
        self.size = picture.height, picture.width

    def part(self, area: Area) -> Image.Image:
        rows, columns = area
        return self.picture.crop((columns.start, rows.start, columns.stop, rows.stop))

    def put(self, area: Area, part: Image.Image) -> None:
        self.picture.paste(part, (area[1].start, area[0].start))

    def blank(self, size: tuple[int, int], count: int) -> Raster[Image.Image]:
        blank = Image.new(self.picture.mode, size[::-1])
        blank.info.update(self.picture.info)
        return _Pillow(blank)


class _Array(Raster[NDArray[Any]]):
    def __init__(self, picture: NDArray[Any]) -> None:
        super().__init__(picture)
        self.size = picture.shape[0], picture.shape[1]

    def part(self, area: Area) -> NDArray[Any]:
        return self.picture[area]

    def put(self, area: Area, part: NDArray[Any]) -> None:
        self.picture[area] = part

    def blank(self, size: tuple[int, int], count: int) -> Raster[NDArray[Any]]:
        return _Array(np.empty((*size, *self.picture.shape[2:]), self.picture.dtype))


class _Tensor(Raster["Tensor"]):
    def __init__(self, picture: Tensor) -> None:
        super().__init__(picture)
        self.size = picture.shape[-2], picture.shape[-1]
        self.count = len(picture) if picture.ndim == 4 else 1

    def part(self, area: Area) -> Tensor:
        return self.picture[..., area[0], area[1]]

    def put(self, area: Area, part: Tensor) -> None:
        self.picture[..., area[0], area[1]] = part

    def blank(self, size: tuple[int, int], count: int) -> Raster[Tensor]:
        batch = (count,) if self.picture.ndim == 4 else ()
        return _Tensor(self.picture.new_empty((*batch, self.picture.shape[-3], *size)))

    def some(self, group: range) -> Raster[Tensor]:
        if self.picture.ndim == 3:
            return self
        return _Tensor(self.picture[group.start : group.stop])


def raster(image: Picture) -> Raster[Any]:
    """What is known of a picture as `danet.images.to_tensor` takes it.

    Raises:
        ImageError: ``image`` is no picture, or has no pixels.

    Example:
        >>> raster(np.zeros((45, 70, 3), np.uint8)).size
        (45, 70)
    """
    if isinstance(image, Image.Image) and image.width and image.height:
        return _Pillow(image)
    layouts = ((), (1,), (2,), (3,), (4,))
    if (
        isinstance(image, np.ndarray)
        and image.ndim > 1
        and image.size
        and image.shape[2:] in layouts
    ):
        return _Array(image)
    if is_tensor(image) and image.numel() and image.ndim in (3, 4):
        return _Tensor(image)
    _take(image)  # says what is wrong
    raise ImageError(f"the picture is empty: {image!r}")


def check_picture(image: Picture) -> None:
    """Refuse a picture that `danet.images.to_tensor` does, looking at one strip after the other.

    Raises:
        ImageError: the picture cannot be taken; the message says why.
    """
    whole = raster(image)
    height, width = whole.size
    rows = max(1, _STRIP // width)
    for start in range(0, height, rows):
        strip = slice(start, min(start + rows, height)), slice(0, width)
        _take(image if rows >= height else whole.part(strip))


def _take(image: Picture) -> None:
    if is_tensor(image):
        from danet.images.tensors import to_tensor

        to_tensor(image)
    else:
        to_array(image)


class Canvas:
    """A picture put together from parts, of the kind of the first one.

    Args:
        size: height and width.
        count: how many pictures it is.
        picture: an array to write to instead of a new one.
    """

    def __init__(
        self, size: tuple[int, int], count: int, picture: NDArray[Any] | None = None
    ) -> None:
        self._size = size
        self._count = count
        self._whole = None if picture is None else raster(picture)

    @property
    def picture(self) -> Picture:
        """What has been put together."""
        assert self._whole is not None  # a picture has at least one part
        return cast(Picture, self._whole.picture)

    def put(self, picture: Picture, group: range, area: Area, inner: Area) -> None:
        """Write to the area of some of the pictures what ``picture`` has in its area ``inner``."""
        given = raster(picture)
        if self._whole is None:
            if (given.size, given.count) == (self._size, self._count):
                self._whole = given
                return
            self._whole = given.blank(self._size, self._count)
        self._whole.some(group).put(area, given.part(inner))
