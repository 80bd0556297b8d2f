"""Make the pictures of README.md, examples/ and docs/gallery.md, from free ones of scikit-image.

    python docs/make_pictures.py

They are CC0, or NASA's and in the public domain.  The noise is of ``danet.noise`` and of the
shipped weights.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage import data

import danet
from danet import metrics
from danet.images import write_image
from danet.noise import CameraPipeline, WhiteGaussian

ROOT = Path(__file__).parents[1]
GALLERY = ROOT / "docs" / "images" / "gallery"
CAMERA = CameraPipeline(shot_gain=(5e-3, 5e-3), reduction=0, sharpening=0, jpeg=0)
Picture = NDArray[np.uint8]


def side_by_side(pictures: dict[str, Picture], zoom: int = 1) -> Image.Image:
    """Pictures of one size in a row, each under its name, enlarged without smoothing."""
    height, width = (side * zoom for side in next(iter(pictures.values())).shape[:2])
    sheet = Image.new("RGB", (len(pictures) * (width + 8) - 8, height + 24), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (name, picture) in enumerate(pictures.items()):
        left = column * (width + 8)
        draw.text((left + 4, 4), name, fill="black", font_size=15)
        enlarged = Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (left, 24))
    return sheet


def main() -> None:
    """Write every picture."""
    coffee = data.coffee()
    noisy = CAMERA.sample(coffee, n=1, seed=7)[0]
    write_image(Image.fromarray(noisy), ROOT / "examples" / "noisy.png")

    part = np.s_[120:300, 150:450]
    denoised = danet.Denoiser()(noisy)
    row = {"noisy": noisy[part], "denoised": denoised[part], "the truth": coffee[part]}
    write_image(side_by_side(row), ROOT / "docs" / "images" / "denoised.png")

    clean = data.astronaut()[0:160, 140:300]
    generator = danet.NoiseGenerator()
    row = {"clean": clean}
    for level in (0.01, 0.03):
        row[f"generated noise of level {level}"] = generator.sample(clean, 1, 1, level=level)[0]
    write_image(side_by_side(row, zoom=2), ROOT / "docs" / "images" / "generated.png")

    GALLERY.mkdir(exist_ok=True)
    show_denoised(generator)
    show_noises(generator)
    show_failures(generator)


def before_and_after(name: str, clean: Picture, noisy: Picture, zoom: int = 1) -> None:
    """A picture of the gallery: noisy, denoised and true, with PSNR."""
    result = danet.Denoiser(dtype="float32")(noisy)
    row = {
        f"noisy, {metrics.psnr(clean, noisy):.1f} dB": noisy,
        f"denoised, {metrics.psnr(clean, result):.1f} dB": result,
        "the truth": clean,
    }
    side_by_side(row, zoom).save(GALLERY / f"{name}.webp", quality=80)


def show_denoised(generator: danet.NoiseGenerator) -> None:
    """What the denoiser is good at."""
    cat, face = data.chelsea()[60:260, 100:400], data.astronaut()[0:200, 100:400]
    before_and_after("cat", cat, CAMERA.sample(cat, n=1, seed=7)[0])
    before_and_after("astronaut", face, generator.sample(face, n=1, seed=7, level=0.03)[0])
    rocket = data.rocket()[100:300, 200:500]
    before_and_after("rocket", rocket, CAMERA.sample(rocket, n=1, seed=7)[0])


def show_noises(generator: danet.NoiseGenerator) -> None:
    """Noise of three kinds, of about one strength, and what the three are like in green."""
    clean = data.astronaut()
    weaker = replace(CAMERA, shot_gain=(9e-4, 9e-4))
    made = {
        "white Gaussian": WhiteGaussian(0.03).sample(clean, n=1, seed=1)[0],
        "CameraPipeline": weaker.sample(clean, n=1, seed=1)[0],
        "the generator of photo": generator.sample(clean, n=1, seed=1, level=0.03)[0],
    }
    part = np.s_[30:130, 180:280]
    row = {"clean": clean[part]} | {name: noisy[part] for name, noisy in made.items()}
    side_by_side(row, zoom=3).save(GALLERY / "noises.webp", quality=80)

    figure = Figure((12, 3.4), dpi=100, layout="constrained")
    by_intensity, by_lag, by_frequency = figure.subplots(1, 3)
    for name, noisy in made.items():
        found = metrics.noise_statistics(clean, noisy)
        by_intensity.plot(found.intensity, found.variance[1].sqrt(), label=name)
        middle = found.autocorrelation.shape[2] // 2
        by_lag.plot(range(middle + 1), found.autocorrelation[1, middle, middle:], "o-", label=name)
        by_frequency.semilogy(found.frequency, found.power_spectrum[1], label=name)
    by_intensity.set(
        title="standard deviation", xlabel="intensity of the clean picture", ylim=(0, None)
    )
    by_lag.set(title="correlation along a row", xlabel="pixels away")
    by_frequency.set(title="power spectrum", xlabel="cycles per pixel")
    by_lag.legend()
    figure.savefig(GALLERY / "statistics.webp")


def show_failures(generator: danet.NoiseGenerator) -> None:
    """What it is not good at."""
    stars, grass = data.hubble_deep_field()[380:480, 420:570], in_colour(data.grass()[:100, :150])
    before_and_after("stars", stars, WhiteGaussian(0.02).sample(stars, n=1, seed=7)[0], zoom=2)
    before_and_after("grass", grass, generator.sample(grass, n=1, seed=7, level=0.03)[0], zoom=2)
    coffee, gravel = data.coffee()[100:300, 150:450], in_colour(data.gravel()[:200, :300])
    coarse = CameraPipeline(shot_gain=(1e-2, 1e-2), reduction=1, jpeg=1)
    before_and_after("coarse", coffee, coarse.sample(coffee, n=1, seed=7)[0])
    before_and_after("strong", gravel, WhiteGaussian(0.2).sample(gravel, n=1, seed=7)[0])


def in_colour(grey: Picture) -> Picture:
    """Three equal channels."""
    return np.repeat(grey[..., None], 3, axis=2)


if __name__ == "__main__":
    main()
