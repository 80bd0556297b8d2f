"""The networks B that a denoiser R or a noise generator G can be made of, by name.

R(y) = y - B(y) and G(x, z) = x + B([x, z]), see `danet.networks`.  The paper has a UNet for B, and
names DnCNN, RED and RIDNet as others.  All start from the framework's random weights.
"""

from danet.backbones.base import Backbone
from danet.backbones.dncnn import DnCNN
from danet.backbones.half_unet import HalfUNet
from danet.backbones.nafnet import NAFNet
from danet.backbones.red import RED
from danet.backbones.ridnet import RIDNet
from danet.backbones.unet import UNet

__all__ = ["BACKBONES", "RED", "Backbone", "DnCNN", "HalfUNet", "NAFNet", "RIDNet", "UNet"]

BACKBONES: dict[str, type[Backbone]] = {
    "unet": UNet,
    "half-unet": HalfUNet,
    "dncnn": DnCNN,
    "red": RED,
    "ridnet": RIDNet,
    "nafnet": NAFNet,
}
"""The backbones by the names that configurations have for them."""
