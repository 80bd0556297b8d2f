"""TIFF files of pixels of any depth, with what else there is to say about them, by tifffile."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from danet.images.deep import BUFFER, SEPARATE_ALPHA, library

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["TiffWriter"]

# Number, type, count, value, and whether it is of one page alone.
_ExtraTag: TypeAlias = tuple[int, int, int, Any, bool]

# What tifffile writes by itself.
_RESOLUTION_TAGS = (
    ExifTags.Base.XResolution,
    ExifTags.Base.YResolution,
    ExifTags.Base.ResolutionUnit,
)
# tifffile writes no tags of these numbers: they are written with the next lower one at first.
_FOLDER_TAGS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_CLASSIC_LIMIT = 2**32 - 2**25  # bytes, with room for tags


class TiffWriter:
    """Writes pages of any depth to a TIFF file, one after the other; to be used in a with block.

    `finish` is to be called after the last one.

    Args:
        path: the file.
        expected_bytes: about how large it becomes.
    """

    def __init__(self, path: Path, expected_bytes: int) -> None:
        self._path = path
        self._tifffile = library("tifffile")
        bigtiff = expected_bytes > _CLASSIC_LIMIT
        self._pointer = TiffTags.LONG8 if bigtiff else TiffTags.LONG
        self._writer = self._tifffile.TiffWriter(path, byteorder="<", bigtiff=bigtiff)
        self._folders: list[dict[int, dict[int, Any]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # a file that failed is not kept
            self._writer.close()

    def write(self, pixels: NDArray[Any], options: Mapping[str, Any]) -> None:
        """Add a page.

        Args:
            pixels: H x W, or H x W x 2, 3 or 4.
            options: as for Pillow's ``save``: exif, icc_profile, dpi, compression; and what
                `page_info` gives.
        """
        exif = options.get("exif") or Image.Exif()
        folders = {int(tag): _plain(exif.get_ifd(tag)) for tag in _FOLDER_TAGS if tag in exif}
        tags = list(_extra_tags(exif))
        tags += [(tag - 1, self._pointer, 1, 0, True) for tag in folders]
        compression = options["compression"].removeprefix("tiff_")
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        self._writer.write(
            pixels,
            photometric="rgb" if channels > 2 else "minisblack",
            planarconfig=None if channels == 1 else "contig",
            extrasamples=options.get("extrasamples", [SEPARATE_ALPHA])
            if channels in (2, 4)
            else None,
            tile=options.get("tile"),
            compression=None if compression == "raw" else compression,
            predictor=compression in ("lzw", "deflate", "adobe_deflate"),
            iccprofile=options.get("icc_profile"),
            resolution=options.get("dpi"),
            resolutionunit="inch" if "dpi" in options else None,
            metadata=None,
            software=False,
            extratags=tags,
            buffersize=BUFFER,
        )
        self._folders.append(folders)

    def finish(self) -> None:
        """Write what is outstanding, append the folders of EXIF tags, and point the pages to them.

        Raises:
            struct.error: the file is too large for its kind, or a tag does not fit.
        """
        self._writer.close()
        with self._tifffile.TiffFile(self._path, mode="r+b") as file:
            handle = file.filehandle
            for page, folders in zip(file.pages, self._folders, strict=True):
                for tag, entries in folders.items():
                    handle.seek(0)
                    head = handle.read(16 if file.is_bigtiff else 8)
                    folder = ImageFileDirectory_v2(head, group=tag)
                    for key, value in entries.items():
                        folder[key] = value
                    place = handle.seek(0, os.SEEK_END)
                    handle.write(folder.tobytes(place))
                    entry = page.tags[tag - 1]
                    entry.overwrite(place)
                    handle.seek(entry.offset)
                    handle.write(int(tag).to_bytes(2, "little"))


def _extra_tags(exif: Image.Exif) -> Iterator[_ExtraTag]:
    """The tags of EXIF that are in no folder, as tifffile takes them."""
    for tag, value in exif.items():
        if tag not in (*_RESOLUTION_TAGS, *_FOLDER_TAGS):
            with suppress(Exception):  # of an odd type; the picture matters more
                yield _extra_tag(tag, value)


def _extra_tag(tag: int, value: Any) -> _ExtraTag:
    typed = ImageFileDirectory_v2()
    typed[tag] = value
    kind = typed.tagtype[tag]
    values = typed[tag] if isinstance(typed[tag], tuple) else (typed[tag],)
    data: Any = values
    if kind == TiffTags.ASCII:
        # As Pillow reads them; tifffile takes strings of ASCII alone.
        data = "\0".join(values).encode("latin-1", "replace")
    elif kind in (TiffTags.BYTE, TiffTags.UNDEFINED):
        data = b"".join(item if isinstance(item, bytes) else bytes([item]) for item in values)
    elif kind in (TiffTags.RATIONAL, TiffTags.SIGNED_RATIONAL):
        pairs = (Fraction(item).limit_denominator(2**31 - 1) for item in values)
        data = tuple(number for pair in pairs for number in pair.as_integer_ratio())
    return tag, kind, len(data) if isinstance(data, bytes) else len(values), data, True


def _plain(folder: Mapping[int, Any]) -> dict[int, Any]:
    return {key: value for key, value in folder.items() if not isinstance(value, dict)}
