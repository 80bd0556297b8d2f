"""The two classes that most users need: `Denoiser` and `NoiseGenerator`."""

from danet.pretrained.denoiser import Denoiser
from danet.pretrained.generator import NoiseGenerator
from danet.pretrained.model import Settings

__all__ = ["Denoiser", "NoiseGenerator", "Settings"]
