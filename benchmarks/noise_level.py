"""Measure how well `Denoiser.find_noise` finds the noise of pictures whose noise is known.

    python benchmarks/noise_level.py [--data FOLDER] [--weights photo]

Clean pictures, `kodak/` of the folder and those of scikit-image, get noise of three kinds and
several levels; pairs, `nam25/` and `polyu/` of the folder, have their own.  The true level is the
root mean square of the noisy picture less the clean one, after clipping and rounding to 8 bits.
Only scikit-image's pictures are taken where there is no folder.  Printed are, for each kind: the
true level in grey levels, the level found over the true one (in the middle, and the range of eight
in ten), the share within 15 %, the mean strength, and what "auto" gains over leaving the picture
and loses to strength 1, PSNR in dB.  For clean pictures the level found is in grey levels, and the
PSNR is that of the result against the picture itself, up to 100 dB.  Pictures are measured in their
middle 768 x 768 pixels.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import skimage
from numpy.typing import NDArray

from danet import Denoiser, data
from danet.noise import (
    CorrelatedGaussian,
    DevelopedNoise,
    NoiseModel,
    PoissonGaussian,
    WhiteGaussian,
)

Floats: TypeAlias = NDArray[np.float32]

NAMES = ("astronaut", "coffee", "chelsea", "rocket", "brick", "grass", "gravel")
LEVELS = (2, 5, 10, 25)


def models(level: float) -> dict[str, NoiseModel]:
    """Noise of a level in grey levels: white, blurred over 3 x 3 pixels, and a camera's."""
    kernel = np.zeros((3, 3, 3, 3))
    kernel[np.arange(3), np.arange(3)] = np.outer([1, 2, 1], [1, 2, 1]) / 6
    strength = level / 255
    even = PoissonGaussian((0, 0, 0), (strength,) * 3, srgb=False)
    camera = (level, level)
    return {
        "white": WhiteGaussian(strength),
        "blurred": CorrelatedGaussian(even, kernel),
        "camera": DevelopedNoise(camera=camera, phones=0, white=0, jpeg=0),
    }


def middle(pixels: Any) -> Floats:
    """The middle of a picture, H x W x 3 in [0, 1]."""
    picture = data.scaled(np.asarray(pixels))
    picture = picture[..., None] if picture.ndim == 2 else picture[..., :3]
    top, left = (max(0, side - 768) // 2 for side in picture.shape[:2])
    cut = picture[top : top + 768, left : left + 768]
    return np.broadcast_to(cut, (*cut.shape[:2], 3)).astype(np.float32)


def clean_pictures(folder: Path | None) -> list[Floats]:
    """The clean pictures that noise is added to."""
    pictures = [middle(getattr(skimage.data, name)()) for name in NAMES]
    kodak = [] if folder is None else data.picture_files(folder / "kodak")
    return pictures + [middle(data.read_picture(path)) for path in kodak]


def cases(folder: Path | None) -> Iterator[tuple[str, Floats, Floats]]:
    """What to measure: a kind, a clean picture, and a noisy one."""
    for number, clean in enumerate(clean_pictures(folder)):
        yield "clean", clean, clean
        for level in LEVELS:
            for name, model in models(level).items():
                noisy = model.add_noise(clean, np.random.default_rng([number, level]))
                rounded = np.rint(noisy.clip(0, 1) * 255) / 255
                yield f"{name}, {level}", clean, rounded.astype(np.float32)
    if folder is not None:
        sets = {
            "nam25": data.folder_pairs(folder / "nam25"),
            "PolyU, val": data.polyu_pairs(folder / "polyu", "val"),
        }
        for name, pairs in sets.items():
            for pair in pairs:
                clean, noisy = (middle(data.read_picture(p)) for p in (pair.clean, pair.noisy))
                yield name, clean, noisy


def psnr(clean: Floats, other: Floats) -> float:
    """In dB; 100 of equal pictures."""
    error = float(np.mean((np.asarray(other, np.float64) - clean) ** 2))
    return -10 * float(np.log10(max(error, 1e-10)))


def measure(denoiser: Denoiser, clean: Floats, noisy: Floats) -> tuple[float, ...]:
    """The true level, the one found, the strength, and PSNR of noisy, "auto" and strength 1."""
    found = denoiser.find_noise(noisy)
    taken = denoiser(noisy, residual=True)
    true = float(np.sqrt(np.mean((noisy - clean) ** 2, dtype=np.float64)))
    results = [(noisy - share * taken).clip(0, 1) for share in (0, found.strength, 1)]
    return 255 * true, 255 * found.level, found.strength, *(psnr(clean, x) for x in results)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("DANET_DATA"))
    parser.add_argument("--weights", default="photo")
    options = parser.parse_args()
    denoiser = Denoiser(options.weights)
    rows: dict[str, list[tuple[float, ...]]] = {}
    for kind, clean, noisy in cases(None if options.data is None else Path(options.data)):
        rows.setdefault(kind, []).append(measure(denoiser, clean, noisy))
    print("| pictures | level | found / level | within 15 % | strength | gain, loss in dB |")
    print("|---|---|---|---|---|---|")
    for kind, values in rows.items():
        true, found, strength, before, auto, whole = np.array(values).T
        is_clean = kind == "clean"
        ratio = found if is_clean else found / true
        low, half, high = np.percentile(ratio, (10, 50, 90))
        share = "" if is_clean else f"{100 * np.mean(np.abs(ratio - 1) <= 0.15):.0f} %"
        gain = (
            f"{auto.mean():.1f} dB, worst {auto.min():.1f} (strength 1: {whole.mean():.1f}, "
            f"{whole.min():.1f})"
            if is_clean
            else f"{np.mean(auto - before):+.2f}, {np.mean(whole - auto):+.2f}"
        )
        columns = [f"{kind} ({len(values)})", f"{true.mean():.1f}"]
        columns += [f"{half:.2f} ({low:.2f} to {high:.2f})", share, f"{strength.mean():.2f}", gain]
        print("|", " | ".join(columns), "|")


if __name__ == "__main__":
    main()
