"""Fine-tune weights on pairs of one camera and measure what it brings.

    DANET_DATA=... python benchmarks/my_camera.py -o runs/my-camera
    DANET_DATA=... python benchmarks/my_camera.py -o runs/my-camera-photo --init-from photo

The camera is PolyU's Sony: its crops of the training scenes, 8 pairs, are what a photographer
would have taken.  The shipped weights have seen them, so a small denoiser is trained on the
other cameras' training scenes first, unless --init-from names weights.  The val crops are
measured, those of the Sony and those of the other cameras.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from shipped_weights import Pictures, add_data_argument, denoising, generation

import danet
from danet import data
from danet.devices import hardware
from danet.train import read_config, train

CONFIG = Path(__file__).parents[1] / "examples" / "my_camera.toml"
CAMERA = "Sony"
# A small denoiser, for an experiment of minutes.
SMALL = ["mode=denoiser", "denoiser.width=16", "denoiser.depth=3", "patch_size=32"]
BASE = ["batch_size=16", "extra_size=16", "optimizer.denoiser=1e-3"]
TUNED = ["batch_size=16", "extra_size=16", "optimizer.denoiser=2e-4"]


def copy_pairs(polyu: Path, folder: Path) -> dict[str, Path]:
    """Lay the training pairs out as `danet train` reads them: the camera's, and the others'."""
    roots = {"camera": folder / "camera", "others": folder / "others"}
    for pair in data.polyu_pairs(polyu, "train"):
        root = roots["camera" if pair.noisy.name.startswith(CAMERA) else "others"]
        for side in ("noisy", "clean"):
            target = root / side / pair.noisy.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(getattr(pair, side), target)
    return roots


def minutes(run: Path) -> float:
    """How long a run took that was not interrupted."""
    *_, last = (json.loads(line) for line in (run / "log.jsonl").open())
    return float(last["seconds"]) / 60


def measure(weights: str, pairs: Pictures, fakes: int) -> str:
    """PSNR and SSIM of the denoised pictures, and AKLD of the noise if there is a generator."""
    quality = denoising(danet.Denoiser.from_pretrained(weights), pairs, weights)["denoised"]
    cells = f"{quality['psnr']:.2f} dB | {quality['ssim']:.4f}"
    if Path(weights).is_dir() and not (Path(weights) / "generator").is_dir():
        return f"{cells} | -"
    noise = generation(danet.NoiseGenerator.from_pretrained(weights), pairs, fakes)
    return f"{cells} | {noise['akld']:.3f}"


def main() -> None:
    """Train, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    add_data_argument(parser)
    parser.add_argument("--init-from", metavar="NAME")
    parser.add_argument("--base-updates", type=int, default=2500)
    parser.add_argument("--updates", type=int, default=450)
    parser.add_argument("--fakes", type=int, default=10)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    roots = copy_pairs(options.data / "polyu", options.output)

    def trained(name: str, root: Path, updates: int, changes: list[str]) -> Path:
        own = [f"output={options.output / name}", f"data.root={root}", f"updates={updates}"]
        return train(read_config(CONFIG, [*own, *changes]))

    base, settings = options.init_from, []
    if base is None:
        base = str(trained("base", roots["others"], options.base_updates, [*SMALL, *BASE]))
        settings = [*SMALL, *TUNED]
    settings = [*settings, f"init_from={base}"]
    tuned = trained("tuned", roots["camera"], options.updates, settings)

    val: dict[str, Any] = {CAMERA: [], "the other cameras": []}
    for pair in data.polyu_pairs(options.data / "polyu", "val"):
        camera = CAMERA if pair.noisy.name.startswith(CAMERA) else "the other cameras"
        val[camera].append(data.read_pair(pair))
    where = hardware(danet.Denoiser.from_pretrained(base).device)
    print(f"{where}; {options.updates} updates in {minutes(options.output / 'tuned'):.1f} minutes")
    print("| PolyU val crops of | weights | PSNR | SSIM | AKLD |\n|---|---|---|---|---|")
    for camera, pairs in val.items():
        for name, weights in (("before", base), ("fine-tuned", str(tuned))):
            print(f"| {camera} | {name} | {measure(weights, pairs, options.fakes)} |")


if __name__ == "__main__":
    main()
