"""Tune weights to a camera on a handful of pairs, and measure what it brings.

    DANET_DATA=... python tools/my_camera.py -o runs/my-camera

The camera is PolyU's Sony, the pairs its four whole frames, screened; what is measured are its
crops of three other scenes.  Two things are tuned on them:

- a small denoiser that was trained on noise of `CameraPipeline` alone, laid on clean pictures of
  the other cameras: it has seen no real noise;
- the shipped denoiser, by examples/my_camera.toml as it is.  It has seen the scenes toy and
  waterhouse, and not the scene plant.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from shipped_weights import add_data_argument, denoising

import danet
from danet import data
from danet.data import source_pairs
from danet.data.prepare import prepare
from danet.devices import hardware
from danet.noise import CameraPipeline
from danet.train import read_config, train

CONFIG = Path(__file__).parents[1] / "examples" / "my_camera.toml"
CAMERA = "Sony"
SCENES = ("toy", "waterhouse", "plant")  # which the whole frames do not show
# A small denoiser, for an experiment of minutes.
SMALL = [
    "mode=denoiser",
    "by_level=false",
    "denoiser.width=16",
    "denoiser.depth=3",
    "patch_size=32",
]
SMALL += ["batch_size=16", "extra_size=16"]


def of_the_camera(pair: data.Pair) -> bool:
    """Whether the camera took it."""
    return pair.noisy.name.startswith(CAMERA)


def scene(pair: data.Pair) -> str:
    """What the name of a crop says besides the camera, its settings and its number."""
    return pair.noisy.stem.split("_")[4]


def synthetic(pairs: Sequence[data.Pair], folder: Path) -> Path:
    """The clean pictures of pairs, and they with the noise of the camera model."""
    camera = CameraPipeline()
    for side in ("clean", "noisy"):
        (folder / side).mkdir(parents=True, exist_ok=True)
    for number, pair in enumerate(pairs):
        clean = data.read_picture(pair.clean)
        np.save(folder / "clean" / f"{number}.npy", clean)
        np.save(folder / "noisy" / f"{number}.npy", camera.sample(clean, n=1, seed=number)[0])
    return folder


def screened(pairs: Sequence[data.Pair], folder: Path) -> Path:
    """What screening leaves of pairs, cut into tiles and packed."""
    for pair in pairs:
        for side in ("noisy", "clean"):
            target = folder / "pairs" / side / pair.noisy.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(getattr(pair, side), target)
    sources = source_pairs("folder", folder / "pairs")
    print(len(prepare(sources, folder / "crops", crop=128, stride=128, screen=True)), "tiles")
    return folder / "crops"


def measure(weights: str, files: Sequence[data.Pair]) -> str:
    """PSNR and SSIM of the denoised pictures."""
    pairs = [data.read_pair(pair) for pair in files]
    quality = denoising(danet.Denoiser.from_pretrained(weights), pairs, weights)["denoised"]
    return f"{quality['psnr']:.2f} dB, {quality['ssim']:.4f}"


def main() -> None:
    """Train, measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    add_data_argument(parser)
    parser.add_argument("--base-updates", type=int, default=1500)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    output, root = options.output, options.data / "polyu"
    train_crops, val_crops = (data.polyu_pairs(root, part) for part in ("train", "val"))
    frames = data.polyu_pairs(root, "train", "full")
    own = screened([pair for pair in frames if of_the_camera(pair)], output / "own")
    tests = [p for p in train_crops + val_crops if of_the_camera(p) and scene(p) in SCENES]

    def trained(name: str, *settings: str) -> str:
        started = time.perf_counter()
        model = train(read_config(CONFIG, [f"output={output / name}", *settings]))
        print(f"{name}: {(time.perf_counter() - started) / 60:.1f} minutes")
        return str(model)

    def compare(before: str, after: str) -> None:
        print("| scene | before | tuned |\n|---|---|---|")
        for name in (*SCENES, "all crops"):
            files = [pair for pair in tests if name in (scene(pair), "all crops")]
            cells = (measure(weights, files) for weights in (before, after))
            print(f"| {name} | {' | '.join(cells)} |")

    made = synthetic([p for p in train_crops if not of_the_camera(p)], output / "synthetic")
    settings = (f"updates={options.base_updates}", "optimizer.denoiser=1e-3")
    base = trained("base", f"data.root={made}", "data.layout=folder", *SMALL, *settings)
    settings = ("updates=400", "optimizer.denoiser=2e-4")
    tuned = trained("tuned", f"data.root={own}", *SMALL, f"init_from={base}", *settings)
    example = trained("example", f"data.root={own}", "init_from=photo")
    compare(base, tuned)
    compare("photo", example)
    print(hardware(danet.Denoiser.from_pretrained(base).device))


if __name__ == "__main__":
    main()
