"""Picture files to pixels, frame by frame, with all that the files say about them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from danet.errors import DanetError, ImageError, one_line
from danet.images import deep, exr, heif, jxl, raw
from danet.images.conversion import plain_mode
from danet.images.light import PLAIN, Light
from danet.images.metadata import GAIN_MAP, info_of, page_exif, parsed_exif

__all__ = [
    "PIXEL_FILES",
    "READABLE",
    "Frame",
    "PictureFile",
    "check_size",
    "in_8_bits",
    "light_of",
    "open_picture",
    "read_image",
    "read_pixels",
    "upright",
]

# Suffixes, in lower case, of what is taken for a picture in a folder.
READABLE = frozenset(
    {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
    | exr.SUFFIXES
    | heif.SUFFIXES
    | jxl.SUFFIXES
)
PIXEL_FILES = READABLE | {".npy"}

# No others are tried: some of Pillow's readers start programs, or take anything for theirs.
_FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
_LIMIT_ADVICE = "If they are meant, raise PIL.Image.MAX_IMAGE_PIXELS, or give --max-pixels"
# In one file.  A chain of pages takes a time to follow that grows with the square of its length.
_MOST_PICTURES = 2000
# Orientations whose rows, and whose columns, are in the other order; from 5 on, once exchanged.
_FLIPPED = (3, 4, 7, 8), (2, 3, 6, 7)


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a file.

    Attributes:
        pixels: H x W, or H x W x C with C 2 (grey and alpha), 3 or 4 (RGBA); uint8, uint16 or
            float, as the file holds them.
        info: what else the file says, for `danet.images.process_file` to write again: EXIF,
            colour profile, resolution, text, the duration in milliseconds, and how the file
            was compressed; and ``lost``, names of what lies beside the picture and is not read.
    """

    pixels: NDArray[Any]
    info: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class PictureFile:
    """An open picture file.

    Attributes:
        format: as Pillow calls it, such as "JPEG"; "NPY" for an array of NumPy, "RAW" for the raw
            file of a camera, "EXR" for an OpenEXR file, "JXL" for a JPEG XL file.
        count: number of its frames or pages.
        frames: gives each of them once, as it is read.
    """

    format: str
    count: int
    frames: Iterator[Frame]


@contextmanager
def open_picture(
    path: str | os.PathLike[str], scratch: str | os.PathLike[str] | None = None
) -> Iterator[PictureFile]:
    """Open a picture file to read its frames one by one, as deep as they are.

    Pixels lie as in the file, whatever its EXIF orientation says.  Palettes, 1-bit and
    other modes without plain channels are converted as `danet.images.to_tensor` does.

    Args:
        path: a file that Pillow reads, of a common format; a ``.npy`` file, which is
            memory-mapped; an OpenEXR file; a JPEG XL file, which is turned upright; or a raw file
            of a camera, which rawpy develops to 16 bits in sRGB, and turns upright.
        scratch: a folder to write the pixels of large TIFF files to when they are decoded, part by
            part: they are memory-mapped then, and the file is gone when they are.

    Yields:
        The file; its frames can be read until the block ends.

    Raises:
        ImageError: there is no such file, it is no picture, or it is damaged; it holds more than
            2000 pictures; it has more pixels than twice ``PIL.Image.MAX_IMAGE_PIXELS``, which can
            be raised; or it needs the packages of ``danet[exr]``, ``danet[formats]``,
            ``danet[heic]``, ``danet[jxl]`` or ``danet[raw]``.  Reading the frames raises it as
            well.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "grey.png"
        >>> Image.new("L", (70, 45)).save(path)
        >>> with open_picture(path) as file:
        ...     [frame.pixels.shape for frame in file.frames]
        [(45, 70)]
    """
    path = Path(path)
    with ExitStack() as stack:
        with _reading(path):
            if path.exists() and not path.is_file():
                raise ImageError(f"{path}: not a file")
            file = _open(path, stack, None if scratch is None else Path(scratch))
            if file.count < 1:
                raise ImageError(f"{path}: holds no picture")
            if file.count > _MOST_PICTURES:
                raise ImageError(
                    f"{path}: holds more than {_MOST_PICTURES} pictures, the most that one file "
                    "may hold; split it"
                )
        yield file


def read_image(path: str | os.PathLike[str]) -> Image.Image:
    """Read the first frame of a picture file, turned upright as its EXIF orientation says.

    Colours of 16 bits become 8 bits; `read_pixels` keeps them.

    Raises:
        ImageError: there is no such file, it is no picture, or it is damaged.
    """
    with _reading(path):
        if raw.is_raw(Path(path)):
            pixels, _ = raw.develop(Path(path), check_size, bits=8)
            return Image.fromarray(pixels.squeeze())
        if jxl.is_jxl(Path(path)):
            pixels, _ = jxl.read_jxl(Path(path), check_size)
            return Image.fromarray(pixels if pixels.dtype == np.uint8 else in_8_bits(pixels))
        with Image.open(path, formats=_formats(Path(path))) as image:
            image.load()
            return ImageOps.exif_transpose(image)


