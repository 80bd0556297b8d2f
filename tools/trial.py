"""Print a row of docs/recipes/trials.md: what a denoiser reaches on small parts of each set.

    DANET_DATA=... python tools/trial.py photo runs/photo-7-denoiser/checkpoint.safetensors

Weights by name or folder, or the averaged denoiser in the checkpoint of a run that still goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file
from shipped_weights import add_data_argument

import danet
from danet import data
from danet.networks import DenoiserNetwork, build

Floats = NDArray[np.float32]
PREFIX = "denoiser/average/module."
TINT = np.array([0.4, 1.1, 0.4], dtype=np.float32)


def network(name: str) -> str | DenoiserNetwork:
    """What `danet.Denoiser` takes."""
    path = Path(name)
    if path.suffix != ".safetensors":
        return name
    sizes = json.loads((path.parent / "config.json").read_text())["config"]["denoiser"]
    denoiser = build("denoiser", sizes["backbone"], sizes["width"], sizes["depth"])
    average = {k.removeprefix(PREFIX): v for k, v in load_file(path).items() if PREFIX in k}
    denoiser.load_state_dict(average)
    return denoiser


def middle(path: Path) -> Floats:
    """The middle 256 px, in [0, 1]."""
    picture = data.scaled(data.read_picture(path))
    top, left = (max(0, side - 256) // 2 for side in picture.shape[:2])
    return picture[top : top + 256, left : left + 256]


def psnr(clean: Floats, other: Floats) -> float:
    """In dB, not rounded to 8 bits."""
    return float(-10 * np.log10(np.mean((clean.astype(np.float64) - other) ** 2)))


def gains(
    denoiser: Callable[[Floats], Floats], pairs: Sequence[tuple[Floats, Floats]]
) -> list[float]:
    """PSNR of each picture, denoised and rounded to 8 bits."""
    return [psnr(x, np.rint(denoiser(y) * np.float32(255)) / np.float32(255)) for x, y in pairs]


def main() -> None:
    """Measure each of the weights, and print its row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--strength", type=float, default=1.0)
    add_data_argument(parser)
    options = parser.parse_args()
    root = Path(options.data)
    files = {
        "nam25": data.folder_pairs(root / "nam25"),
        "polyu": data.polyu_pairs(root / "polyu", "val"),
        "sidd": data.folder_pairs(root / "sidd_val")[::2],
    }
    sets = {
        name: [(middle(pair.clean), middle(pair.noisy)) for pair in pairs]
        for name, pairs in files.items()
    }
    kodak = [middle(path) for path in data.picture_files(root / "kodak")]
    tinted = [((x * TINT).clip(0, 1), (y * TINT).clip(0, 1)) for x, y in sets["nam25"][::4]]
    dark = [(x / np.float32(16), y / np.float32(16)) for x, y in sets["nam25"][::4]]
    print("| trial |", " | ".join([*sets, "clean", "worst", "tint", "dark"]), "|")
    for name in options.weights:
        make = partial(danet.Denoiser, network(name))
        short, exact = (
            partial(make(dtype=dtype), strength=options.strength)
            for dtype in ("bfloat16", "float32")
        )
        clean = gains(short, [(picture, picture) for picture in kodak])
        row = [float(np.mean(gains(short, pairs))) for pairs in sets.values()]
        row += [float(np.mean(clean)), min(clean)]
        for pairs in (tinted, dark):
            row.append(float(np.mean([psnr(x, exact(y)) for x, y in pairs])))
        print(f"| {name} |", " | ".join(f"{value:.2f}" for value in row), "|", flush=True)


if __name__ == "__main__":
    main()
