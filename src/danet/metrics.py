"""Measures of denoised pictures and of generated noise.

Every picture may be a PIL image, a NumPy array or a torch tensor, as ``danet.Denoiser``
takes it; integers are scaled to [0, 1].  The result for tensors of N pictures is the mean
over the pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from danet import images
from danet.errors import DanetError, ImageError
from danet.filters import TAPS_7, smooth

__all__ = ["akld", "psnr", "ssim"]


def psnr(clean: Any, image: Any) -> float:
    """Peak signal-to-noise ratio of a picture, after clamping and rounding to 8 bits.

    Args:
        clean: the true picture.
        image: the picture to judge, of the same size; floats may lie outside [0, 1].

    Returns:
        Decibels, over all pixels and channels; infinite where a picture equals its true one.

    Raises:
        ImageError: the sizes differ.
        DanetError: scikit-image is not installed.

    Example:
        >>> import numpy as np
        >>> clean = np.full((16, 16, 3), 100, dtype=np.uint8)
        >>> round(psnr(clean, clean + np.uint8(2)), 2)
        42.11
    """
    scores = []
    for truth, judged in _in_8_bits(*_tensors(clean, image)):
        if np.array_equal(truth, judged):
            return float("inf")
        measure = _skimage_metrics().peak_signal_noise_ratio
        scores.append(measure(truth, judged, data_range=255))
    return float(np.mean(scores))


def ssim(clean: Any, image: Any) -> float:
    """Structural similarity of a picture, after clamping and rounding to 8 bits.

    The paper's form: each channel by itself, Gaussian window of 11 x 11 and standard
    deviation 1.5, population covariance, K1 .01, K2 .03; then the mean over channels.

    Args:
        clean: the true picture, at least 11 pixels high and wide.
        image: the picture to judge, of the same size; floats may lie outside [0, 1].

    Returns:
        At most 1, which equal pictures have.

    Raises:
        ImageError: the sizes differ or are too small.
        DanetError: scikit-image is not installed.

    Example:
        >>> import numpy as np
        >>> clean = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
        >>> ssim(clean, clean)
        1.0
    """
    tensors = _tensors(clean, image)
    _check_least(tensors[0], 11, "SSIM")
    measure = _skimage_metrics().structural_similarity
    scores = [
        measure(
            truth,
            judged,
            channel_axis=-1,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for truth, judged in _in_8_bits(*tensors)
    ]
    return float(np.mean(scores))


def akld(clean: Any, noisy: Any, fakes: Iterable[Any]) -> float:
    """Average KL divergence between real and generated noise; lower is closer.

    At each pixel the noise is taken as Gaussian with mean 0 and the variance V of its 7 x 7
    neighbourhood; the divergence is (r - 1 - ln r) / 2 with r = V(fake) / V(real), held
    between 0.1 and 10.  "Dual Adversarial Network" (ECCV 2020), equation 13, per pixel, as the
    authors' program computes it.  A second true shot does not score 0 but about .04 to .07.

    Args:
        clean: the true picture x, at least 4 pixels high and wide.
        noisy: the real noisy picture y.
        fakes: generated noisy pictures, one after another; 50 in the paper.  They are
            clamped to [0, 1] and should not be rounded: give floats.

    Returns:
        Nats per pixel, averaged over the fakes.

    Raises:
        ImageError: there are no fakes, or the sizes differ or are too small.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> clean = np.full((64, 64, 3), 0.5)
        >>> noisy, alike = clean + rng.normal(0, 0.02, (2, 64, 64, 3))
        >>> stronger = clean + rng.normal(0, 0.06, clean.shape)
        >>> akld(clean, noisy, [alike]) < akld(clean, noisy, [stronger])
        True
    """
    real = _noise_variance(clean, noisy)
    scores = []
    for fake in fakes:
        ratio = (_noise_variance(clean, fake) / real).clamp(0.1, 10)
        scores.append((ratio - 1 - ratio.log()).mean().item() / 2)
    if not scores:
        raise ImageError("there are no fakes, at least 1 is needed")
    return float(np.mean(scores))


def _noise_variance(clean: Any, noisy: Any) -> Tensor:
    """The local variance of the noise, N x 3 x H x W."""
    truth, observed = _tensors(clean, noisy)
    _check_least(truth, len(TAPS_7) // 2 + 1, "AKLD")
    return smooth((observed - truth).square(), TAPS_7).clamp_min(1e-10)


def _tensors(clean: Any, image: Any) -> tuple[Tensor, Tensor]:
    """Both pictures as N x 3 x H x W in [0, 1], of one shape.

    The judged one is clamped: models give floats beyond the range.  The true one must lie in it,
    so that a mistaken range is an error.
    """
    if isinstance(image, Tensor) and image.is_floating_point():
        image = image.clamp(0, 1)
    elif isinstance(image, np.ndarray) and image.dtype.kind == "f":
        image = image.clip(0, 1)
    truth, judged = (images.to_tensor(picture)[0].detach() for picture in (clean, image))
    if truth.shape != judged.shape:
        raise ImageError(
            "the pictures differ in size: N x C x H x W of "
            f"{tuple(truth.shape)} and {tuple(judged.shape)}"
        )
    return truth, judged


def _in_8_bits(truth: Tensor, judged: Tensor) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """The pairs of a batch, one by one, each H x W x 3 and rounded to uint8."""
    arrays = (
        (tensor * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        for tensor in (truth, judged)
    )
    return zip(*arrays, strict=True)


def _check_least(pictures: Tensor, least: int, measure: str) -> None:
    height, width = pictures.shape[2:]
    if min(height, width) < least:
        raise ImageError(
            f"{height} x {width} is too small: {measure} needs {least} pixels each way"
        )


def _skimage_metrics() -> Any:
    try:
        from skimage import metrics
    except ImportError as error:
        raise DanetError("this measure needs scikit-image: pip install scikit-image") from error
    return metrics