def read_pixels(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read the first frame of a picture file, turned upright as its EXIF orientation says.

    Returns:
        The pixels of a `Frame`, as deep as those of the file.

    Raises:
        ImageError: as `open_picture`.
    """
    with open_picture(path) as file:
        return upright(next(file.frames))


def upright(frame: Frame) -> NDArray[Any]:
    """A view of the pixels of a frame, turned as its EXIF orientation says."""
    exif = parsed_exif(frame.info.get("exif"))
    orientation = exif.get(ExifTags.Base.Orientation, 1) if exif else 1
    if orientation not in range(2, 9):
        return frame.pixels
    pixels = frame.pixels.swapaxes(0, 1) if orientation > 4 else frame.pixels
    rows, columns = (-1 if orientation in flipped else 1 for flipped in _FLIPPED)
    return pixels[::rows, ::columns]


def check_size(width: int, height: int) -> None:
    """Refuse a picture that is too large to be true, as Pillow does.

    Raises:
        ImageError: the picture has more pixels than twice ``PIL.Image.MAX_IMAGE_PIXELS``.
    """
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > 2 * limit:
        raise ImageError(
            f"{width} x {height} pixels exceed the limit of {2 * limit}. {_LIMIT_ADVICE}"
        )


def in_8_bits(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Pixels of 16 bits, rounded."""
    return np.rint(pixels / 257).astype(np.uint8)


def light_of(
    path: str | os.PathLike[str], white: float | None = None, linear: bool | None = None
) -> Light:
    """How the numbers of a file stand for light: those of OpenEXR are linear, with white at 1.

    Args:
        path: the file.
        white: what holds in place of that.
        linear: what holds in place of that.
    """
    usual = PLAIN
    with suppress(OSError):  # of a file that cannot be read
        if Path(path).is_file() and exr.is_exr(Path(path)):
            usual = Light(white=1.0, linear=True)
    return Light(
        usual.white if white is None else white, usual.linear if linear is None else linear
    )


@contextmanager
def _reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what goes wrong in the block into an `ImageError` that names the file."""
    try:
        yield
    except DanetError as error:
        named = str(error).startswith(f"{path}:")
        raise error if named else ImageError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: {one_line(error)} {_LIMIT_ADVICE}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: not a picture of a known format") from error
    # The decoders raise nearly anything on a damaged file.
    except Exception as error:
        raise ImageError(f"{path}: cannot be read: {one_line(error)}") from error


def _formats(path: Path) -> list[str]:
    Image.init()
    with path.open("rb") as file:
        heif.register(path, file.read(10))
    return [name for name in _FORMATS if name in Image.OPEN]


def _open(path: Path, stack: ExitStack, scratch: Path | None) -> PictureFile:
    alone = (
        ("RAW", raw.is_raw, raw.develop),
        ("EXR", exr.is_exr, exr.read_exr),
        ("JXL", jxl.is_jxl, jxl.read_jxl),
    )
    for name, is_one, read in alone:
        if is_one(path):
            return PictureFile(name, 1, _alone(path, read))
    if path.suffix.lower() == ".npy":
        # Mapped, so that a header cannot ask for more than the file holds.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        return PictureFile("NPY", 1, iter([Frame(array, {})]))
    try:
        if deep.is_foreign_tiff(path):
            raise UnidentifiedImageError
        image = stack.enter_context(Image.open(path, formats=_formats(path)))
    except UnidentifiedImageError:
        if not deep.is_tiff(path):
            raise
        pages = stack.enter_context(deep.open_tiff(path))  # of a depth that Pillow has no mode for
        count = _count(pages.__getitem__)
        return PictureFile("TIFF", count, _pages(path, pages, count, scratch))
    # GIF files are looked through quickly, and all but TIFF say how many they hold.
    count = _count(image.seek) if image.format == "TIFF" else getattr(image, "n_frames", 1)
    if image.format == "MPO" and GAIN_MAP in info_of(image).get("lost", ()):  # behind the picture
        return PictureFile("JPEG", 1, _frames(path, image, [0], scratch))
    if image.format == "HEIF":
        return PictureFile("HEIF", 1, _frames(path, image, [image.tell()], scratch))
    return PictureFile(image.format or "", count, _frames(path, image, range(count), scratch))


def _count(go_to: Callable[[int], object]) -> int:
    """The number of pages of a TIFF file, whose chain is followed only just beyond the limit."""
    with suppress(EOFError, IndexError):
        for number in range(_MOST_PICTURES + 1):
            go_to(number)
        number += 1
    return number


def _frames(
    path: Path, image: Image.Image, numbers: Iterable[int], scratch: Path | None
) -> Iterator[Frame]:
    for number in numbers:
        with _reading(path):
            image.seek(number)
            check_size(*image.size)
            frame = _frame(path, image, scratch)
        yield frame


def _frame(path: Path, image: Image.Image, scratch: Path | None) -> Frame:
    is_foreign = image.format == "TIFF" and image.info.get("compression") == "webp"
    if (
        deep.is_deep_tiff(image)
        or is_foreign
        or (scratch is not None and deep.is_large_tiff(image))
    ):
        with deep.open_tiff(path) as pages:
            page = pages[image.tell()]
            check_size(page.imagewidth, page.imagelength)
            return Frame(deep.read_page(page, scratch), info_of(image) | deep.page_info(page))
    is_deep = deep.is_deep_png(image)
    image.load()
    if is_deep:
        return Frame(deep.read_png(path), info_of(image))
    plain = plain_mode(image)
    info = info_of(image)
    if "icc_profile" not in plain.info:  # that of other colours
        info.pop("icc_profile", None)
    return Frame(np.asarray(plain), info)


def _alone(path: Path, read: Callable[..., Any]) -> Iterator[Frame]:
    with _reading(path):
        frame = Frame(*read(path, check_size))
    yield frame


def _pages(path: Path, pages: Any, count: int, scratch: Path | None) -> Iterator[Frame]:
    for number in range(count):
        with _reading(path):
            page = pages[number]
            check_size(page.imagewidth, page.imagelength)
            info = deep.all_page_info(page) | page_exif(path, page)
            frame = Frame(deep.read_page(page, scratch), info)
        yield frame
