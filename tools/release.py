"""Bring trained networks into the package as weights of a name, measured and with their card.

    DANET_DATA=... python tools/release.py --name photo runs/photo-16-joint --network generator

The runs are those of docs/recipes, in their order; each network is that of the last run with one,
and the one that ships already where no run has one, or it is not asked for; a denoiser that
tools/mean.py has left comes by --mean.  Of the notes,
NAME-earlier.md has the rows of the runs that are not given, and NAME-limits.md the limits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shipped_weights import add_data_argument, measure_all

from danet import weights

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "src" / "danet" / "weights_data"
KINDS: tuple[weights.Kind, ...] = ("denoiser", "generator")

NETWORKS = {"joint": "R, G and D", "denoiser": "R alone", "base-g": "G and D"}

SETS = {
    "PolyU, val crops": "polyu_val_crops",
    "nam25": "nam25",
    "SIDD, 40 validation blocks": "sidd_val",
}

CARD = """\
---
library_name: danet
pipeline_tag: image-to-image
license: other
license_name: LicenseRef-danet-weights
tags: [image-denoising, noise-generation]
---

{about}

## Licence

For **non-commercial use only**: the PolyU pictures and most of the clean ones, which they were
trained on, are for non-commercial use.

## Data

- PolyU real-world noisy images (Xu et al., 2018; non-commercial): the training scenes of a split by
  scene: 72 crops of 512 px, and tiles of 256 px from 18 whole frames; for the generator, tiles of
  128 px from both.  Only those tiles are taken where the noise correlates with the clean picture's
  gradient by at most 0.12 and the means differ by at most one grey level.
- Clean pictures, to which `danet.noise.DevelopedNoise` adds noise: the clean sides of those pairs
  and of the training scenes' whole frames; the 24 pictures of Kodak (free of restrictions), 500 of
  BSDS500 (non-commercial research), 100 crops of Urban100 and 10 pictures of DIV2K
  (academic use), 36 of Flickr (non-commercial), 7 under CC0.
- Never trained on: PolyU's other scenes, nam25, RNI15, SIDD's validation blocks.

## Training

{training}

The recipes are in docs/recipes of the source.  Weights are running averages, stored in half
precision.

## Measured

`python tools/shipped_weights.py --weights {name}`, on {hardware}, computed in {dtype}.
Kodak's pictures are among those that noise was added to in training.

{measured}

{worse}

## Limits

{limits}

## Files

{files}
"""


ABOUT = {
    "photo": """\
# photo: a denoiser and a noise generator for photographs

The networks of "Dual Adversarial Network: Toward Real-world Noise Removal and Noise
Generation" (ECCV 2020), trained by this library from random weights: a UNet of width 32 and depth 5
as the denoiser, and `danet.networks.Modulated` of width 16 and depth 3 as the generator.
`Denoiser()` and `NoiseGenerator()` load them.  photo-1 and photo-2 learned from the noise of
`CameraPipeline`; the generator is that of photo-16-joint, whose denoiser does not ship.  The
denoiser is the mean of the weights of photo-7-denoiser (.35), photo-18-denoiser (.4) and
photo-plus (.25), DANet+ on pairs that the generator made.""",
    "photo-fast": """\
# photo-fast: a denoiser for photographs, three times as fast as photo

