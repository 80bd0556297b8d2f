"""Real-world image noise: remove it, and make more that looks like it.

``import danet`` loads nothing heavy: the names below are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from danet.errors import DanetError

if TYPE_CHECKING:
    from danet import metrics, noise, train
    from danet.pretrained import Denoiser, NoiseGenerator

__all__ = [
    "DanetError",
    "Denoiser",
    "NoiseGenerator",
    "__version__",
    "metrics",
    "noise",
    "train",
]

__version__ = "0.1.0"

if not TYPE_CHECKING:  # a type checker that saw __getattr__ would accept any name

    def __getattr__(name: str) -> object:
        if name in {"metrics", "noise", "train"}:
            return import_module(f"danet.{name}")
        if name in {"Denoiser", "NoiseGenerator"}:
            return getattr(import_module("danet.pretrained"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
