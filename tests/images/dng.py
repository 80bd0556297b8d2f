"""Raw files to test with, as a camera would write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

SIDE = 16
# The stripes of a picture, in linear light.  By the white one LibRaw knows the white of the camera.
STRIPES = np.array([(1, 1, 1), (0.8, 0.1, 0.1), (0.1, 0.7, 0.2), (0.1, 0.2, 0.8), (0.2, 0.2, 0.2)])
MADE_OF_WHITE = (0.5, 1, 0.7)
BLACK, WHITE = 1000, 60000
XYZ_TO_SRGB = (3.2405, -1.5371, -0.4985, -0.9693, 1.8760, 0.0416, 0.0556, -0.2040, 1.0572)
TURN_RIGHT = 6  # to see it upright
TAKEN = {
    ExifTags.Base.ExposureTime: IFDRational(1, 30),
    ExifTags.Base.DateTimeOriginal: "2026:07:01 12:30:00",
    ExifTags.Base.MakerNote: b"offsets" * 30,
}


def rationals(values: Any) -> tuple[int, ...]:
    return tuple(number for value in values for number in (round(value * 10000), 10000))


def write_dng(path: Path, make: str | None = "Maker", preview: bytes | None = None) -> None:
    """A DNG file of upright stripes, whose first page is a preview, as those of cameras are."""
    import tifffile

    lying = np.repeat(STRIPES, SIDE, axis=0)[::-1]  # a row for each column of the picture
    light = np.broadcast_to(lying[:, None], (len(lying), 64, 3)) * MADE_OF_WHITE
    mosaic = light[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = light[::2, ::2, 0], light[1::2, 1::2, 2]
    raw = np.rint(mosaic * (WHITE - BLACK) + BLACK).astype(np.uint16)
    camera = [
        (274, "H", 1, TURN_RIGHT, True),
        (34664, "I", 1, 0, True),  # for the folder of EXIF
        (50706, "B", 4, bytes([1, 4, 0, 0]), True),  # version
        (50708, "s", 0, "Maker Model", True),
        (50721, 10, 9, rationals(XYZ_TO_SRGB), True),
        (50728, 5, 3, rationals(MADE_OF_WHITE), True),
        (50778, "H", 1, 21, True),  # D65
    ]
    if make is not None:
        camera += [(271, "s", 0, make, True), (272, "s", 0, "Model", True)]
    sensor = [
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, bytes([0, 1, 1, 2]), True),
        (50714, "H", 1, BLACK, True),
        (50717, "H", 1, WHITE, True),
    ]
    first: dict[str, Any] = {"data": np.zeros((80, 60, 3), np.uint8), "photometric": "rgb"}
    if preview is not None:
        first = {"data": iter([preview]), "shape": (80, 60, 3), "dtype": np.uint8}
        first |= {"photometric": "ycbcr", "compression": "jpeg", "rowsperstrip": 80}
    rest: dict[str, Any] = {"metadata": None, "software": False}
    with tifffile.TiffWriter(path) as file:
        file.write(subfiletype=1, subifds=1, extratags=camera, **first, **rest)
        file.write(raw, photometric=32803, extratags=sensor, **rest)
    with tifffile.TiffFile(path, mode="r+") as file:
        folder = ImageFileDirectory_v2(b"II*\0\0\0\0\0", group=ExifTags.IFD.Exif)
        for tag, value in TAKEN.items():
            folder[tag] = value
        handle, entry = file.filehandle, file.pages[0].tags[34664]
        place = handle.seek(0, 2)
        handle.write(folder.tobytes(place))
        entry.overwrite(place)
        handle.seek(entry.offset)
        handle.write(int(ExifTags.IFD.Exif if make else 34664).to_bytes(2, "little"))
