"""Choose the strength without a clean picture, by scikit-image's J-invariance.

``python examples/skimage_calibrate.py NOISY CLEAN``
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.restoration import calibrate_denoiser
from skimage.util import img_as_float32, img_as_ubyte

from danet import Denoiser
from danet.images import read_image, write_image

denoiser = Denoiser("photo-fast")


def denoise(image: NDArray[Any], strength: float, channel_axis: int) -> NDArray[np.float32]:
    """What calibrate_denoiser takes: a function of a picture, and of settings to choose from."""
    return denoiser(image.astype(np.float32).clip(0, 1), strength=strength)


noisy = img_as_float32(np.asarray(read_image(sys.argv[1])))
settings = {"strength": [0.25, 0.5, 0.75, 1.0, 1.25], "channel_axis": [-1]}
_, (tried, losses) = calibrate_denoiser(noisy, denoise, settings, extra_output=True)
for setting, loss in zip(tried, losses, strict=True):
    print(f"strength {setting['strength']:.2f}: loss {loss:.6f}")
best = tried[int(np.argmin(losses))]["strength"]
clean = img_as_ubyte(denoiser(noisy, strength=best))
write_image(Image.fromarray(clean), sys.argv[2])
print(f"chosen {best}")
