"""What is asked for of tiles and memory, and what tiles must obey."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import TypedDict

from danet.errors import ConfigError
from danet.inference.memory import SHARE
from danet.inference.sizes import BORDER, padded_length
from danet.inference.tiling import Size

__all__ = ["EngineSettings", "Rules", "too_little"]


class Rules(TypedDict):
    """What `danet.inference.tiling` knows of a network."""

    halo: int
    multiple: int
    border: int


@dataclass
class EngineSettings:
    """How pictures are cut into tiles, and the memory that computing may take.

    Attributes:
        tile: side of square tiles, without their halo; None: as large as memory allows.
        max_memory: bytes that computing may take on a device beside the picture and its
            result; None: half of what the device has free.
        halo: pixels around a tile that are computed with it; None: as many as make the result
            that of the whole picture.
        border: pixels by which a picture is mirrored beyond each side for the network, rounded up
            to its ``size_multiple``; None: `danet.inference.sizes.BORDER`.
        jobs: how many pictures are computed at once, by threads that share what is free;
            ``max_memory`` is for each of them.

    Raises:
        ConfigError: a setting is no whole number, or out of its range.
    """

    tile: int | None = None
    max_memory: int | None = None
    halo: int | None = None
    border: int | None = None
    jobs: int = 1

    def __post_init__(self) -> None:
        units = {"tile": "pixels", "max_memory": "bytes", "halo": "pixels", "border": "pixels"}
        for name, unit in units.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, Integral):
                raise ConfigError(f"{name} is {value!r}, and must be a whole number of {unit}")
        if self.max_memory is not None and self.max_memory <= 0:
            raise ConfigError(f"max_memory is {self.max_memory}, and must be positive")
        for name, pixels in (("halo", self.halo), ("border", self.border)):
            if pixels is not None and pixels < 0:
                raise ConfigError(f"{name} is {pixels}, and must not be negative")

    def rules(self, halo: int | None, multiple: int, reach: int = 0) -> Rules:
        """What the tiles of a network must obey.

        Args:
            halo: that of the network; None: no halo gives the result of the whole picture.
            multiple: its ``size_multiple``.
            reach: how many pixels around each result of the network a treatment needs.
        """
        around = padded_length((self.halo_within(halo, multiple) or 0) + reach, multiple)
        return {"halo": around, "multiple": multiple, "border": self.border_for(multiple)}

    def halo_within(self, exact: int | None, multiple: int) -> int | None:
        """The halo as a multiple of what a network needs, and no more than makes it exact."""
        if self.halo is None:
            return exact
        rounded = padded_length(self.halo, multiple)
        return rounded if exact is None else min(rounded, exact)

    def border_for(self, multiple: int) -> int:
        """By how many pixels pictures are mirrored: a multiple of what a network needs."""
        return padded_length(BORDER if self.border is None else self.border, multiple)

    def budget(self, free: int, *, whole: bool) -> float:
        """How many bytes computing may take where so many are free.

        Args:
            free: how many.
            whole: no smaller tile is left to fall back to.
        """
        if self.max_memory is not None:
            return self.max_memory
        return (1 if whole else SHARE) * free / self.jobs


def too_little(name: str, size: Size, window: Size, bytes_per_pixel: float, *, whole: bool) -> str:
    """What to say where memory does not suffice.

    Args:
        name: of the network.
        size: height and width of the picture.
        window: of the smallest tile.
        bytes_per_pixel: what computing takes.
        whole: no tiles give the network's exact result.
    """
    need = f"{bytes_per_pixel * math.prod(window) / 2**20:,.1f} MiB"
    if whole:
        return (
            f"a picture of {size[1]} x {size[0]} pixels takes about {need} of memory, and "
            f"there is less: a {name} sees all of it at once, so that tiles "
            "do not give its exact result; with halo=64, say, tiles come near"
        )
    return (
        f"the smallest tile, {window[1]} x {window[0]} pixels with its halo, takes about "
        f"{need} of memory, and there is less"
    )
