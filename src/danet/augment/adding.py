"""Noise of a chosen strength, from anything that makes noisy versions of a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Real
from typing import TypeAlias, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from danet.errors import ConfigError
from danet.images import from_tensor, to_tensor
from danet.noise import NoiseModel
from danet.noise.sampling import Level
from danet.pretrained import NoiseGenerator
from danet.rules import SHARE, check, rising

__all__ = ["Noise", "add_noise", "check_settings", "noise_source"]

Noise: TypeAlias = str | os.PathLike[str] | NoiseGenerator | NoiseModel

_PictureT = TypeVar("_PictureT", Image.Image, NDArray[np.generic], Tensor)


def noise_source(noise: Noise) -> NoiseGenerator | NoiseModel:
    """What makes the noise that a setting names.

    Args:
        noise: a generator or a model of noise, taken as it is; or the name or path of a
            generator's weights, as `danet.NoiseGenerator` takes it.  These are put on the CPU,
            as processes of a data loader that are forked cannot use CUDA.

    Raises:
        WeightsError: there are no such weights, or they do not fit.
        ConfigError: ``noise`` is none of these.
    """
    if isinstance(noise, NoiseGenerator | NoiseModel):
        return noise
    if isinstance(noise, str | os.PathLike):
        return NoiseGenerator(noise, device="cpu")
    raise ConfigError(
        f"noise is a {type(noise).__name__}, and must be a NoiseGenerator, a NoiseModel, or the "
        "name or path of weights"
    )


def check_settings(
    p: float, strength: Sequence[float], level: Sequence[float] | None
) -> tuple[tuple[float, float], tuple[float, float] | None]:
    """Refuse settings of a transform that are out of their range.

    Args:
        p: the share of pictures that get noise.
        strength: the lowest and the highest, as for `add_noise`.
        level: the lowest and the highest, as for `add_noise`, or None.

    Returns:
        The strength and the level.

    Raises:
        ConfigError: ``p`` is no number from 0 to 1, or the strength or the level is no rising range
            from 0.
    """
    if not _is_number(p):
        raise ConfigError(f"p is {p!r}, and must be a number from 0 to 1")
    check("p", p, SHARE)
    return _range("strength", strength), None if level is None else _range("level", level)


def _range(name: str, value: Sequence[float]) -> tuple[float, float]:
    try:
        low, high = value
        pair = _is_number(low) and _is_number(high)
    except (TypeError, ValueError):  # it is no sequence, or of another length
        pair = False
    if not pair:
        raise ConfigError(f"{name} is {value!r}, and must be two numbers: low and high")
    check(name, (low, high), rising(0))
    return low, high


def add_noise(
    clean: _PictureT,
    source: Noise,
    *,
    seed: int,
    strength: float | Sequence[float] = 1.0,
    level: Level = None,
) -> _PictureT:
    """Make one noisy version of a clean picture, clean + strength * (sample - clean).

    Args:
        clean: a PIL image, array or tensor, as `danet.images.to_tensor` takes it, or a tensor of
            uint8.  It is left as it is.
        source: what makes the sample, as `noise_source` takes it.  Weights given by name are
            loaded anew in each call.
        seed: not negative; the same one gives the same noise.  Pictures of a batch have noise of
            their own each.
        strength: 0 adds nothing, 1 the noise as the source makes it; of a batch, one for
            all or one for each picture.
        level: of the sample, as `danet.NoiseGenerator.sample` takes it.

    Returns:
        A picture of the same kind, clamped, and rounded for integers.

    Raises:
        ImageError: the picture cannot be taken; the message says why.
        ConfigError: the seed is negative; a strength is negative or not finite, or there are
            neither one nor as many as pictures; the source is none, or has no such level.
        WeightsError: there are no such weights, or they do not fit.
        DanetError: the memory does not suffice.

    Example:
        >>> from danet.noise import WhiteGaussian
        >>> clean = np.full((45, 70, 3), 128, np.uint8)
        >>> noisy = add_noise(clean, WhiteGaussian(10 / 255), seed=1, strength=0.5)
        >>> noisy.dtype, round(float(noisy.std()))
        (dtype('uint8'), 5)
    """
    if isinstance(clean, Tensor) and clean.dtype == torch.uint8:
        noisy = add_noise(clean / 255, source, seed=seed, strength=strength, level=level)
        return (noisy * 255).round().to(torch.uint8)
    pixels, form = to_tensor(clean)
    weights = _weights(strength, pixels)
    sample = noise_source(source).sample(pixels, n=1, seed=seed, level=level)[0]
    return cast(_PictureT, from_tensor(torch.lerp(pixels, sample, weights), form))


def _is_number(value: object) -> bool:
    return isinstance(value, Real)


def _weights(strength: float | Sequence[float], pixels: Tensor) -> Tensor:
    """The strengths, 1 or N x 1 x 1 x 1."""
    try:
        weights = torch.as_tensor(strength, dtype=pixels.dtype, device=pixels.device)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        weights = pixels.new_tensor(float("nan"))
    # Neither infinity nor NaN is within.
    if not ((weights >= 0) & (weights < float("inf"))).all():
        raise ConfigError(f"strength is {strength!r}, and must be finite numbers from 0")
    if weights.numel() not in (1, len(pixels)):
        raise ConfigError(
            f"strength has {weights.numel()} values for {len(pixels)} pictures, and must have one "
            "for all or one for each"
        )
    return weights.reshape(-1, 1, 1, 1)
