"""Measuring the networks of a run on real pairs while it lasts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from danet import metrics
from danet.data import Pixels, check_same_size, middle, scaled, spread
from danet.errors import DataError, check_count
from danet.networks import DenoiserNetwork, GeneratorNetwork
from danet.pretrained import Denoiser, NoiseGenerator

__all__ = ["Validation", "unit_level"]

Floats = NDArray[np.float32]

_AMPLIFIED = 5
_GAP, _HEADING = 4, 16  # pixels
_MEASURED = 256  # pixels


class Validation:
    """Real pairs that a run is not trained on, to measure its networks with.

    The middle of each picture is taken.  Everything is computed picture by picture on the device
    of the network, which is in evaluation mode meanwhile; the noise is drawn by fixed seeds of its
    own.  So equal networks give equal numbers, and nothing else changes.

    Args:
        pairs: clean and noisy pictures, each H x W x 3, uint8 or uint16.  Only what is used of
            them is read and kept, so they may be memory-mapped.
        crop: height and width of what is taken, in pixels, at least 11; smaller pictures are
            taken whole.
        limit: how many pairs at most, spread evenly over all.
        fakes: noisy pictures that the generator makes of each clean one.

    Raises:
        ConfigError: a number is not positive.
        DataError: there are no pairs, or the sizes of one differ.
        ImageError: a picture is too small.
        ConfigError: scikit-image is not installed.

    Example:
        >>> from danet.networks import build
        >>> clean = np.full((40, 50, 3), 100, np.uint8)
        >>> noisy = clean + np.random.default_rng(0).integers(0, 9, clean.shape, np.uint8)
        >>> validation = Validation([(clean, noisy)], crop=32)
        >>> sorted(validation.measure(None, build("generator", width=2)))
        ['validation/akld', 'validation/noisy_psnr', 'validation/noisy_ssim']
    """

    def __init__(
        self,
        pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]],
        *,
        crop: int = 256,
        limit: int = 20,
        fakes: int = 4,
    ) -> None:
        for name, value in (("crop", crop), ("limit", limit), ("fakes", fakes)):
            check_count(name, value, 1)
        if not pairs:
            raise DataError("there are no pairs to validate on")
        self._pairs = []
        for index in spread(len(pairs), limit):
            pair = pairs[index]
            check_same_size(*pair, f"validation pair {index}")
            clean, noisy = (np.array(middle(picture, crop)) for picture in pair)
            self._pairs.append((clean, noisy))
        self._fakes = fakes
        # Measured at once, so that what cannot be measured is refused before the run.
        self._noisy = _means(
            [
                {
                    "validation/noisy_psnr": metrics.psnr(clean, noisy),
                    "validation/noisy_ssim": metrics.ssim(clean, noisy),
                }
                for clean, noisy in self._pairs
            ]
        )

    def measure(
        self, denoiser: DenoiserNetwork | None, generator: GeneratorNetwork | None
    ) -> dict[str, float]:
        """Measure both networks.

        Args:
            denoiser: R, or None.
            generator: G, or None.

        Returns:
            Means over the pictures: ``"validation/psnr"`` in dB and ``"validation/ssim"`` of the
            denoised ones, ``"validation/akld"`` in nats per pixel (lower is closer) of the
            generated ones, and ``"validation/noisy_psnr"`` and ``"validation/noisy_ssim"`` of
            the noisy ones, which are always the same.

        Raises:
            ImageError: a network gives NaN or infinity.
        """
        denoise, generate = _models(denoiser, generator)
        rows = []
        for seed, pair in enumerate(self._pairs):
            clean, noisy = map(scaled, pair)
            row = {}
            if denoise is not None:
                denoised = denoise(noisy)
                row["validation/psnr"] = metrics.psnr(clean, denoised)
                row["validation/ssim"] = metrics.ssim(clean, denoised)
            if generate is not None:
                fakes = generate.stream(clean, self._fakes, seed)
                row["validation/akld"] = metrics.akld(clean, noisy, fakes)
            rows.append(row)
        return _means(rows) | self._noisy

    def grid(
        self,
        denoiser: DenoiserNetwork | None,
        generator: GeneratorNetwork | None,
        *,
        pictures: int = 4,
    ) -> NDArray[np.uint8]:
        """Show what both networks do.

        Args:
            denoiser: R, or None.
            generator: G, or None.
            pictures: how many pairs at most, spread evenly over all.

        Returns:
            A picture, H x W x 3, with a row for each pair.  Its columns are noisy, denoised,
            clean and generated, then what the noisy, the denoised and the generated one differ
            from the clean one by, around grey and five times as strong.  What would need a
            network that is None is left out.
        """
        denoise, generate = _models(denoiser, generator)
        rows = []
        for index in spread(len(self._pairs), pictures):
            clean, noisy = map(scaled, self._pairs[index])
            row = {"noisy": noisy}
            if denoise is not None:
                row["denoised"] = denoise(noisy)
            row["clean"] = clean
            if generate is not None:
                (row["generated"],) = generate.stream(clean, 1, index)
            differences = {
                f"{_AMPLIFIED} x ({name} - clean)": 0.5 + _AMPLIFIED * (picture - clean)
                for name, picture in row.items()
                if name != "clean"
            }
            rows.append(row | differences)
        return _sheet(rows)


def unit_level(generator: GeneratorNetwork, pictures: Iterable[Pixels]) -> float:
    """Measure the level of the noise that z of deviation 1 makes.

    Args:
        generator: G, which knows levels.
        pictures: clean ones, H x W x 3, uint8 or uint16.  Their middles are taken.

    Returns:
        The geometric mean of the pictures' levels; the unit as it is if there is no noise.
    """
    generate = NoiseGenerator(generator, runtime="torch")
    levels = []
    for seed, picture in enumerate(pictures):
        clean = scaled(middle(picture, _MEASURED))
        (noisy,) = generate.stream(clean, 1, seed, generator.unit_level)
        levels.append(float(metrics.noise_level(noisy, noisy - clean).channels.mean()))
    found = [level for level in levels if level > 0]
    return math.exp(np.mean(np.log(found))) if found else generator.unit_level


def _models(
    denoiser: DenoiserNetwork | None, generator: GeneratorNetwork | None
) -> tuple[Denoiser | None, NoiseGenerator | None]:
    """What applies the networks: by PyTorch, as "auto" would follow the size of each picture."""
    return (
        None if denoiser is None else Denoiser(denoiser, runtime="torch"),
        None if generator is None else NoiseGenerator(generator, runtime="torch"),
    )


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _sheet(rows: Sequence[dict[str, Floats]]) -> NDArray[np.uint8]:
    """Pictures in rows, under the names of their columns."""
    height, width = (_GAP + max(row["clean"].shape[axis] for row in rows) for axis in (0, 1))
    size = width * len(rows[0]) - _GAP, _HEADING + height * len(rows) - _GAP
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(rows[0]):
        draw.text((column * width, 2), name, fill="black")
        for index, row in enumerate(rows):
            rounded = (row[name].clip(0, 1) * 255).round().astype(np.uint8)
            sheet.paste(Image.fromarray(rounded), (column * width, _HEADING + index * height))
    return np.array(sheet)
