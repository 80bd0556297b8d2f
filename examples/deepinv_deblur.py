"""Deblur with deepinv, the denoiser as its prior: ``python examples/deepinv_deblur.py FOLDER``.

A picture of scikit-image is blurred and gets noise; plug-and-play half-quadratic splitting
restores it.  The pictures go to FOLDER, and their PSNR to standard output.
"""

import sys
from pathlib import Path

import torch
from deepinv.optim import HQS, L2, PnP
from deepinv.physics import BlurFFT, GaussianNoise
from deepinv.physics.functional.blur import gaussian_blur
from PIL import Image
from skimage.data import astronaut
from torch import Tensor, nn

from danet import Denoiser, metrics
from danet.images import from_tensor, to_tensor, write_image


class Prior(nn.Module):
    """What deepinv takes for a denoiser, for a network that finds the noise level itself.

    sigma is left out: the network has no place for it.  How much each step takes follows from the
    step size of the algorithm alone, which decides how much noise the network is shown.
    """

    def __init__(self) -> None:
        super().__init__()
        self.denoiser = Denoiser("photo-fast")

    def forward(self, picture: Tensor, sigma: object = None) -> Tensor:
        """Denoise N x C x H x W; the steps of an algorithm leave [0, 1] by a little."""
        return self.denoiser(picture.clamp(0, 1))


folder = Path(sys.argv[1])
clean, form = to_tensor(Image.fromarray(astronaut()[:256, 100:356]))
noise = GaussianNoise(0.01, rng=torch.Generator().manual_seed(0))
camera = BlurFFT(clean.shape[1:], filter=gaussian_blur((11, 11), 1.6), noise_model=noise)
blurred = camera(clean).clamp(0, 1)

solver = HQS(L2(), PnP(Prior()), stepsize=10.0, sigma_denoiser=0.01, max_iter=8)
restored = solver(blurred, camera).clamp(0, 1)
for name, picture in (("clean", clean), ("blurred", blurred), ("restored", restored)):
    write_image(from_tensor(picture, form), folder / f"{name}.png")
print(f"blurred {metrics.psnr(clean, blurred):.2f} dB")
print(f"restored {metrics.psnr(clean, restored):.2f} dB")
