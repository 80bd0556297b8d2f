"""Train the paper's methods at a small scale, and put what they reach into docs/reproduction.md.

    DANET_DATA=... python docs/make_reproduction.py runs/reproduction

Each method is trained on each camera from each seed.  What is done lies in the folder given, and
docs/reproduction.json has the figures: a method that is there is not trained again, and a training
that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from skimage import data as pictures

import danet
from danet import metrics
from danet.bench import evaluate_noise
from danet.data import Pixels, middle, picture_files, source_pairs
from danet.data.layouts import SourcePair
from danet.devices import hardware
from danet.images import read_image, write_image
from danet.noise import PoissonGaussian
from danet.train import make_config, train

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "examples"), str(ROOT / "docs")]

from known_noise import known_law, write_pairs  # noqa: E402
from make_pictures import side_by_side  # noqa: E402

PAGE, FIGURES = (ROOT / "docs" / f"reproduction.{kind}" for kind in ("md", "json"))
IMAGES = ROOT / "docs" / "images"
CAMERAS = {"known": "a known noise", "polyu": "PolyU's cameras"}
SEEDS = (0, 1, 2)
FAKES = 4
MIDDLE = 256
PICTURES = 100  # clean ones, for the known noise

Scores = dict[str, float]
Figures = dict[str, Scores]

# The critic's slopes are limited in noise over its deviation, of which there are about 80 in the
# pictures' range: so tau1 and tau2 are 80 times the paper's for the same weight.
UNITS = 80
SMALL: dict[str, Any] = {
    "updates": 400,
    "batch_size": 32,
    "patch_size": 32,
    "critic_width": 32,
    "denoiser": {"width": 16, "depth": 3},
    "generator": {"backbone": "modulated", "width": 16, "depth": 3, "latent_channels": 3},
    "channels_last": True,
    "workers": 0,
    "checkpoint_every": 100,
}
RATES = {
    "denoiser": 1e-3,
    "generator": 5e-4,
    "discriminator": 4e-4,
    "schedule": "cosine",
    "warmup": 20,
    "average": 0.99,
}
PGAP = {"updates": 600, "validation": {"every": 50, "crop": 128}}


def _loss(denoiser: float = 1000, generator: float = 10) -> dict[str, float]:
    return {"tau_denoiser": UNITS * denoiser, "tau_generator": UNITS * generator}


# The recipe, what differs from it, and whether PGap is measured.
METHODS: dict[str, tuple[str, dict[str, float], bool]] = {
    "L1 alone": ("denoiser-l1", {}, False),
    "BaseD": ("base-d", {**_loss(), "alpha": 0.0}, False),
    "DANet": ("danet", _loss(), True),
    "DANet, tau1 = 100": ("danet", _loss(denoiser=100), False),
    "BaseG": ("base-g", {**_loss(), "alpha": 1.0}, True),
    "DANet, tau2 = 0": ("danet", _loss(generator=0), True),
    "tau2 = inf": ("generator-mean", {}, False),
}
PLUS = {f"{ratio:g} fakes to a real pair": ratio for ratio in (0.0, 0.25, 0.5, 1.0, 3.0)}

# From the paper: SIDD's validation set, PSNR and SSIM, and PGap and AKLD.
PAPER_DENOISING = {
    "L1 alone": "39.39, .917",
    "BaseD": "39.19, .907",
    "DANet": "39.30, .916",
    "DANet, tau1 = 100": "38.66, .901",
}
PAPER_GENERATION = {
    "BaseG": "4.07, .223",
    "DANet": "2.06, .212",
    "DANet, tau2 = 0": "5.33, .386",
    "tau2 = inf": "15.14, .514",
}


class Camera:
    """The pairs of one camera, and how strong its noise is from black to white."""

    def __init__(self, name: str, root: Path, output: Path) -> None:
        self.name, self.folder = name, output / name
        if name == "known":
            self.folder.mkdir(parents=True, exist_ok=True)
            layout, places = "folder", [self.folder / part for part in ("train", "val")]
            if not (self.folder / "written").exists():
                for path in picture_files(root / "clean" / "bsds500")[:PICTURES]:
                    write_image(read_image(path), self.folder / "clean" / f"{path.stem}.png")
                write_pairs(self.folder / "clean", self.folder, known_law())
                (self.folder / "written").touch()
            self.given = {"root": places[0], "layout": layout}
            self.train, self.tests = (source_pairs("folder", place) for place in places)
        else:
            self.given = {"root": root / "polyu", "layout": "polyu"}
            self.train, self.tests = (
                source_pairs("polyu", root / "polyu", part=part, kind="crops")
                for part in ("train", "val")
            )
        self.tests = [_in_the_middle(pair) for pair in self.tests]
        fitted = PoissonGaussian.fit([pair.read() for pair in self.train[::4]], srgb=False)
        greys = np.linspace(0, 1, 9, dtype=np.float32)[:, None, None].repeat(3, axis=2)
        self.deviation = fitted.deviation(greys).mean(axis=(1, 2)).tolist()


def _in_the_middle(pair: SourcePair) -> SourcePair:
    def read() -> tuple[Pixels, Pixels]:
        clean, noisy = pair.read()
        return middle(clean, MIDDLE), middle(noisy, MIDDLE)

    return pair._replace(read=read)


def learn(camera: Camera, method: str, seed: int) -> Path:
    """The model folder of a method, after training it where that is not done."""
    settings: dict[str, Any] = {**SMALL, "critic_deviation": camera.deviation, "optimizer": RATES}
    if method in PLUS:
        fakes = {"generator": str(learn(camera, "DANet", seed)), "ratio": PLUS[method]}
        clip = {"clip": "adaptive", "epoch": 50}
        settings |= {"recipe": "danet-plus", "fakes": fakes, "optimizer": {**RATES, **clip}}
    else:
        recipe, loss, _ = METHODS[method]
        settings |= {"recipe": recipe, "loss": loss}
    output = camera.folder / f"{method.replace(' ', '-')}-{seed}"
    if not (output / "model").exists():
        train(make_config(output=output, data=camera.given, seed=seed, **settings))
    return output / "model"


def gap(camera: Camera, model: Path, seeds: Sequence[int]) -> metrics.PGap:
    """What denoisers lose that learn from a model's noise."""
    from danet.train.experiment import PRESETS

    return metrics.pgap(
        danet.NoiseGenerator(model),
        [pair.read() for pair in camera.train],
        [pair.read() for pair in camera.tests],
        preset={**PRESETS["quick"], **PGAP},
        seeds=seeds,
        cache=camera.folder / "denoisers",
    )


