"""Fine-tune weights on pairs of one camera and measure what it brings.

    DANET_DATA=... python benchmarks/my_camera.py -o runs/my-camera
    DANET_DATA=... python benchmarks/my_camera.py -o runs/my-camera-photo --init-from photo

The camera is PolyU's Sony, of which there are crops of five scenes.  What `danet data prepare
--screen` leaves of the pairs is trained on, unless --unscreened is given.  Each of the four
training scenes is measured with weights that were tuned on the other three, and the val scene
with weights that were tuned on all four.  The shipped weights have seen the training scenes, so
that a small denoiser is first trained on the other cameras, unless --init-from names weights.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from shipped_weights import add_data_argument, denoising, generation

import danet
from danet import data
from danet.devices import hardware
from danet.layouts import source_pairs
from danet.prepare import prepare
from danet.train import read_config, train

CONFIG = Path(__file__).parents[1] / "examples" / "my_camera.toml"
CAMERA = "Sony"
# A small denoiser, for an experiment of minutes.
SMALL = ["mode=denoiser", "denoiser.width=16", "denoiser.depth=3", "patch_size=32"]
BASE = ["batch_size=16", "extra_size=16", "optimizer.denoiser=1e-3"]
TUNED = ["batch_size=16", "extra_size=16", "optimizer.denoiser=5e-5"]


def scene(pair: data.Pair) -> str:
    """What the name says besides the camera, its settings and the number of the crop."""
    return pair.noisy.stem.split("_")[4]


def copied(pairs: Sequence[data.Pair], folder: Path) -> Path:
    """Lay pairs out as `danet train` reads them."""
    for pair in pairs:
        for side in ("noisy", "clean"):
            target = folder / side / pair.noisy.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(getattr(pair, side), target)
    return folder


def measure(weights: str, files: Sequence[data.Pair], fakes: int) -> str:
    """PSNR and SSIM of the denoised pictures, and AKLD of the noise if there is a generator."""
    pairs = [data.read_pair(pair) for pair in files]
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
    parser.add_argument("--updates", type=int, default=150)
    parser.add_argument("--unscreened", action="store_true")
    parser.add_argument("--fakes", type=int, default=10)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="settings of the tuning")
    options = parser.parse_args()

    def trained(name: str, pairs: Sequence[data.Pair], changes: list[str]) -> str:
        run = options.output / name
        root = copied(pairs, run / "pairs")
        screen = name != "base" and not options.unscreened
        sources = source_pairs("folder", root)
        prepare(sources, run / "crops", crop=128, stride=64, screen=screen)
        own = [f"output={run}", f"data.root={run / 'crops'}"]
        return str(train(read_config(CONFIG, [*own, *changes])))

    every = data.polyu_pairs(options.data / "polyu", "train")
    own = [pair for pair in every if pair.noisy.name.startswith(CAMERA)]
    val = data.polyu_pairs(options.data / "polyu", "val")
    base, settings = options.init_from, []
    if base is None:
        others = [pair for pair in every if pair not in own]
        base = trained("base", others, [*SMALL, *BASE, f"updates={options.base_updates}"])
        settings = [*SMALL, *TUNED]
    updates = f"updates={options.updates}"
    settings = [*settings, f"init_from={base}", updates, *options.changes]

    folds = {
        name: ([p for p in own if scene(p) != name], [p for p in own if scene(p) == name])
        for name in dict.fromkeys(map(scene, own))
    }
    folds["plant (val)"] = (own, [pair for pair in val if pair.noisy.name.startswith(CAMERA)])
    print(hardware(danet.Denoiser.from_pretrained(base).device))
    print("| scene | weights | PSNR | SSIM | AKLD |\n|---|---|---|---|---|")
    for name, (seen, unseen) in folds.items():
        tuned = trained(name.split()[0], seen, settings)
        for which, weights in (("before", base), ("fine-tuned", tuned)):
            print(f"| {name} | {which} | {measure(weights, unseen, options.fakes)} |")


if __name__ == "__main__":
    main()
