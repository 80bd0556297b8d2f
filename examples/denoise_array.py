"""Denoise a NumPy array: ``python examples/denoise_array.py NOISY CLEAN``."""

import sys

import numpy as np
from PIL import Image

from danet import Denoiser

noisy = np.asarray(Image.open(sys.argv[1]).convert("RGB"))
denoised = Denoiser()(noisy)
Image.fromarray(denoised).save(sys.argv[2])
print(f"noise taken away: {np.std(noisy.astype(float) - denoised):.1f} of 255")
