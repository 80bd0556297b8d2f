"""Raw files of cameras, developed to pictures by rawpy."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from danet.errors import ImageError, one_line, require
from danet.images.metadata import tiff_exif

__all__ = ["SUFFIXES", "develop", "is_raw"]

# In lower case.
SUFFIXES = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw"}
    | {".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"}
)

_SRGB_CURVE = 2.4, 12.92  # its power, and its slope near black
_ORDERS: dict[bytes, tuple[str, Literal["little", "big"]]] = {
    b"II": ("<", "little"),
    b"MM": (">", "big"),
}
# All others describe the raw data, or how another program is to develop them.
_KEPT_TAGS = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
    ExifTags.IFD.Exif,
    ExifTags.IFD.GPSInfo,
)
# Notes of the maker point into the file that they stand in.
_LEFT_OUT = {
    ExifTags.Base.MakerNote,
    ExifTags.Base.ExifImageWidth,
    ExifTags.Base.ExifImageHeight,
    ExifTags.IFD.Interop,
}


def is_raw(path: Path) -> bool:
    """Whether a file is a raw one by its suffix, or a TIFF file whose first page is a preview."""
    if path.suffix.lower() in SUFFIXES:
        return True
    with suppress(Exception):  # no TIFF file, or a damaged one
        exif = Image.Exif()
        with path.open("rb") as file:
            if file.read(4) not in (b"II*\0", b"MM\0*"):
                return False
            file.seek(0)
            exif.load_from_fp(file)
            is_preview: bool = exif[ExifTags.Base.NewSubfileType] & 1 == 1
            return is_preview and ExifTags.Base.SubIFDs in exif
    return False


def develop(
    path: Path, check_size: Callable[[int, int], None], bits: int = 16
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Develop a raw file: the camera's white balance, sRGB, upright, as bright as it was taken.

    Args:
        path: the file.
        check_size: raises an error for a width and a height that are too large.
        bits: 8 or 16, of the pixels.

    Returns:
        Pixels, H x W x 3, or H x W x 1 of a camera without colours; and EXIF and colour profile, as
        a `danet.images.Frame` has them.

    Raises:
        ConfigError: rawpy is not installed.
        ImageError: it cannot read the file, or the file is damaged.
    """
    rawpy = require("rawpy", "raw", "a raw file")
    exif = _own_exif(path)
    try:
        with rawpy.imread(str(path)) as raw:
            check_size(raw.sizes.width, raw.sizes.height)
            pixels: NDArray[Any] = raw.postprocess(
                use_camera_wb=True, no_auto_bright=True, gamma=_SRGB_CURVE, output_bps=bits
            )
            if not exif:
                with suppress(Exception):  # no preview, or none with EXIF
                    exif = _preview_exif(raw.extract_thumb().data)
    except rawpy.LibRawError as error:
        # The library's own words, which come as bytes.
        reason = b" ".join(word for word in error.args if isinstance(word, bytes)).decode()
        raise ImageError(
            "a raw file that is damaged, or of a camera that LibRaw does not know: "
            f"{reason or one_line(error)}"
        ) from error
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return pixels, {"icc_profile": profile} | exif


def _own_exif(path: Path) -> dict[str, bytes]:
    """The EXIF of a raw file that is built as TIFF files are, as most are."""
    exif = Image.Exif()
    with path.open("rb") as file, suppress(Exception):  # of another build, or damaged
        order, place = file.read(4)[:2], file.read(4)
        exif.endian, name = _ORDERS[order]
        exif.load_from_fp(file, int.from_bytes(place, name))
        return _kept(exif)
    return {}


def _preview_exif(data: bytes) -> dict[str, bytes]:
    with Image.open(BytesIO(data), formats=["JPEG"]) as preview:
        return _kept(preview.getexif())


def _kept(exif: Image.Exif) -> dict[str, bytes]:
    for tag in set(exif).difference(_KEPT_TAGS):
        del exif[tag]
    for tag in {ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo}.intersection(exif):
        for inner in _LEFT_OUT & exif.get_ifd(tag).keys():
            del exif.get_ifd(tag)[inner]
    return tiff_exif(exif)
