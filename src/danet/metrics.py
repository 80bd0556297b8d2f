"""Measures of denoised pictures and of generated noise.

Every picture may be a PIL image, a NumPy array or a torch tensor, as ``danet.Denoiser``
takes it; integers are scaled to [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterable
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
        image: the picture to judge, of the same size.

    Returns:
        Decibels, over all pixels and channels; infinite for equal pictures.

    Raises:
        ImageError: the sizes differ.
        DanetError: scikit-image is not installed.

    Example:
        >>> import numpy as np
        >>> clean = np.full((16, 16, 3), 100, dtype=np.uint8)
        >>> round(psnr(clean, clean + np.uint8(2)), 2)
        42.11
    """
    truth, judged = _to_8_bits(clean, image)
    if np.array_equal(truth, judged):
        return float("inf")
    return float(_skimage_metrics().peak_signal_noise_ratio(truth, judged, data_range=255))


def ssim(clean: Any, image: Any) -> float:
    """Structural similarity of a picture, after clamping and rounding to 8 bits.

    The paper's form: each channel by itself, Gaussian window of 11 x 11 and standard
    deviation 1.5, population covariance, K1 .01, K2 .03; then the mean over channels.

    Args:
        clean: the true picture, at least 11 pixels high and wide.
        image: the picture to judge, of the same size.

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
    truth, judged = _to_8_bits(clean, image)
    if min(truth.shape[:2]) < 11:
        raise ImageError(f"{truth.shape[:2]} is too small: SSIM needs 11 pixels each way")
    return float(
        _skimage_metrics().structural_similarity(
            truth,
            judged,
            channel_axis=-1,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def akld(clean: Any, noisy: Any, fakes: Iterable[Any]) -> float:
    """Average KL divergence between real and generated noise; lower is closer.

    At each pixel the noise is taken as Gaussian with mean 0 and the variance V of its 7 x 7
    neighbourhood; the divergence is (r - 1 - ln r) / 2 with r = V(fake) / V(real), held
    between 0.1 and 10.  "Dual Adversarial Network" (ECCV 2020), equation 13, per pixel, as the
    authors' program computes it.  A second true shot does not score 0 but about .04 to .07.

    Args:
        clean: the true picture x.
        noisy: the real noisy picture y.
        fakes: generated noisy pictures, one after another; 50 in the paper.  They are
            clamped to [0, 1] and should not be rounded: give floats.

    Returns:
        Nats per pixel, averaged over the fakes.

    Raises:
        ImageError: there are no fakes, or the sizes differ.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> clean = np.full((64, 64, 3), 0.5)
        >>> noisy, alike = clean + rng.normal(0, 0.02, (2, 64, 64, 3))
        >>> stronger = clean + rng.normal(0, 0.06, clean.shape)
        >>> akld(clean, noisy, [alike]) < akld(clean, noisy, [stronger])
        True
    """
    truth, _ = images.to_tensor(clean)
    real = _noise_variance(truth, noisy)
    scores = []
    for fake in fakes:
        ratio = (_noise_variance(truth, fake) / real).clamp(0.1, 10)
        scores.append((ratio - 1 - ratio.log()).mean().item() / 2)
    if not scores:
        raise ImageError("there are no fakes, at least 1 is needed")
    return float(np.mean(scores))


def _noise_variance(truth: Tensor, noisy: Any) -> Tensor:
    """The local variance of the noise, N x C x H x W."""
    if isinstance(noisy, Tensor):
        noisy = noisy.clamp(0, 1)
    elif isinstance(noisy, np.ndarray) and noisy.dtype.kind == "f":
        noisy = noisy.clip(0, 1)
    observed, _ = images.to_tensor(noisy)
    _check_sizes(truth, observed)
    return smooth((observed - truth).square(), TAPS_7).clamp_min(1e-10)


def _to_8_bits(*pictures: Any) -> list[NDArray[np.uint8]]:
    """The pictures as H x W x 3 arrays of one size, clamped and rounded."""
    tensors = [images.to_tensor(picture)[0].detach().cpu() for picture in pictures]
    _check_sizes(*tensors)
    rounded = [(tensor[0].clamp(0, 1) * 255).round().to(torch.uint8) for tensor in tensors]
    return [tensor.permute(1, 2, 0).numpy() for tensor in rounded]


def _check_sizes(truth: Tensor, other: Tensor) -> None:
    if truth.shape != other.shape:
        raise ImageError(f"the pictures differ in size: {truth.shape[2:]} and {other.shape[2:]}")


def _skimage_metrics() -> Any:
    try:
        from skimage import metrics
    except ImportError as error:
        raise DanetError("this measure needs: pip install 'danet[metrics]'") from error
    return metrics
