"""The noise that CBDNet was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from danet.noise import processing
from danet.noise.model import Array, NoiseModel
from danet.rules import SHARE, Settings, rising

__all__ = ["CBDNetPipeline"]

_TABLE = np.linspace(0, 1, 4097, dtype=np.float32)


@dataclass(frozen=True)
class CBDNetPipeline(NoiseModel, Settings):
    """The noise model of CBDNet: y = JPEG(f(DM(L + n(L)))), with L = M(f^-1(x)).

    "Toward convolutional blind denoising of real photographs" (CBDNet, Guo et al., CVPR 2019),
    section 3.1.  f is a camera response function, M a Bayer mosaic, DM its demosaicing, and n(L)
    Gaussian with variance ``L * shot**2 + read**2``.  Each call draws a camera, and each channel
    its own noise levels, as the authors' program does.  (The program lets the deviation, not the
    variance, grow with L; this is the paper's form.)

    The authors draw f from the 201 measured curves of the DoRF data base (Grossberg, Nayar,
    "Modeling the space of camera response functions", IEEE TPAMI 2004), which cannot be shipped.
    A family of curves stands in for them: t = L**(1/gamma), then (1 - contrast) t + contrast
    (3 t^2 - 2 t^3).  Its ranges are a choice of this library's, around the usual gamma of 2.2.

    Args:
        shot: range of the signal-dependent noise level, sigma_s of the paper, drawn uniformly.
        read: range of the stationary noise level, sigma_c of the paper, drawn uniformly.
        gamma: range of the response curves' exponent, drawn uniformly.
        contrast: range of the S-shaped part of the response curves, drawn uniformly.
        mosaic: share of pictures that come through a Bayer mosaic, in one of its four orders.
        jpeg: share that is saved as JPEG, with the colours at half the resolution.  The paper
            leaves it out, 0, where the noisy pictures were never compressed.
        jpeg_quality: lowest and highest quality of JPEG, on Pillow's scale.

    Raises:
        ConfigError: a share is not from 0 to 1, or a range is not two rising numbers.

    Example:
        >>> clean = np.full((32, 32, 3), 0.5, dtype=np.float32)
        >>> CBDNetPipeline().sample(clean, n=4, seed=0).shape
        (4, 32, 32, 3)
    """

    shot: Annotated[tuple[float, float], rising(0)] = (0.0, 0.16)
    read: Annotated[tuple[float, float], rising(0)] = (0.0, 0.06)
    gamma: Annotated[tuple[float, float], rising()] = (1.6, 2.8)
    contrast: Annotated[tuple[float, float], rising(0, 1)] = (0.0, 0.5)
    mosaic: Annotated[float, SHARE] = 0.8
    jpeg: Annotated[float, SHARE] = 1.0
    jpeg_quality: Annotated[tuple[int, int], rising(1, 100)] = (60, 100)

    def add_noise(self, clean: Array, rng: np.random.Generator) -> Array:
        """See `NoiseModel.add_noise`; after JPEG, the values are multiples of 1/255."""
        gamma, contrast = rng.uniform(*self.gamma), rng.uniform(*self.contrast)
        curve = (1 - contrast) * _TABLE + contrast * processing.tone_curve(_TABLE)
        linear = np.interp(clean, curve, _TABLE) ** gamma

        shot, read = rng.uniform(*self.shot, size=3), rng.uniform(*self.read, size=3)
        deviation = np.sqrt(linear * shot**2 + read**2)
        noise = rng.standard_normal(clean.shape, dtype=np.float32)
        linear = np.clip(linear + deviation * noise, 0, 1)
        if rng.random() < self.mosaic:
            row, column = (int(first) for first in rng.integers(0, 2, size=2))
            linear = np.clip(
                processing.demosaic_malvar(processing.mosaic(linear, row, column), row, column),
                0,
                1,
            )

        noisy = np.interp(linear ** (1 / gamma), _TABLE, curve).astype(np.float32)
        if rng.random() < self.jpeg:
            quality = int(rng.integers(self.jpeg_quality[0], self.jpeg_quality[1] + 1))
            noisy = processing.jpeg(noisy, quality, subsampling=2)
        return noisy
