"""Make the pictures of README.md and examples/ from those that scikit-image ships as CC0.

    python docs/make_pictures.py

The noisy coffee is made by ``danet.noise.CameraPipeline``; the rest, by the shipped weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage import data

import danet
from danet.images import write_image
from danet.noise import CameraPipeline

ROOT = Path(__file__).parents[1]
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
    camera = CameraPipeline(shot_gain=(5e-3, 5e-3), reduction=0, sharpening=0, jpeg=0)
    noisy = camera.sample(coffee, n=1, seed=7)[0]
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


if __name__ == "__main__":
    main()
