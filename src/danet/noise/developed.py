"""Noise as developed pictures show it, made for a whole batch at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from danet.noise import processing
from danet.noise.model import Array, NoiseModel, log_uniform
from danet.rules import SHARE, Settings, rising

__all__ = ["DevelopedNoise"]

# Around a patch, so that its left and right borders have different noise: the filters wrap.
_MARGIN = 8
# Luma and the two colour differences (ITU-R BT.601) to red, green and blue.
_TO_RGB = torch.tensor([[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]])


@dataclass(frozen=True)
class DevelopedNoise(NoiseModel, Settings):
    """Noise as it looks after a camera's or a phone's processing.

    Each picture draws one of two laws.  In a camera's, the noise has fine grain in brightness and
    coarse grain in colour, may be sharpened, and has mean 0 at every pixel.  In a phone's, which
    is that of a raw file developed without reduction, it is nearly white, strong in colour, and
    shaped and clipped in linear light before the curves: on average it makes a picture darker.

    In both, the variance in linear light is a line in the signal, as for shot and read noise, and
    a curve brings it to the picture: sRGB's, half of the time with an S-shaped tone curve after it.
    The figures are those of PolyU's training pairs and of SIDD's phones.

    A share of the pictures has white noise instead, independent in the channels and of one strength
    everywhere, as no camera leaves it: a network that never saw fine noise in colour may answer it
    with anything.

    Args:
        camera: smallest and largest standard deviation of a camera's brightness noise at middle
            grey, in 8-bit levels, drawn uniformly in the logarithm.
        phone: smallest and largest standard deviation of a phone's brightness noise at middle
            grey, in 8-bit levels, drawn uniformly in the logarithm.
        phones: share of the pictures with a phone's noise, of those whose noise is not white.
        white: share of the pictures whose noise is white; as strong as a phone's.
        jpeg: share of a camera's pictures that are saved as JPEG; of the others, a third of it.
        jpeg_quality: lowest and highest quality of JPEG, on Pillow's scale.
        rounded: share of the pictures that are rounded to 8 bits.

    Raises:
        ConfigError: a share is not from 0 to 1, or a range is not two rising numbers.

    Example:
        >>> clean = np.full((32, 32, 3), 0.5, dtype=np.float32)
        >>> DevelopedNoise().sample(clean, n=4, seed=0).shape
        (4, 32, 32, 3)
    """

    camera: Annotated[tuple[float, float], rising()] = (1.5, 25.0)
    phone: Annotated[tuple[float, float], rising()] = (3.0, 40.0)
    phones: Annotated[float, SHARE] = 0.35
    white: Annotated[float, SHARE] = 0.15
    jpeg: Annotated[float, SHARE] = 0.35
    jpeg_quality: Annotated[tuple[int, int], rising(1, 100)] = (75, 98)
    rounded: Annotated[float, SHARE] = 0.85

    def add_noise(self, clean: Array, rng: np.random.Generator) -> Array:
        """See `NoiseModel.add_noise`."""
        picture = torch.from_numpy(np.ascontiguousarray(clean, np.float32).transpose(2, 0, 1))
        noisy: Array = self.add_to_batch(picture[None], [rng])[0].numpy().transpose(1, 2, 0)
        return noisy

    def add_to_batch(self, clean: Tensor, sources: Sequence[np.random.Generator]) -> Tensor:
        """See `NoiseModel.add_to_batch`."""
        height, width = (side + 2 * _MARGIN for side in clean.shape[2:])
        laws = [self._law(rng) for rng in sources]
        white = torch.from_numpy(
            np.stack([rng.standard_normal((3, height, width), np.float32) for rng in sources])
        )
        grain = _grain(white, torch.tensor([law.grain for law in laws]))
        gains = torch.tensor([law.gains for law in laws])[..., None, None]
        noise = torch.einsum("kc,nchw->nkhw", _TO_RGB, grain * gains)
        noise = torch.where(_of_each([law.white for law in laws]), white, noise)
        noise = noise[..., _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        noisy = self._develop(clean, noise, laws)
        for picture, law in zip(noisy, laws, strict=True):
            if law.quality is not None:
                pixels = picture.permute(1, 2, 0).numpy()
                saved = processing.jpeg(pixels, law.quality, law.subsampling)
                picture.copy_(torch.from_numpy(saved).permute(2, 0, 1))
        return noisy

    def _develop(self, clean: Tensor, noise: Tensor, laws: Sequence[_Law]) -> Tensor:
        """The pictures with noise of variance 1 in brightness brought to them by the laws."""
        curved = _of_each([law.curved for law in laws])
        camera = _of_each([law.camera for law in laws])
        white = _of_each([law.white for law in laws])
        level = _of_each([law.strength / 255 for law in laws])
        linear = _linear(clean, curved)
        grey = _linear(torch.full((1, 1, 1, 1), 0.5), curved)
        slope = (_display(grey + 1e-3, curved) - _display(grey - 1e-3, curved)) / 2e-3
        read = _of_each([law.read for law in laws])
        variance = (1 - read) * linear / grey + read
        shift = noise * level / slope * variance.sqrt()
        brighter, darker = _display(linear + shift, curved), _display(linear - shift, curved)
        # A camera's truth is the mean of developed frames, a phone's is the development of a mean.
        noisy = torch.where(camera, clean + (brighter - darker) / 2, brighter)
        noisy = torch.where(white, clean + noise * level, noisy).clamp(0, 1)
        rounded = _of_each([law.rounded for law in laws])
        return torch.where(rounded, (noisy * 255).round() / 255, noisy)

    def _law(self, rng: np.random.Generator) -> _Law:
        """What is drawn for one picture."""
        white = rng.random() < self.white
        camera = rng.random() >= self.phones and not white
        if camera:
            luma = log_uniform(rng, 0.35, 1.1)
            chroma = min(luma * log_uniform(rng, 1.5, 5), 4.0)
            colour = log_uniform(rng, 0.3, 1.8)
            sharpening = rng.uniform(0, 1.5) if rng.random() < 0.5 else 0.0
            blotches = rng.uniform(0, 0.6), rng.uniform(2, 4)
        else:
            luma = log_uniform(rng, 0.25, 0.65)
            chroma = luma * log_uniform(rng, 1.2, 3)
            colour = log_uniform(rng, 0.7, 2.2)
            sharpening = rng.uniform(0, 1.5) if rng.random() < 0.7 else 0.0
            blotches = rng.uniform(0, 0.2), rng.uniform(2, 4)
        jpeg = rng.random() < self.jpeg * (1 if camera else 1 / 3)
        return _Law(
            camera=camera,
            white=white,
            strength=log_uniform(rng, *(self.camera if camera else self.phone)),
            read=log_uniform(rng, *((3e-4, 0.1) if camera else (3e-3, 0.3))),
            curved=rng.random() < (0.8 if camera else 0.25),
            grain=(luma, chroma, sharpening, *blotches),
            # The colour differences of BT.601 are scaled; these give red and blue that deviation.
            gains=(
                1.0,
                colour * rng.uniform(0.7, 1.4) / 1.772,
                colour * rng.uniform(0.7, 1.4) / 1.402,
            ),
            rounded=jpeg or rng.random() < self.rounded,
            quality=int(rng.integers(*self.jpeg_quality, endpoint=True)) if jpeg else None,
            subsampling=int(rng.choice([0, 2])),
        )


@dataclass(frozen=True)
class _Law:
    """What one picture's noise is like.

    ``grain`` holds the deviations in pixels of the blurs of brightness and colour, the amount of
    sharpening, the share of blotches and how much coarser they are; ``gains`` the deviations of
    brightness and the two colour differences; ``read`` the share of read noise at middle grey.
    """

    camera: bool
    white: bool
    strength: float
    read: float
    curved: bool
    grain: tuple[float, float, float, float, float]
    gains: tuple[float, float, float]
    rounded: bool
    quality: int | None
    subsampling: int


def _of_each(values: Sequence[float | bool]) -> Tensor:
    """A value for each picture of a batch."""
    return torch.tensor(values)[:, None, None, None]


def _grain(white: Tensor, grain: Tensor) -> Tensor:
    """White noise, N x 3 x H x W, filtered to the grain of each picture, its variance kept at 1.

    Args:
        white: brightness and two colour differences.
        grain: N x 5, as in ``_Law``.
    """
    height, width = white.shape[2:]
    square = torch.fft.fftfreq(height)[:, None] ** 2 + torch.fft.rfftfreq(width) ** 2
    luma, chroma, sharpening, share, coarser = (
        column[:, None, None, None] for column in grain.unbind(1)
    )
    blur = torch.cat([luma, chroma, chroma], dim=1)
    share = torch.cat([share * 0.2, share, share], dim=1)
    sharpening = torch.cat([sharpening, torch.zeros_like(sharpening).expand(-1, 2, -1, -1)], dim=1)

    def passed(deviation: Tensor) -> Tensor:
        response = (-2 * math.pi**2 * deviation**2 * square).exp()
        power = (response**2).mean(dim=(2, 3), keepdim=True)
        unit: Tensor = response / power.sqrt()
        return unit

    response = passed(blur) * (1 + sharpening * (1 - (-2 * math.pi**2 * square).exp()))
    response = ((1 - share) * response**2 + share * passed(blur * coarser) ** 2).sqrt()
    response = response / (response**2).mean(dim=(2, 3), keepdim=True).sqrt()
    filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(white) * response, s=(height, width))
    return filtered


def _linear(picture: Tensor, curved: Tensor) -> Tensor:
    """Linear light of a developed picture; ``curved`` where it has the tone curve."""
    inverse = 0.5 - torch.sin(torch.asin(1 - 2 * picture.clamp(0, 1)) / 3)
    shown = torch.where(curved, inverse, picture)
    bright: Tensor = ((shown + 0.055).clamp_min(0.055) / 1.055) ** 2.4
    return torch.where(shown <= 0.04045, shown / 12.92, bright)


def _display(linear: Tensor, curved: Tensor) -> Tensor:
    """The developed picture of linear light, not clipped."""
    bright = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    shown = torch.where(linear <= 0.0031308, 12.92 * linear, bright)
    inside = shown.clamp(0, 1)
    return torch.where(curved, inside * inside * (3 - 2 * inside) + (shown - inside), shown)
