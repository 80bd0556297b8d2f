"""Models of camera noise, to train with and to compare generators with.

Each is a `NoiseModel` and is sampled as `danet.NoiseGenerator` is.
"""

from danet.noise.camera import CameraPipeline
from danet.noise.cbdnet import CBDNetPipeline
from danet.noise.correlated import CorrelatedGaussian
from danet.noise.developed import DevelopedNoise
from danet.noise.gaussian import PoissonGaussian, WhiteGaussian
from danet.noise.model import NoiseModel

__all__ = [
    "CBDNetPipeline",
    "CameraPipeline",
    "CorrelatedGaussian",
    "DevelopedNoise",
    "NoiseModel",
    "PoissonGaussian",
    "WhiteGaussian",
]
