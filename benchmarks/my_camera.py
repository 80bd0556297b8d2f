"""Tune a denoiser to a camera on a handful of pairs, and measure what it brings.

    DANET_DATA=... python benchmarks/my_camera.py -o runs/my-camera

The camera is PolyU's Sony.  A small denoiser is first trained on noise of `CameraPipeline` alone,
laid on clean pictures of the other cameras: it has seen no real noise.  It is then tuned on the
Sony's four whole frames, screened, as the example examples/my_camera.toml has it but for the size.
It is measured before and after on the Sony's crops of three other scenes.
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
from danet.devices import hardware
from danet.layouts import source_pairs
from danet.noise import CameraPipeline
from danet.prepare import prepare
from danet.train import read_config, train

CONFIG = Path(__file__).parents[1] / "examples" / "my_camera.toml"
CAMERA = "Sony"
SCENES = ("toy", "waterhouse", "plant")  # which the whole frames do not show
# A small denoiser, for an experiment of minutes.
SMALL = ["mode=denoiser", "denoiser.width=16", "denoiser.depth=3", "patch_size=32"]
SMALL += ["batch_size=16", "extra_size=16"]


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


def measure(weights: Path, files: Sequence[data.Pair]) -> str:
    """PSNR and SSIM of the denoised pictures."""
    pairs = [data.read_pair(pair) for pair in files]
    quality = denoising(danet.Denoiser.from_pretrained(weights), pairs, str(weights))["denoised"]
    return f"{quality['psnr']:.2f} dB, {quality['ssim']:.4f}"


def main() -> None:
    """Train, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    add_data_argument(parser)
    parser.add_argument("--base-updates", type=int, default=1500)
    parser.add_argument("--updates", type=int, default=400)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="settings of the tuning")
    options = parser.parse_args()
    output, root = options.output, options.data / "polyu"

    def trained(name: str, settings: Sequence[str]) -> Path:
        return train(read_config(CONFIG, [f"output={output / name}", *SMALL, *settings]))

    crops = [pair for part in ("train", "val") for pair in data.polyu_pairs(root, part)]
    others = [p for p in data.polyu_pairs(root, "train") if not p.noisy.name.startswith(CAMERA)]
    frames = data.polyu_pairs(root, "train", "full")
    frames = [pair for pair in frames if pair.noisy.name.startswith(CAMERA)]
    made = synthetic(others, output / "synthetic")
    updates = f"updates={options.base_updates}"
    base = trained(
        "base", [f"data.root={made}", "data.layout=folder", "optimizer.denoiser=1e-3", updates]
    )
    own = screened(frames, output / "own")
    started = time.perf_counter()
    settings = [f"init_from={base}", f"updates={options.updates}", "optimizer.denoiser=2e-4"]
    tuned = trained("tuned", [f"data.root={own}", *settings, *options.changes])
    minutes = (time.perf_counter() - started) / 60

    print(
        f"{hardware(danet.Denoiser.from_pretrained(base).device)}; tuned in {minutes:.1f} minutes"
    )
    print("| scene | before | tuned |\n|---|---|---|")
    tests = [p for p in crops if p.noisy.name.startswith(CAMERA) and scene(p) in SCENES]
    for name in (*SCENES, "all crops"):
        files = [pair for pair in tests if name in (scene(pair), "all crops")]
        print(f"| {name} | {measure(base, files)} | {measure(tuned, files)} |")


if __name__ == "__main__":
    main()
