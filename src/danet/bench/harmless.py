"""The harm that a denoiser does to pictures that it should leave as they are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import TypeAlias

import numpy as np
import scipy  # which imports its parts where they are used

from danet.bench.evaluate import Facts
from danet.bench.methods import Denoise, Floats
from danet.bench.report import Report, Scores
from danet.data import picture_files, read_picture, scaled
from danet.data.drawn import drawn_lines, drawn_text
from danet.errors import DataError, check_count, require
from danet.noise import DevelopedNoise, NoiseModel, WhiteGaussian

__all__ = ["bundled_pictures", "evaluate_harmless"]

Measures: TypeAlias = dict[str, float]

_SIDE = 256
_NAMES = (
    "astronaut",
    "coffee",
    "chelsea",
    "rocket",
    "hubble_deep_field",
    "page",
    "brick",
    "grass",
    "gravel",
)
_TINT = np.array([0.4, 1.1, 0.4], dtype=np.float32)
_DARK = np.float32(1 / 16)
_BORDER = 32
_SEEING = 1.0  # pixels, of a star's Gaussian
_CAMERA = DevelopedNoise(camera=(4, 4), phones=0, white=0, jpeg=0, rounded=0)
_WHITE = WhiteGaussian(10 / 255)


def bundled_pictures() -> dict[str, Floats]:
    """The middles of nine pictures that scikit-image ships, up to 256 x 256 x 3, in [0, 1].

    Raises:
        ConfigError: scikit-image is not installed.
    """
    data = require("skimage.data", "metrics", "the data set harmless without a folder")
    pictures = {name: np.asarray(getattr(data, name)()) for name in _NAMES}
    return {
        name: _middle(scaled(np.broadcast_to(_colours(pixels), (*pixels.shape[:2], 3))))
        for name, pixels in pictures.items()
    }


def evaluate_harmless(
    methods: Mapping[str, Denoise],
    folder: Path | None = None,
    *,
    seed: int = 0,
    facts: Facts | None = None,
) -> Report:
    """Measure what denoisers do to pictures that they should leave as they are.

    Of each picture, whose noise is made by ``seed``:

    - ``fidelity``: PSNR of the clean picture, denoised, against itself, in dB.
    - ``camera_gain``, ``white_gain``: how much PSNR rises, in dB, when a camera's noise of 4 levels
      is taken, or white noise of 10; below 0 the picture became worse.
    - ``tint_gain``: that of a camera's noise in the picture times (.4, 1.1, .4).
    - ``dark_gain``: that of a camera's noise when both sides are a sixteenth as bright.
    - ``exposure``: how far the mean of a channel moves, in grey levels of 255, the largest.

    Of pictures that are drawn:

    - ``flat``, ``flat_border``: the largest change of 20 pictures of one colour, in grey levels,
      inside and within 32 pixels of the border.
    - ``text``, ``lines``, ``stripes``: PSNR against itself, in dB; stripes of 1 and 2 pixels, a
      checkerboard and a fan, the worst.
    - ``stripe_colour``: how far these become coloured in the mean, in grey levels.
    - ``stars``, ``faintest_stars``: the share that points of light keep of theirs; 1 is best.
      In the mean, and of those of 16 levels.
    - ``noisy_stars``: that share of soft stars of 12 to 20 levels on a dark sky, under a camera's
      noise of 4.
    - ``worst``: the lowest ``fidelity``.

    Args:
        methods: the denoisers by name, such as `danet.bench.network` gives them.
        folder: the pictures to take; None: those of `bundled_pictures`.
        seed: of the noise, the text and the lines.
        facts: what the report shall say about them.

    Raises:
        ConfigError: the seed is none, or as `bundled_pictures`.
        DataError: the folder is none, or holds no pictures or one below 64 pixels a side.
        ImageError: a picture cannot be read.
    """
    check_count("seed", seed)
    pictures = bundled_pictures() if folder is None else _of_folder(folder)
    images = {
        name: {
            method: _of_picture(denoise, clean, [seed, number])
            for method, denoise in methods.items()
        }
        for number, (name, clean) in enumerate(pictures.items())
    }
    whole: Scores = {
        method: {
            "worst": min(scores[method]["fidelity"] for scores in images.values()),
            **_of_flats(denoise),
            **_of_drawings(denoise, seed),
            **_of_stars(denoise),
            **_of_noisy_stars(denoise, seed),
        }
        for method, denoise in methods.items()
    }
    return Report({"pictures": len(images), **(facts or {})}, images, whole)


def _of_folder(folder: Path) -> dict[str, Floats]:
    pictures = {path.name: _middle(scaled(read_picture(path))) for path in picture_files(folder)}
    if not pictures:
        raise DataError(f"{folder} holds no pictures")
    for name, picture in pictures.items():
        if min(picture.shape[:2]) < 2 * _BORDER:
            height, width = picture.shape[:2]
            raise DataError(
                f"{folder / name} is {width} x {height} pixels, and must be at least "
                f"{2 * _BORDER} both ways"
            )
    return pictures


def _colours(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Floats:
    return pixels[..., None] if pixels.ndim == 2 else pixels[..., :3]  # type: ignore[return-value]


def _middle(picture: Floats) -> Floats:
    top, left = (max(0, length - _SIDE) // 2 for length in picture.shape[:2])
    return picture[top : top + _SIDE, left : left + _SIDE]


def _of_picture(denoise: Denoise, clean: Floats, seeds: list[int]) -> Measures:
    def noisy(model: NoiseModel, picture: Floats) -> Floats:
        return model.add_noise(picture, np.random.default_rng(seeds))

    def gain(clean: Floats, noisy: Floats) -> float:
        return _psnr(clean, denoise(noisy)) - _psnr(clean, noisy)

    grainy, tinted = noisy(_CAMERA, clean), (clean * _TINT).clip(0, 1)
    moved = (denoise(grainy) - grainy).mean(axis=(0, 1), dtype=np.float64)
    return {
        "fidelity": _psnr(clean, denoise(clean)),
        "camera_gain": gain(clean, grainy),
        "white_gain": gain(clean, noisy(_WHITE, clean)),
        "tint_gain": gain(tinted, noisy(_CAMERA, tinted)),
        "dark_gain": gain(clean * _DARK, grainy * _DARK),
        "exposure": 255 * float(np.abs(moved).max()),
    }


def _of_flats(denoise: Denoise) -> Measures:
    corners = product((0.0, 1.0), repeat=3)
    greys = [(grey, grey, grey) for grey in (0.02, 0.1, 0.25, 0.5, 0.75, 0.9)]
    pastels = [(0.7, 0.2, 0.2), (0.2, 0.7, 0.2), (0.2, 0.2, 0.7), (0.9, 0.7, 0.5)]
    dim = [(0.05, 0.0, 0.0), (0.0, 0.0, 0.05)]
    inside = np.s_[_BORDER:-_BORDER, _BORDER:-_BORDER]
    largest = [0.0, 0.0]
    for colour in [*corners, *greys, *pastels, *dim]:
        flat = np.full((4 * _BORDER, 4 * _BORDER, 3), colour, dtype=np.float32)
        change = 255 * np.abs(denoise(flat) - flat)
        middle = float(change[inside].max())
        change[inside] = 0
        largest = [max(largest[0], middle), max(largest[1], float(change.max()))]
    return {"flat": largest[0], "flat_border": largest[1]}


def _of_drawings(denoise: Denoise, seed: int) -> Measures:
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((128, 128))
    fan = 0.5 + 0.5 * np.cos(40 * np.arctan2(rows - 63.5, columns - 63.5))
    patterns = [rows % 2, columns % 2, (rows + columns) % 2, rows // 2 % 2, columns // 2 % 2, fan]
    stripes = [_grey(0.2 + 0.6 * pattern) for pattern in patterns]
    changes = [denoise(picture) for picture in stripes]
    means = [change.mean(axis=(0, 1), dtype=np.float64) for change in changes]
    return {
        "text": _fidelity(denoise, _grey(1 - drawn_text(rng, 2 * 128))),
        "lines": _fidelity(denoise, _grey(1 - drawn_lines(rng, 2 * 128))),
        "stripes": min(map(_psnr, stripes, changes)),
        "stripe_colour": 255 * max(float(np.ptp(mean)) for mean in means),
    }


def _of_stars(denoise: Denoise) -> Measures:
    """Stars of five brightnesses, one pixel large and soft, on black; their light within 5 x 5."""
    kept: dict[int, float] = {}
    for level in (16, 32, 64, 128, 255):
        sky = np.zeros((128, 128, 3), dtype=np.float32)
        sky[24:104:16, 24:64:16] = level / 255
        for shift, share in ((0, 1.0), (-1, 0.5), (1, 0.5)):
            for other, part in ((0, 1.0), (-1, 0.5), (1, 0.5)):
                sky[24 + shift : 104 : 16, 72 + other : 112 : 16] = level / 255 * share * part
        near = scipy.ndimage.maximum_filter(sky, size=(5, 5, 1)) > 0
        kept[level] = float(denoise(sky)[near].sum() / sky.sum())
    return {"stars": float(np.mean(list(kept.values()))), "faintest_stars": kept[16]}


def _of_noisy_stars(denoise: Denoise, seed: int) -> Measures:
    """Stars under eight grains of noise, in apertures of 7 x 7 pixels above the sky's median."""
    places = np.arange(16, 128, 24)
    light = np.zeros((128, 128))
    light[np.ix_(places, places)] = np.resize([12, 16, 20], (5, 5)) * 2 * np.pi * _SEEING**2
    stars = scipy.ndimage.gaussian_filter(light, _SEEING)
    near = scipy.ndimage.maximum_filter(light, size=7) > 0
    sky = _grey((20 + stars) / 255)
    kept = []
    for number in range(8):
        noisy = _CAMERA.add_noise(sky, np.random.default_rng([seed, number]))
        denoised = denoise(noisy).mean(axis=-1, dtype=np.float64)
        kept.append(255 * (denoised - np.median(denoised))[near].sum() / stars[near].sum())
    return {"noisy_stars": float(np.mean(kept))}


def _grey(plane: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> Floats:
    picture: Floats = np.repeat(plane[..., None], 3, axis=2).astype(np.float32)
    return picture


def _fidelity(denoise: Denoise, picture: Floats) -> float:
    return _psnr(picture, denoise(picture))


def _psnr(clean: Floats, other: Floats) -> float:
    """Not rounded to 8 bits, which would hide much in the dark; of equal pictures, 100 dB."""
    error = float(np.mean((np.asarray(other, np.float64).clip(0, 1) - clean) ** 2))
    return 10 * float(np.log10(1 / max(error, 1e-10)))
