"""Real-world image noise: remove it, and make more that looks like it.

``import danet`` loads nothing heavy: the names below are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from danet.errors import DanetError

if TYPE_CHECKING:
    from danet import (
        augment,
        bench,
        data,
        images,
        inference,
        metrics,
        networks,
        noise,
        pages,
        pretrained,
        scale,
        train,
        video,
        weights,
    )
    from danet.pages import compare as show
    from danet.pretrained import Denoiser, NoiseGenerator

__all__ = [
    "DanetError",
    "Denoiser",
    "NoiseGenerator",
    "__version__",
    "augment",
    "bench",
    "data",
    "images",
    "inference",
    "metrics",
    "networks",
    "noise",
    "pages",
    "pretrained",
    "scale",
    "show",
    "train",
    "video",
    "weights",
]

__version__ = "0.1.0"

if not TYPE_CHECKING:  # a type checker that saw __getattr__ would accept any name

    def __getattr__(name: str) -> object:
        if name in {"Denoiser", "NoiseGenerator"}:
            return getattr(import_module("danet.pretrained"), name)
        if name == "show":
            return import_module("danet.pages").compare
        if name in __all__:
            return import_module(f"danet.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
