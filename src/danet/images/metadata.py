"""The metadata of picture files."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from danet.images import heif

__all__ = ["GAIN_MAP", "info_of", "page_exif", "parsed_exif", "tiff_exif", "unusual_chunks"]

GAIN_MAP = "the HDR gain map"

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

# What lies beside the picture and is not read, and the names by which XMP promises it.
_PROMISES = (
    (GAIN_MAP, b"http://ns.adobe.com/hdr-gain-map/1.0/", rb"\w+"),
    ("the video", b"http://ns.google.com/photos/1.0/camera/", rb"(?:MotionPhoto|MicroVideo)\w*"),
    ("the further XMP", b"http://ns.adobe.com/xmp/note/", b"HasExtendedXMP"),
    ("the files behind the picture", b"http://ns.google.com/photos/1.0/container/", b"Directory"),
)
# What the chunks of PNG are for sRGB.
_CHUNKS_OF_SRGB = {
    b"cICP": bytes([1, 13, 0, 1]),
    b"sRGB": bytes(1),
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
}
_LONGEST_XMP = 2**16  # of JPEG.  Longer ones could keep the search busy.


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
    info |= _beside(image)
    if isinstance(image, JpegImageFile):
        info["qtables"] = image.quantization
        sampling = get_sampling(image)
        info["subsampling"] = max(sampling, 0)  # -1: one that Pillow cannot write
    if isinstance(image, WebPImageFile):
        info["lossless"] = _is_lossless(Path(os.fsdecode(image.filename)))
    if isinstance(image, PngImageFile):
        info["text"] = dict(image.text)
        info["chunks"] = _colour_chunks(image)
    return info


def _colour_chunks(image: PngImageFile) -> dict[bytes, bytes]:
    """The chunks of a PNG file that say how its numbers are to be seen, beside a profile."""
    chunks: dict[bytes, bytes] = {}
    sizes = {name: len(data) for name, data in _CHUNKS_OF_SRGB.items()}
    if "transparency" not in image.info:  # which becomes a channel that sBIT knows nothing of
        sizes[b"sBIT"] = 3 if image.mode == "P" else len(image.getbands())
    with Path(os.fsdecode(image.filename)).open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
            size = int.from_bytes(head[:4], "big")
            if size == sizes.get(head[4:]):
                chunks.setdefault(head[4:], file.read(size))
                size = 0
            file.seek(size + 4, os.SEEK_CUR)
    return chunks


def unusual_chunks(info: Mapping[str, Any]) -> set[str]:
    """The chunks of PNG by which a picture is to be seen otherwise than in sRGB or its profile."""
    chunks: dict[bytes, bytes] = info.get("chunks", {})
    if b"cICP" in chunks:  # comes before all others, and before a profile
        counting = [b"cICP"]
    elif b"sRGB" in chunks or "icc_profile" in info:
        counting = []
    else:
        counting = [b"gAMA", b"cHRM"]
    return {
        f"the chunk {name.decode()}"
        for name in counting
        if chunks.get(name, _CHUNKS_OF_SRGB[name]) != _CHUNKS_OF_SRGB[name]
    }


def _beside(image: Image.Image) -> dict[str, Any]:
    """``lost``, what the files of phones have beside the picture, and XMP without it."""
    if image.format not in ("AVIF", "HEIF", "JPEG", "MPO"):
        return {}
    lost = heif.lost_parts(image)
    segments: list[tuple[str, bytes]] = getattr(image, "applist", [])
    # Of ISO 21496-1, whose parameters are in no XMP.
    if any(data.startswith(b"urn:iso:std:iso:ts:21496:-1") for _, data in segments):
        lost.add(GAIN_MAP)
    if "xmp" not in image.info:
        return {"lost": lost}
    xmp, promised = _without_promises(image.info["xmp"])
    return {"lost": lost | promised, "xmp": xmp}


def _without_promises(xmp: bytes) -> tuple[bytes, set[str]]:
    """XMP that promises nothing but the picture, and what it promised."""
    lost: set[str] = set()
    for what, space, names in _PROMISES if len(xmp) <= _LONGEST_XMP else ():
        prefix = re.search(rb"xmlns:(\w+)\s*=\s*[\"']" + re.escape(space), xmp)
        if prefix is None:
            continue
        name = rb"(" + prefix[1] + rb":" + names + rb")"
        xmp, attributes = re.subn(rb"\s" + name + rb"\s*=\s*(\"[^\"]*\"|'[^']*')", b"", xmp)
        xmp, elements = re.subn(rb"(?s)<" + name + rb"\b[^>]*?(/>|>.*?</\1\s*>)", b"", xmp)
        # The list of files says no more than the promises before it.
        if attributes + elements and (names != b"Directory" or not lost):
            lost.add(what)
    return xmp, lost


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


def page_exif(path: Path, page: Any) -> dict[str, Any]:
    """The EXIF of a page of a TIFF file that Pillow cannot open."""
    if page.parent.is_bigtiff and page.parent.byteorder == ">":  # nor its tags
        return {"lost": {"the tags"}}
    exif = Image.Exif()
    exif.endian, exif.bigtiff = page.parent.byteorder, page.parent.is_bigtiff
    with path.open("rb") as file:
        exif.load_from_fp(file, page.offset)
        return tiff_exif(exif)


def tiff_exif(exif: Image.Exif) -> dict[str, Any]:
    """``exif`` as `Frame` has it, of the tags of a TIFF file without those of its layout.

    With ``lost`` where the page has smaller copies.
    """
    lost = {"lost": {"the pictures in SubIFDs"}} if ExifTags.Base.SubIFDs in exif else {}
    # By which tifffile knows the layout of what it wrote itself.
    if str(exif.get(ExifTags.Base.ImageDescription)).startswith('{"shape":'):
        del exif[ExifTags.Base.ImageDescription]
    for tag in _LAYOUT_TAGS:
        exif.pop(tag, None)
    for tag, value in exif.items():
        if isinstance(value, str) and not value.isascii():
            exif[tag] = value.encode("latin-1", "replace")  # as it was read; Pillow writes ASCII
    try:
        exif.bigtiff = False  # that is of the file it comes from
        return lost | ({"exif": exif.tobytes()} if len(exif) else {})
    except Exception:  # tags of odd types; the picture matters more
        return lost


def _resolution(dpi: Any) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in dpi)
    except (TypeError, ValueError, ArithmeticError):
        return None
    # Files hold it in two bytes; damaged ones hold NaN.
    return (across, down) if 0 < across < 65536 and 0 < down < 65536 else None
