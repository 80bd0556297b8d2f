"""HEIC and HEIF files, which Pillow reads and writes with pillow-heif."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from danet.errors import require

__all__ = ["SUFFIXES", "lost_parts", "register"]

SUFFIXES = frozenset({".heic", ".heif", ".hif"})

# Numbers of ITU-T H.273: the primaries and the curves of sRGB and its like, or none given.
_PRIMARIES_OF_SRGB = (1, 2)
_CURVES_OF_SRGB = (1, 2, 6, 13)


def register(path: Path, head: bytes = b"") -> None:
    """Teach Pillow these files, if the path has one of their suffixes, or the file begins so.

    Args:
        path: the file.
        head: its first bytes, of a file that is to be read.

    Raises:
        ConfigError: pillow-heif is not installed.
    """
    if path.suffix.lower() in SUFFIXES or head[4:10] == b"ftyphe":  # heic, heix, hevc ...
        require("pillow_heif", "heic", "a HEIC file").register_heif_opener()


def lost_parts(image: Image.Image) -> set[str]:
    """What a file has beside the 8 bits of its main picture, and nothing for other formats."""
    info: Mapping[Any, Any] = image.info if image.format == "HEIF" else {}
    nclx = info.get("nclx_profile", {})
    parts = {
        "the HDR gain map": any("gainmap" in kind for kind in info.get("aux", ())),
        "the depth map": info.get("depth_images"),
        "the other pictures": info and image.n_frames > 1,  # type: ignore[attr-defined]
        "the bits beyond 8": info.get("bit_depth", 8) > 8,
        "the colours of its nclx profile": "icc_profile" not in info
        and (
            nclx.get("color_primaries", 2) not in _PRIMARIES_OF_SRGB
            or nclx.get("transfer_characteristics", 2) not in _CURVES_OF_SRGB
        ),
    }
    return {name for name, is_there in parts.items() if is_there}