def measure(camera: Camera, method: str, seed: int) -> Scores:
    """Train a method and measure what it has learned."""
    model = learn(camera, method, seed)
    scores: Scores = {}
    if (model / "denoiser").exists():
        denoiser = danet.Denoiser(model)
        rows = []
        for pair in camera.tests:
            clean, noisy = pair.read()
            denoised = denoiser(noisy)
            rows.append([metrics.psnr(clean, denoised), metrics.ssim(clean, denoised)])
        scores["psnr"], scores["ssim"] = np.mean(rows, axis=0).tolist()
    if (model / "generator").exists():
        noise = evaluate_noise(camera.tests, danet.NoiseGenerator(model), fakes=FAKES)
        means = noise.means["generated"]
        scores |= {key: means[key] for key in ("akld", "kld", "variance_distance")}
        if METHODS[method][2]:
            scores["pgap"] = gap(camera, model, [seed]).value
    return scores


def interval(values: Sequence[float], form: str) -> str:
    """The mean, and how far on each side it may lie with 95 % confidence, by Student's t."""
    mean = format(np.mean(values), form)
    if len(values) < 2:
        return mean
    reach = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{mean} ± {format(reach, form.lstrip('+'))}"


def rows(
    figures: Figures,
    camera: str,
    methods: Sequence[str],
    keys: Mapping[str, str],
    less: tuple[str, str, str],
) -> list[list[str]]:
    """A row of a table for each method: the means, and a difference to one of the methods."""
    key, form, other = less
    table = []
    for method in methods:
        found = {
            seed: scores
            for seed in SEEDS
            if (scores := figures.get(f"{camera} | {method} | {seed}")) is not None
        }
        row = [method]
        for name, digits in keys.items():
            values = [scores[name] for scores in found.values() if name in scores]
            row.append(interval(values, digits) if values else "")
        pairs = [
            scores[key] - figures[f"{camera} | {other} | {seed}"][key]
            for seed, scores in found.items()
            if f"{camera} | {other} | {seed}" in figures
        ]
        row.append(interval(pairs, form) if pairs and method != other else "")
        table.append(row)
    return table


