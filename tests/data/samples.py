"""Pictures that tests of data make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from danet.data import Pixels


def texture(seed: int, height: int = 64, width: int = 80) -> Pixels:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 200, (height // 4, width // 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def with_noise(clean: Pixels, seed: int = 0, deviation: float = 4.0) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, deviation, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def save(path: Path, picture: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
