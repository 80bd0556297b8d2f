"""Noisy versions of a clean picture: ``python examples/augment.py CLEAN FOLDER``."""

import sys
from pathlib import Path

from danet import NoiseGenerator
from danet.images import read_image, write_image

clean, folder = read_image(sys.argv[1]), Path(sys.argv[2])
for number, noisy in enumerate(NoiseGenerator().stream(clean, n=4, seed=1)):
    write_image(noisy, folder / f"noisy_{number}.png")
