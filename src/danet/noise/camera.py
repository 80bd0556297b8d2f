"""Noise that is made in the raw file, and then goes through a camera's processing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import scipy  # which imports its parts where they are used
from numpy.typing import NDArray

from danet.noise import processing
from danet.noise.model import Array, NoiseModel, log_uniform
from danet.rules import SHARE, Settings, rising

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CameraPipeline"]

# XYZ to camera colour matrices of four cameras, the ones that "Unprocessing images for
# learned raw denoising" (CVPR 2019) interpolates between; and sRGB to XYZ.
_XYZ_TO_CAMERA = np.array(
    [
        [[1.0234, -0.2969, -0.2266], [-0.5625, 1.6328, -0.0469], [-0.0703, 0.2188, 0.6406]],
        [[0.4913, -0.0541, -0.0202], [-0.6130, 1.3513, 0.2906], [-0.1564, 0.2151, 0.7183]],
        [[0.8380, -0.2630, -0.0639], [-0.2887, 1.0725, 0.2496], [-0.0627, 0.1427, 0.5438]],
        [[0.6596, -0.2079, -0.0562], [-0.4782, 1.3016, 0.1933], [-0.0970, 0.1581, 0.5181]],
    ]
)
_RGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
# Rows: luma, blue difference, red difference (ITU-R BT.601, as in JPEG).
_RGB_TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]],
    dtype=np.float32,
)
_YCC_TO_RGB = np.linalg.inv(_RGB_TO_YCC).astype(np.float32)


@dataclass(frozen=True)
class CameraPipeline(NoiseModel, Settings):
    """Noise as a camera makes it: in the raw file, then through the processing to the picture.

    Each call draws a camera and an exposure.  The clean picture is taken back to linear
    light; shot and read noise, Gaussian with variance ``gain * signal + read``, are added at
    the photosites; demosaicing, white balance, the colour matrix, the tone curve and gamma
    bring the noise to the picture's colours.  As all that is linear up to the tone curve,
    only the noise is demosaiced and the picture keeps its detail.  In-camera noise
    reduction, which leaves coarse noise, coarser in colour than in brightness and the coarser
    the higher the gain, and sharpening then act on the noise; rounding to 8 bits and JPEG on
    the picture, so that its values are multiples of 1/255 whatever its type.

    After "Unprocessing images for learned raw denoising" (Brooks et al., CVPR 2019, section
    3), whose distributions of gain, read noise, white balance and colour matrices it takes,
    and "Toward convolutional blind denoising of real photographs" (CBDNet, CVPR 2019), from
    which it takes demosaicing and JPEG.

    Args:
        shot_gain: smallest and largest shot gain, drawn uniformly in the logarithm.
        mosaic: share of pictures that come through a Bayer mosaic.
        reduction: share with in-camera noise reduction.
        chroma_blur: smallest and largest standard deviation, in pixels, of that reduction's
            blur of the colour differences; the largest is for the highest gain alone, and
            the blur of the brightness is at most a third.
        sharpening: share that is sharpened.
        jpeg: share that is saved as JPEG.
        jpeg_quality: lowest and highest quality of JPEG, on Pillow's scale.
        tone_curve: share that has a tone curve.

    Raises:
        ConfigError: a share is not from 0 to 1, or a range is not two rising numbers.

    Example:
        >>> clean = np.full((32, 32, 3), 0.5, dtype=np.float32)
        >>> CameraPipeline().sample(clean, n=4, seed=0).shape
        (4, 32, 32, 3)
    """

    shot_gain: Annotated[tuple[float, float], rising()] = (1e-4, 1.2e-2)
    mosaic: Annotated[float, SHARE] = 0.8
    reduction: Annotated[float, SHARE] = 0.5
    chroma_blur: Annotated[tuple[float, float], rising()] = (0.5, 5.0)
    sharpening: Annotated[float, SHARE] = 0.25
    jpeg: Annotated[float, SHARE] = 0.5
    jpeg_quality: Annotated[tuple[int, int], rising(1, 100)] = (60, 98)
    tone_curve: Annotated[float, SHARE] = 0.5

    @classmethod
    def unprocessing(cls) -> Self:
        """The camera of "Unprocessing images for learned raw denoising" alone.

        Shot and read noise in a Bayer mosaic, with the tone curve in every picture, and neither
        in-camera reduction nor sharpening nor JPEG (Brooks et al., CVPR 2019).  The paper's own
        treatment of highlights, and so of the noise in them, is left out.
        """
        return cls(mosaic=1, tone_curve=1, reduction=0, sharpening=0, jpeg=0)

    def add_noise(self, clean: Array, rng: np.random.Generator) -> Array:
        """See `NoiseModel.add_noise`; the values are multiples of 1/255."""
        shot = log_uniform(rng, *self.shot_gain)
        residual: Array = self._develop(clean, shot, rng) - clean
        if rng.random() < self.reduction:
            residual = self._reduce(residual, shot, rng)
        if rng.random() < self.sharpening:
            amount = rng.uniform(0.2, 1.5)
            blurred = scipy.ndimage.gaussian_filter(residual, (1.0, 1.0, 0), mode="mirror")
            residual = residual + amount * (residual - blurred)
        noisy: Array = np.rint(np.clip(clean + residual, 0, 1) * 255) / np.float32(255)
        if rng.random() < self.jpeg:
            quality = int(rng.integers(self.jpeg_quality[0], self.jpeg_quality[1] + 1))
            noisy = processing.jpeg(noisy, quality, subsampling=int(rng.choice([0, 2])))
        return noisy.astype(np.float32)

    def _develop(self, clean: Array, shot: float, rng: np.random.Generator) -> Array:
        """The picture after noise in the raw file and a plain development, not yet clipped."""
        curved = rng.random() < self.tone_curve
        linear = processing.to_linear(processing.inverse_tone_curve(clean) if curved else clean)
        camera_to_rgb = np.linalg.inv(self._colour_matrix(rng))
        # Gains of red, green and blue that balance the light, and of the exposure.
        gains = np.array([rng.uniform(1.9, 2.4), 1.0, rng.uniform(1.5, 1.9)])
        gains /= np.clip(rng.normal(0.8, 0.1), 0.5, 1.0)
        to_rgb = (camera_to_rgb * gains).astype(np.float32)
        raw = np.clip(linear @ np.linalg.inv(to_rgb).T.astype(np.float32), 0, 1)

        read = float(np.exp(2.18 * np.log(shot) + 1.2 + rng.normal(0, 0.26)))
        deviation = np.sqrt(raw * shot + read)
        noise: Array = deviation * rng.standard_normal(raw.shape, dtype=np.float32)
        if rng.random() < self.mosaic:
            row, column = (int(first) for first in rng.integers(0, 2, size=2))
            # Each photosite sees one colour: its own of the three noises drawn.
            noise = processing.demosaic_bilinear(processing.mosaic(noise, row, column), row, column)
        developed = processing.to_display(linear + noise @ to_rgb.T)
        return processing.tone_curve(developed) if curved else developed

    @staticmethod
    def _colour_matrix(rng: np.random.Generator) -> NDArray[np.float64]:
        """A linear sRGB to camera matrix, between those of four cameras; white stays white."""
        weights = rng.dirichlet(np.ones(len(_XYZ_TO_CAMERA)))
        matrix = np.tensordot(weights, _XYZ_TO_CAMERA, axes=1) @ _RGB_TO_XYZ
        balanced: NDArray[np.float64] = matrix / matrix.sum(axis=1, keepdims=True)
        return balanced

    def _reduce(self, residual: Array, shot: float, rng: np.random.Generator) -> Array:
        """Noise as in-camera reduction leaves it: coarse, and as strong as before or weaker."""
        # Mild noise that is coarse in colour cannot be told from pale colours of the picture.
        (low, high), (fine, coarse) = self.shot_gain, self.chroma_blur
        height = math.log(shot / low) / math.log(high / low) if low < high else 1.0
        chroma = log_uniform(rng, fine, fine * (coarse / fine) ** height)
        luma = rng.uniform(0, min(chroma, 4.0) / 3)
        parts = residual @ _RGB_TO_YCC.T
        blurred = np.stack(
            [
                scipy.ndimage.gaussian_filter(part, sigma, mode="mirror")
                for part, sigma in zip(
                    np.moveaxis(parts, -1, 0), (luma, chroma, chroma), strict=True
                )
            ],
            axis=-1,
        )
        # Part of the strength that the blur took is given back: strong noise that is coarse.
        for channels, keep in ((slice(0, 1), 1.0), (slice(1, 3), rng.uniform(0.3, 1.0))):
            before, after = parts[..., channels].std(), blurred[..., channels].std()
            strength = (after / max(before, 1e-8)) ** rng.uniform(0, 0.8)
            blurred[..., channels] *= keep * strength * before / max(after, 1e-8)
        reduced: Array = blurred @ _YCC_TO_RGB.T
        return reduced
