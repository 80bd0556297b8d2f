"""Networks and classical denoisers, all as functions of one form.

Each takes a noisy picture and gives the denoised one, H x W x 3, float32, RGB in [0, 1]; a result
may lie a little outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from danet.errors import ConfigError, require
from danet.pretrained import Denoiser

__all__ = ["BASELINES", "Denoise", "Floats", "baseline", "network"]

Floats: TypeAlias = NDArray[np.float32]
Denoise: TypeAlias = Callable[[Floats], Floats]


def network(denoiser: Denoiser, *, ensemble: bool = False) -> Denoise:
    """A denoiser as a method.

    Args:
        denoiser: its device and tile are kept.
        ensemble: the denoiser's ``self_ensemble``.
    """
    return partial(denoiser, self_ensemble=ensemble)


def baseline(name: str) -> Denoise:
    """A classical denoiser, blind: it estimates the noise level of each picture.

    The level is the mean over the channels of `skimage.restoration.estimate_sigma`, Donoho and
    Johnstone's median of wavelet coefficients ("Ideal spatial adaptation by wavelet shrinkage",
    1994).  It takes the noise as white, which that of photographs is not.

    - ``opencv-nlm``: `cv2.fastNlMeansDenoisingColored`, with a strength of half the noise level for
      luminance and colour, which did best against white noise on pictures of Kodak, a template of
      7 px and a search window of 21 px; it works on 8 bits.  "A non-local algorithm for image
      denoising" (CVPR 2005).
    - ``bm3d``: CBM3D, `bm3d.bm3d_rgb` with its default profile.  "Color image denoising via sparse
      3D collaborative filtering" (ICIP 2007).  The licence of the package bm3d allows
      non-commercial use alone.
    - ``skimage-wavelet``: `skimage.restoration.denoise_wavelet`, soft thresholds by BayesShrink in
      YCbCr.  "Adaptive wavelet thresholding for image denoising and compression" (2000).

    Args:
        name: one of ``BASELINES``.

    Raises:
        ConfigError: there is no such baseline, or its package is not installed.
    """
    if name not in BASELINES:
        raise ConfigError(f"the baseline is {name!r}, and must be one of {', '.join(BASELINES)}")
    package, denoise = BASELINES[name]
    module, restoration, _ = (
        require(needed, "baselines", f"the baseline {name}")
        # estimate_sigma needs pywt, and imports it when called
        for needed in (package, "skimage.restoration", "pywt")
    )

    def method(noisy: Floats) -> Floats:
        # Estimated where a channel has any detail; in a flat one there is no noise.
        varied = [c for c in range(3) if np.ptp(noisy[..., c]) > 0]
        levels = [float(restoration.estimate_sigma(noisy[..., c])) for c in varied]
        sigma = sum(levels) / 3
        if sigma == 0:
            return noisy
        denoised: Floats = denoise(module, noisy, sigma).astype(np.float32)
        return denoised

    return method


def _nlm(cv2: Any, noisy: Floats, sigma: float) -> NDArray[Any]:
    pixels = np.rint(noisy[..., ::-1].clip(0, 1) * 255).astype(np.uint8)  # OpenCV takes BGR
    strength = 255 * sigma / 2
    denoised = cv2.fastNlMeansDenoisingColored(pixels, None, strength, strength, 7, 21)
    scaled: NDArray[Any] = denoised[..., ::-1] / np.float32(255)
    return scaled


def _bm3d(bm3d: Any, noisy: Floats, sigma: float) -> NDArray[Any]:
    denoised: NDArray[Any] = bm3d.bm3d_rgb(noisy.astype(np.float64), sigma)
    return denoised


def _wavelet(restoration: Any, noisy: Floats, sigma: float) -> NDArray[Any]:
    denoised: NDArray[Any] = restoration.denoise_wavelet(
        noisy, sigma=sigma, mode="soft", method="BayesShrink", convert2ycbcr=True, channel_axis=-1
    )
    return denoised


# By name: the package, and what does it with the package, a picture and its noise level.
BASELINES: Mapping[str, tuple[str, Callable[[Any, Floats, float], NDArray[Any]]]] = {
    "opencv-nlm": ("cv2", _nlm),
    "bm3d": ("bm3d", _bm3d),
    "skimage-wavelet": ("skimage.restoration", _wavelet),
}
