"""The metadata of picture files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

__all__ = ["info_of", "page_exif", "parsed_exif", "tiff_exif"]

_KEPT = (
    "comment",
    "compression",
    "default_image",
    "dpi",
    "duration",
    "icc_profile",
    "loop",
    "progressive",
    "xmp",
)
_EXIF_HEADER = b"Exif\0\0"
# Tags by which a TIFF file describes its own layout, and which no other file shares with it.
_LAYOUT_TAGS = (
    *range(ExifTags.Base.NewSubfileType, ExifTags.Base.PhotometricInterpretation + 1),
    ExifTags.Base.FillOrder,
    ExifTags.Base.StripOffsets,
    ExifTags.Base.SamplesPerPixel,
    ExifTags.Base.RowsPerStrip,
    ExifTags.Base.StripByteCounts,
    ExifTags.Base.PlanarConfiguration,
    *range(ExifTags.Base.Predictor, ExifTags.Base.ColorMap + 1),
    *range(ExifTags.Base.TileWidth, ExifTags.Base.SubIFDs + 1),
    ExifTags.Base.ExtraSamples,
    ExifTags.Base.SampleFormat,
    ExifTags.Base.JPEGTables,
    *range(ExifTags.Base.YCbCrCoefficients, ExifTags.Base.ReferenceBlackWhite + 1),
    ExifTags.Base.InterColorProfile,
)


def parsed_exif(exif: bytes | None) -> Image.Exif | None:
    """EXIF that can be written again, or None."""
    parsed = Image.Exif()
    try:
        parsed.load(exif or b"")
        parsed.tobytes()
    except Exception:  # damaged; the picture matters more
        return None
    return parsed


def info_of(image: Image.Image) -> dict[str, Any]:
    """What an image that was opened from a file says beside its pixels, as `Frame` has it."""
    info = {key: image.info[key] for key in _KEPT if key in image.info}
    if image.format == "TIFF":
        exif = image.getexif()
        if ExifTags.Base.XResolution not in exif:  # Pillow makes one up
            info.pop("dpi", None)
        info |= tiff_exif(exif)
    else:
        info.pop("compression", None)  # a number, of BMP
        if data := image.info.get("exif"):
            info["exif"] = data if data.startswith(_EXIF_HEADER) else _EXIF_HEADER + data
    if resolution := _resolution(info.pop("dpi", None)):
        info["dpi"] = resolution
    if isinstance(image, JpegImageFile):
        info["qtables"] = image.quantization
        sampling = get_sampling(image)
        info["subsampling"] = max(sampling, 0)  # -1: one that Pillow cannot write
    if isinstance(image, WebPImageFile):
        info["lossless"] = _is_lossless(Path(os.fsdecode(image.filename)))
    if isinstance(image, PngImageFile):
        info["text"] = dict(image.text)
    return info


def _is_lossless(path: Path) -> bool:
    """Whether the first frame of a WebP file is compressed without loss."""
    with path.open("rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            name, size = head[:4], int.from_bytes(head[4:], "little")
            if name in (b"VP8 ", b"VP8L"):
                return name == b"VP8L"
            # A frame of an animation begins with 16 bytes, and has chunks of its own.
            file.seek(16 if name == b"ANMF" else size + size % 2, os.SEEK_CUR)
    return False


def page_exif(path: Path, page: Any) -> dict[str, bytes]:
    """The EXIF of a page of a TIFF file that Pillow cannot open."""
    exif = Image.Exif()
    exif.endian, exif.bigtiff = page.parent.byteorder, page.parent.is_bigtiff
    with path.open("rb") as file:
        exif.load_from_fp(file, page.offset)
        return tiff_exif(exif)


def tiff_exif(exif: Image.Exif) -> dict[str, bytes]:
    """``exif`` as `Frame` has it, of the tags of a TIFF file without those of its layout."""
    for tag in _LAYOUT_TAGS:
        exif.pop(tag, None)
    for tag, value in exif.items():
        if isinstance(value, str) and not value.isascii():
            exif[tag] = value.encode("latin-1", "replace")  # as it was read; Pillow writes ASCII
    try:
        exif.bigtiff = False  # that is of the file it comes from
        return {"exif": exif.tobytes()} if len(exif) else {}
    except Exception:  # tags of odd types; the picture matters more
        return {}


def _resolution(dpi: Any) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in dpi)
    except (TypeError, ValueError, ArithmeticError):
        return None
    # Files hold it in two bytes; damaged ones hold NaN.
    return (across, down) if 0 < across < 65536 and 0 < down < 65536 else None