def tables(figures: Figures, camera: str) -> dict[str, str]:
    """The three tables of a camera, by their marks on the page."""
    denoising = rows(
        figures,
        camera,
        list(PAPER_DENOISING),
        {"psnr": ".2f", "ssim": ".4f"},
        ("psnr", "+.2f", "DANet"),
    )
    generation = rows(
        figures,
        camera,
        list(PAPER_GENERATION),
        {"akld": ".3f", "kld": ".3f", "variance_distance": ".2f", "pgap": ".2f"},
        ("akld", "+.3f", "DANet"),
    )
    plus = rows(
        figures,
        camera,
        list(PLUS),
        {"psnr": ".2f", "ssim": ".4f"},
        ("psnr", "+.2f", next(iter(PLUS))),
    )
    return {
        f"{camera} denoising": _table(
            ["", "PSNR, dB", "SSIM", "PSNR less DANet's", "the paper's, SIDD"],
            [[*row, PAPER_DENOISING[row[0]]] for row in denoising],
        ),
        f"{camera} generation": _table(
            ["", "AKLD", "KLD", "variance", "PGap, dB", "AKLD less DANet's", "the paper's, SIDD"],
            [[*row, PAPER_GENERATION[row[0]]] for row in generation],
        ),
        f"{camera} plus": _table(["", "PSNR, dB", "SSIM", "PSNR less that without"], plus),
    }


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, rule, *lines])


def draw(camera: Camera) -> None:
    """The curves of fig. 2 and the noise of fig. 3, on the known noise."""
    models = {method: learn(camera, method, SEEDS[0]) for method in ("DANet", "BaseG")}
    gap(camera, models["DANet"], SEEDS[:1]).plot().savefig(IMAGES / "pgap.png")
    clean = pictures.astronaut()[0:128, 160:288]
    row = {"clean": clean, "the true noise": known_law().sample(clean, n=1, seed=1)[0]}
    for method, model in models.items():
        row[f"{method}'s"] = danet.NoiseGenerator(model).sample(clean, n=1, seed=1)[0]
    write_image(side_by_side(row, zoom=2), IMAGES / "reproduction.png")


def write_page(figures: Figures) -> None:
    """Put the tables between their marks."""
    page = PAGE.read_text(encoding="utf-8")
    for camera in CAMERAS:
        for mark, text in tables(figures, camera).items():
            before, _, rest = page.partition(f"<!-- {mark} -->\n")
            _, end, after = rest.partition(f"<!-- end of {mark} -->")
            page = f"{before}<!-- {mark} -->\n{text}\n{end}{after}"
    PAGE.write_text(page, encoding="utf-8")


def main() -> None:
    """Train and measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("output", type=Path)
    parser.add_argument("--data", type=Path, default=os.environ.get("DANET_DATA"))
    parser.add_argument("--camera", choices=CAMERAS, action="append")
    parser.add_argument("--seed", type=int, choices=SEEDS, action="append")
    parser.add_argument("--pictures", action="store_true", help="draw the two pictures only")
    options = parser.parse_args()
    cameras = [
        Camera(name, Path(options.data), options.output) for name in options.camera or CAMERAS
    ]
    if options.pictures:
        draw(cameras[0])
        return
    for seed in options.seed or SEEDS:
        for camera in cameras:
            for method in (*METHODS, *PLUS):
                key = f"{camera.name} | {method} | {seed}"
                figures: Figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
                if key not in figures:
                    scores = measure(camera, method, seed)
                    # Another process may have written since.
                    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
                    figures[key] = {name: round(value, 5) for name, value in scores.items()}
                    FIGURES.write_text(json.dumps(dict(sorted(figures.items())), indent=1) + "\n")
                    print(key, figures[key], flush=True)
    if PAGE.exists():
        write_page(json.loads(FIGURES.read_text()))
    print(hardware(danet.Denoiser("photo").device))


if __name__ == "__main__":
    main()