A UNet of width 36 and depth 4 on half as many rows and columns, `danet.networks.HalfUNet`, trained
by this library from random weights on the truth and on what `photo` gives.
It is the mean of the weights of photo-10-fast (.35), photo-11-fast (.5) and the photo-fast of
photo-9-fast, with which both began (.15).  `Denoiser("photo-fast")` loads it.""",
}


def install(runs: list[Path], shipped: Path, kinds: Sequence[weights.Kind]) -> None:
    """Copy the networks into the package in half precision."""
    for kind in kinds:
        folders = [folder for run in runs if (folder := run / "model" / kind).is_dir()]
        if folders:
            network = weights.load_network(folders[-1], kind).half()
            weights.save_network(network, shipped / kind, "The card is in the folder above.")


def training_table(runs: list[Path], earlier: Path) -> str:
    """A table of the runs, from their own records, after the rows of earlier ones."""
    lines = earlier.read_text(encoding="utf-8").strip().splitlines()
    for run in runs:
        described = json.loads((run / "config.json").read_text())
        config = described["config"]
        seconds = [json.loads(line)["seconds"] for line in (run / "log.jsonl").open()]
        # The clock starts anew when a run is resumed.
        ends = [a for a, b in zip(seconds, [*seconds[1:], 0], strict=True) if b < a]
        networks = described.get("learns", NETWORKS[config["mode"]])
        rule = config["optimizer"]["rule"].capitalize()
        if config.get("generator_start") == config["updates"]:
            networks = "G alone, its start"
        lines.append(
            f"| {run.name} | {networks} | {rule} | {config['updates']} | "
            f"{config['batch_size']} real + "
            f"{config['extra_size']} made or strengthened | {config['patch_size']} px | "
            f"{config['seed']} | {sum(ends) / 3600:.1f} | {described['hardware']} |"
        )
    return "\n".join(lines)


def measured_table(result: dict[str, Any]) -> str:
    """PSNR, SSIM and AKLD as a table."""
    lines = ["| | noisy: PSNR, SSIM | denoised: PSNR, SSIM | smallest gain |", "|---|---|---|---|"]
    for name, key in SETS.items():
        part = result[key]
        before, after = (
            f"{part[side]['psnr']:.2f} dB, {part[side]['ssim']:.4f}"
            for side in ("noisy", "denoised")
        )
        lines.append(f"| {name} | {before} | {after} | {part['smallest_gain_db']:.2f} dB |")
    clean = result["clean"]
    lines += [
        "",
        "| Kodak's clean pictures, denoised, against themselves | |",
        "|---|---|",
        f"| mean, worst | {clean['psnr']:.2f} dB, {clean['worst']:.2f} dB |",
    ]
    if noise := result.get("generation"):
        lines += [
            "",
            f"| AKLD on PolyU's val crops, {noise['fakes']} fakes | |",
            "|---|---|",
            f"| the generator, told the pair's noise level | {noise['akld']:.3f} |",
            "| Gaussian noise of the pair's own standard deviation | "
            f"{noise['akld_gaussian']:.3f} |",
        ]
    return "\n".join(lines)


def between_marks(path: Path, text: str) -> None:
    """Replace what stands between the two marks of a page."""
    page = path.read_text(encoding="utf-8")
    head, rest = page.split("<!-- measured -->\n")
    tail = rest.split("<!-- /measured -->\n")[1]
    path.write_text(
        f"{head}<!-- measured -->\n{text}\n<!-- /measured -->\n{tail}", encoding="utf-8"
    )


def main() -> None:
    """Install, measure, write the card and README's table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--name", choices=ABOUT, default="photo")
    parser.add_argument("--mean", type=Path, help="a folder of the denoiser to ship")
    parser.add_argument("--network", choices=KINDS, action="append", help="by default both")
    parser.add_argument("--notes", type=Path, default=ROOT / "docs" / "recipes")
    add_data_argument(parser)
    options = parser.parse_args()
    name, shipped = options.name, SHIPPED / options.name
    install(options.runs, shipped, options.network or KINDS)
    if options.mean:
        network = weights.load_network(options.mean, "denoiser").half()
        weights.save_network(network, shipped / "denoiser", "The card is in the folder above.")
    result = measure_all(name, options.data)
    table = measured_table(result)
    worse = sum(result[key]["pictures_made_worse"] for key in SETS.values())
    files = [
        f"- `{kind}/model.safetensors`: {path.stat().st_size} bytes, SHA-256 "
        f"`{hashlib.sha256(path.read_bytes()).hexdigest()}`"
        for kind in KINDS
        if (path := shipped / kind / "model.safetensors").exists()
    ]
    card = CARD.format(
        training=training_table(options.runs, options.notes / f"{name}-earlier.md"),
        hardware=result["hardware"],
        dtype=result["dtype"],
        name=name,
        about=ABOUT[name],
        measured=table,
        worse=f"Pictures of these sets that denoising makes worse, by PSNR: {worse or 'none'}.",
        limits=(options.notes / f"{name}-limits.md").read_text(encoding="utf-8").strip(),
        files="\n".join(files),
    )
    (shipped / "README.md").write_text(card, encoding="utf-8")
    if name == "photo":
        between_marks(ROOT / "README.md", table)


if __name__ == "__main__":
    main()
