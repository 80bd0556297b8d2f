"""The networks of the paper: denoiser R, generator G, discriminator D, and the backbones B.

R(y) = y - B(y) and G(x, z) = x + B([x, z]).  The paper has a UNet for B, and names DnCNN, RED and
RIDNet as others.  All start from the framework's random weights.
"""

from danet.networks.backbone import Backbone, Kind
from danet.networks.build import BACKBONES, build
from danet.networks.denoiser import DenoiserNetwork
from danet.networks.discriminator import Discriminator
from danet.networks.dncnn import DnCNN
from danet.networks.generator import GeneratorNetwork
from danet.networks.half_unet import HalfUNet
from danet.networks.modulated import Modulated
from danet.networks.nafnet import NAFNet
from danet.networks.red import RED
from danet.networks.ridnet import RIDNet
from danet.networks.unet import UNet

__all__ = [
    "BACKBONES",
    "RED",
    "Backbone",
    "DenoiserNetwork",
    "Discriminator",
    "DnCNN",
    "GeneratorNetwork",
    "HalfUNet",
    "Kind",
    "Modulated",
    "NAFNet",
    "RIDNet",
    "UNet",
    "build",
]
