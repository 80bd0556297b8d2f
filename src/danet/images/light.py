"""How the numbers of a picture stand for light."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

from danet.arrays import library_of
from danet.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PLAIN", "Light"]

_ArrayT = TypeVar("_ArrayT", NDArray[Any], "Tensor")


@dataclass(frozen=True)
class Light:
    """How the numbers of a picture stand for light.

    Attributes:
        white: the value, of floats, that counts as 1.  Values may be below 0 and above it.  None:
            1, and they must be from 0 to 1.
        linear: whether they are proportional to light.  The networks know pictures as screens show
            them, and so they see these by the curve of sRGB (IEC 61966-2-1).

    Raises:
        ConfigError: ``white`` is not positive and finite.

    Example:
        >>> import numpy as np
        >>> Light(white=2.0, linear=True).seen(np.array([-1.0, 0.0, 0.428, 7.0])).round(4)
        array([0. , 0. , 0.5, 1. ])
    """

    white: float | None = None
    linear: bool = False

    def __post_init__(self) -> None:
        if self.white is not None and not (math.isfinite(self.white) and self.white > 0):
            raise ConfigError(f"white is {self.white}, and must be positive and finite")

    @property
    def scale(self) -> float:
        """The value that counts as 1."""
        return 1.0 if self.white is None else self.white

    def seen(self, values: _ArrayT) -> _ArrayT:
        """What a network is given for the numbers of a picture: in [0, 1]."""
        shown = (values if self.white is None else values / self.white).clip(0, 1)
        if not self.linear:
            return shown
        bright = 1.055 * shown.clip(0.0031308, None) ** (1 / 2.4) - 0.055
        curved: _ArrayT = library_of(shown).where(shown <= 0.0031308, 12.92 * shown, bright)
        return curved

    def change(self, before: _ArrayT, after: _ArrayT) -> _ArrayT:
        """How the numbers change where what is seen of them does; 0 exactly where it does not."""
        changed: _ArrayT = self.scale * (self._light(after) - self._light(before))
        return changed

    def _light(self, shown: _ArrayT) -> _ArrayT:
        if not self.linear:
            return shown
        bright = ((shown + 0.055).clip(0.055, None) / 1.055) ** 2.4
        light: _ArrayT = library_of(shown).where(shown <= 0.04045, shown / 12.92, bright)
        return light


PLAIN = Light()
"""Numbers in [0, 1], which a network is given as they are."""
