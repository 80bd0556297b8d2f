"""Picture files that Pillow has no mode for, or can only take as a whole.

PNG and TIFF files of more than 8 bits in several channels, and large TIFF files: imagecodecs and
tifffile, of ``danet[formats]``, read and write them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.PngImagePlugin import getchunks
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from danet.errors import ImageError
from danet.files import scratch_array

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "LOSSLESS",
    "TiffWriter",
    "encode_png",
    "is_deep_png",
    "is_deep_tiff",
    "is_large",
    "is_large_tiff",
    "is_tiff",
    "needed",
    "open_tiff",
    "page_info",
    "page_tile",
    "read_page",
    "read_png",
]

# What a TIFF file can be written with again, as tifffile calls it; Pillow puts "tiff_" before some.
LOSSLESS = frozenset({"raw", "packbits", "lzw", "deflate", "adobe_deflate", "lzma", "zstd"})

_DEEP_PNG = ("LA;16B", "RGB;16B", "RGBA;16B")
_MINIMUM_IS_BLACK, _RGB = 1, 2
_PNG_HEAD = 33  # bytes of the signature and the header chunk
_SEPARATE_PLANES = 2
_SEPARATE_ALPHA = 2
_NO_UNIT = 1
_TEXT_TAGS = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Copyright,
)
# tifffile writes no tags of these numbers: they are written with the next lower one at first.
_FOLDER_TAGS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_CLASSIC_LIMIT = 2**32 - 2**25  # bytes, with room for tags
# Pixels of more bytes are read, held and written in parts where that can be done.
_LARGE = 2**24
_BUFFER = 2**24  # bytes that are decoded or encoded ahead
_INTEGER, _FLOAT = 1, 3
_HELD_SAMPLES = {(_INTEGER, 8), (_INTEGER, 16), (_FLOAT, 16), (_FLOAT, 32), (_FLOAT, 64)}


def _library(name: str) -> ModuleType:
    """Import imagecodecs or tifffile.

    Raises:
        ImageError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImageError(
            f"colours of more than 8 bits need {name}: pip install 'danet[formats]'"
        ) from error


def needed(pixels: NDArray[Any]) -> bool:
    """Whether Pillow has no mode for H x W (x C) pixels."""
    if pixels.ndim == 3:
        return pixels.dtype != np.uint8
    return pixels.dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.float32)


def is_deep_png(image: Image.Image) -> bool:
    """Whether Pillow would take bits away from an image that is open and not yet loaded."""
    if image.format != "PNG" or getattr(image, "n_frames", 1) > 1:
        return False
    grey = image.mode.startswith("I") and "transparency" in image.info
    return grey or any(tile[3] in _DEEP_PNG for tile in getattr(image, "tile", []))


def is_deep_tiff(image: Image.Image) -> bool:
    """Whether Pillow would take bits away from an image that is open and not yet loaded.

    Raises:
        ImageError: its values run from white to black, which is not supported.
    """
    if image.format != "TIFF":
        return False
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    bits = tags.get(ExifTags.Base.BitsPerSample, (1,))
    deep = max(bits, default=1) > 8
    if deep and tags.get(ExifTags.Base.PhotometricInterpretation) == 0:
        raise ImageError("more than 8 bits from white to black are not supported")
    return deep and tags.get(ExifTags.Base.SamplesPerPixel, 1) > 1


def is_large(size: int) -> bool:
    """Whether so many bytes of pixels are to be written to a TIFF file in parts."""
    return size > _LARGE and all(find_spec(name) for name in ("imagecodecs", "tifffile"))


