"""The classes that most users need: `Denoiser` and `NoiseGenerator`."""

from typing import TYPE_CHECKING

from danet.lazy import names_of

if TYPE_CHECKING:
    from danet.pretrained.denoiser import Denoiser
    from danet.pretrained.exported import ExportedDenoiser
    from danet.pretrained.generator import NoiseGenerator
    from danet.pretrained.model import Settings
else:
    _PLACES = {
        "Denoiser": "denoiser",
        "ExportedDenoiser": "exported",
        "NoiseGenerator": "generator",
        "Settings": "model",
    }
    __getattr__ = names_of(__name__, _PLACES)

__all__ = ["Denoiser", "ExportedDenoiser", "NoiseGenerator", "Settings"]
