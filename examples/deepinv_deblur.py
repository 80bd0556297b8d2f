"""Deblur with deepinv, the denoiser as its prior.

``python examples/deepinv_deblur.py FOLDER [WEIGHTS]``

A picture of scikit-image is blurred and gets noise, and is restored in several ways; best by
plug-and-play half-quadratic splitting.  Three pictures go to FOLDER, and the PSNR of each way to
standard output.
"""

import sys
from functools import partial
from pathlib import Path

import torch
from deepinv.optim import DPIR, HQS, L2, PGD, PnP, TVPrior
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

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.denoiser = Denoiser(weights)

    def forward(self, picture: Tensor, sigma: object = None) -> Tensor:
        """Denoise N x C x H x W; the steps of an algorithm leave [0, 1] by a little."""
        return self.denoiser(picture.clamp(0, 1))


folder = Path(sys.argv[1])
clean, form = to_tensor(Image.fromarray(astronaut()[:256, 100:356]))
noise = GaussianNoise(0.01, rng=torch.Generator().manual_seed(0))
camera = BlurFFT(clean.shape[1:], filter=gaussian_blur((11, 11), 1.6), noise_model=noise)
blurred = camera(clean).clamp(0, 1)

prior = Prior(sys.argv[2] if len(sys.argv) > 2 else "photo-fast")
hqs = partial(HQS, L2(), PnP(prior), sigma_denoiser=0.01, max_iter=8)
solvers = {f"HQS, 8 steps of size {size:g}": hqs(stepsize=size) for size in (1.0, 10.0, 200.0)}
solvers["DPIR"] = DPIR(sigma=0.01, denoiser=prior)
solvers["PGD, total variation"] = PGD(L2(), TVPrior(), lambda_reg=1e-3, stepsize=1.0, max_iter=50)

results = {"blurred": blurred, "denoised alone": prior(blurred)}
results |= {name: solver(blurred, camera).clamp(0, 1) for name, solver in solvers.items()}
print("| | PSNR, dB |\n|---|---|")
for name, picture in results.items():
    print(f"| {name} | {metrics.psnr(clean, picture):.2f} |")
restored = results["HQS, 8 steps of size 10"]
for name, picture in (("clean", clean), ("blurred", blurred), ("restored", restored)):
    write_image(from_tensor(picture, form), folder / f"{name}.png")