def is_large_tiff(image: Image.Image) -> bool:
    """Whether an image that is open and not yet loaded is large, and can be read in parts."""
    if image.format != "TIFF":
        return False
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    bits = set(tags.get(ExifTags.Base.BitsPerSample, (1,)))
    kinds = set(tags.get(ExifTags.Base.SampleFormat, (_INTEGER,)))
    samples = tags.get(ExifTags.Base.SamplesPerPixel, 1)
    return (
        is_large(image.width * image.height * samples * max(bits) // 8)
        and len(bits) == len(kinds) == 1
        and (kinds.pop(), bits.pop()) in _HELD_SAMPLES
        and tags.get(ExifTags.Base.PhotometricInterpretation) in (_MINIMUM_IS_BLACK, _RGB)
        and tags.get(ExifTags.Base.ExtraSamples, (_SEPARATE_ALPHA,)) == (_SEPARATE_ALPHA,)
        and image.info.get("compression", "").removeprefix("tiff_") in LOSSLESS
    )


def is_tiff(path: Path) -> bool:
    """Whether a file begins as one of TIFF does."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_png(path: Path) -> NDArray[Any]:
    """The pixels of a PNG file, H x W x 2, 3 or 4, uint16."""
    pixels: NDArray[Any] = _library("imagecodecs").png_decode(path.read_bytes())
    return pixels


def encode_png(pixels: NDArray[Any], options: Mapping[str, Any]) -> bytes:
    """A PNG file of H x W x 2, 3 or 4 pixels of uint16.

    Args:
        pixels: in the byte order of the machine or another.
        options: as for Pillow's ``save``: exif, icc_profile, dpi, pnginfo.
    """
    native = np.ascontiguousarray(pixels, np.uint16)
    data: bytes = _library("imagecodecs").png_encode(native)
    # Pillow makes the chunks that hold all but the pixels.
    chunks = [
        len(body).to_bytes(4, "big") + name + body + check
        for name, body, check in getchunks(Image.new("RGB", (1, 1)), **options)
        if name not in (b"IHDR", b"IDAT", b"IEND")
    ]
    return b"".join([data[:_PNG_HEAD], *chunks, data[_PNG_HEAD:]])


@contextmanager
def open_tiff(path: Path) -> Iterator[Any]:
    """Open a TIFF file, and give its pages."""
    with _library("tifffile").TiffFile(path) as file:
        yield file.pages


def page_info(page: Any) -> dict[str, Any]:
    """The compression, colour profile and resolution of a page, as Pillow would give them.

    Args:
        page: a ``TiffPage`` of tifffile.
    """
    compression = getattr(page.compression, "name", "unknown").lower()
    info: dict[str, Any] = {"compression": compression.replace("none", "raw")}
    if page.iccprofile:
        info["icc_profile"] = page.iccprofile
    if "XResolution" in page.tags and page.resolutionunit != _NO_UNIT:
        info["dpi"] = page.get_resolution("inch")
    return info


def page_tile(page: Any) -> tuple[int, int] | None:
    """Height and width of the tiles of a page, if it has any that can be written again."""
    if not page.is_tiled or page.tilelength % 16 or page.tilewidth % 16:
        return None
    return page.tilelength, page.tilewidth


def read_page(page: Any, scratch: Path | None = None) -> NDArray[Any]:
    """The pixels of a page, H x W or H x W x C.

    Args:
        page: a ``TiffPage`` of tifffile.
        scratch: a folder to write large pictures to when they are decoded; they are
            memory-mapped then.

    Raises:
        ImageError: they are neither grey nor RGB, or have more channels than these.
        DanetError: there is no room for them.
    """
    if page.photometric not in (_MINIMUM_IS_BLACK, _RGB):
        colours = getattr(page.photometric, "name", page.photometric)
        raise ImageError(f"{colours} of more than 8 bits is not supported; take grey or RGB")
    if page.samplesperpixel > 4 or page.imagedepth > 1:  # a faulty file can ask for very much
        raise ImageError(
            f"{page.samplesperpixel} channels and a depth of {page.imagedepth} are not supported; "
            "take 1 to 4 channels"
        )
    out: Any = None
    if scratch is not None and page.nbytes > _LARGE:
        order = np.dtype(page.parent.byteorder + page.dtype.char)
        is_plain = page.is_memmappable and order.isnative
        out = "memmap" if is_plain else scratch_array(scratch, page.shape, page.dtype)
    pixels: NDArray[Any] = page.asarray(out=out, buffersize=_BUFFER)
    return np.moveaxis(pixels, 0, -1) if page.planarconfig == _SEPARATE_PLANES else pixels


class TiffWriter:
    """Writes pages of any depth to a TIFF file, one after the other; to be used in a with block.

    Args:
        path: the file.
        expected_bytes: about how large it becomes.
    """

    def __init__(self, path: Path, expected_bytes: int) -> None:
        self._path = path
        self._tifffile = _library("tifffile")
        self._writer = self._tifffile.TiffWriter(
            path, byteorder="<", bigtiff=expected_bytes > _CLASSIC_LIMIT
        )
        self._folders: list[dict[int, dict[int, Any]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._writer.close()
        if kind is None:
            self._fill_in()

    def write(self, pixels: NDArray[Any], options: Mapping[str, Any]) -> None:
        """Add a page.

        Args:
            pixels: H x W, or H x W x 2, 3 or 4.
            options: as for Pillow's ``save``: exif, icc_profile, dpi, compression; and tile, height
                and width of tiles.
        """
        exif = options.get("exif") or Image.Exif()
        folders = {int(tag): _plain(exif.get_ifd(tag)) for tag in _FOLDER_TAGS if tag in exif}
        tags: list[tuple[int, str, int, Any, bool]]
        tags = [(tag, "s", 0, str(exif[tag]), True) for tag in _TEXT_TAGS if tag in exif]
        if orientation := exif.get(ExifTags.Base.Orientation):
            tags.append((ExifTags.Base.Orientation, "H", 1, orientation, True))
        tags += [(tag - 1, "I", 1, 0, True) for tag in folders]
        compression = options["compression"].removeprefix("tiff_")
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        self._writer.write(
            pixels,
            photometric="rgb" if channels > 2 else "minisblack",
            planarconfig=None if channels == 1 else "contig",
            extrasamples=["unassalpha"] if channels in (2, 4) else None,
            tile=options.get("tile"),
            compression=None if compression == "raw" else compression,
            predictor=compression in ("lzw", "deflate", "adobe_deflate"),
            iccprofile=options.get("icc_profile"),
            resolution=options.get("dpi"),
            resolutionunit="inch" if "dpi" in options else None,
            metadata=None,
            software=False,
            extratags=tags,
            buffersize=_BUFFER,
        )
        self._folders.append(folders)

    def _fill_in(self) -> None:
        """Append the folders of EXIF tags, and point the pages to them."""
        with self._tifffile.TiffFile(self._path, mode="r+b") as file:
            handle = file.filehandle
            for page, folders in zip(file.pages, self._folders, strict=True):
                for tag, entries in folders.items():
                    handle.seek(0)
                    folder = ImageFileDirectory_v2(handle.read(8), group=tag)
                    for key, value in entries.items():
                        folder[key] = value
                    place = handle.seek(0, os.SEEK_END)
                    handle.write(folder.tobytes(place))
                    entry = page.tags[tag - 1]
                    entry.overwrite(place)
                    handle.seek(entry.offset)
                    handle.write(int(tag).to_bytes(2, "little"))


def _plain(folder: Mapping[int, Any]) -> dict[int, Any]:
    return {key: value for key, value in folder.items() if not isinstance(value, dict)}
