"""Measure what docs/benchmarks.md shows, and put the tables into it.

    DANET_DATA=... python docs/make_benchmarks.py runs/benchmarks

What was measured lies in the folder given, with scores of every picture, and is not measured again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import danet
from danet import metrics
from danet.bench import (
    BASELINES,
    Denoise,
    baseline,
    benchmark_pairs,
    evaluate,
    evaluate_harmless,
    evaluate_noise,
    network,
)
from danet.data import Pixels, middle, scaled, source_pairs
from danet.data.layouts import SourcePair
from danet.devices import hardware
from danet.noise import (
    CameraPipeline,
    CBDNetPipeline,
    CorrelatedGaussian,
    PoissonGaussian,
    WhiteGaussian,
)

PAGE = Path(__file__).with_name("benchmarks.md")
MIDDLE = 256
FAKES = 10
SEEDS = range(5)  # of PGap, whose interval three leave too wide to compare models
DATASETS = {"nam25": "nam25", "polyu": "PolyU val"}
Pairs = Sequence[tuple[Pixels, Pixels]]
Floats = NDArray[np.float32]
GENERATORS: dict[str, Callable[[Pairs], Any]] = {
    "white Gaussian, fitted": WhiteGaussian.fit,
    "Poisson-Gaussian, fitted": PoissonGaussian.fit,
    "correlated Gaussian, fitted": CorrelatedGaussian.fit,
    "CBDNet's": lambda pairs: CBDNetPipeline(),
    "unprocessing": lambda pairs: CameraPipeline.unprocessing(),
    "danet `photo`": lambda pairs: danet.NoiseGenerator("photo"),
}
# These are made as strong as the real noise of each picture, too.
TOLD = ("correlated Gaussian, fitted", "danet `photo`")
HARMS = {
    "fidelity": ("clean, dB", ".1f"),
    "worst": ("worst of them, dB", ".1f"),
    "camera_gain": ("a camera's noise, gain in dB", "+.1f"),
    "white_gain": ("white noise, gain in dB", "+.1f"),
    "tint_gain": ("tinted, gain in dB", "+.1f"),
    "dark_gain": ("dark, gain in dB", "+.1f"),
    "exposure": ("exposure, levels", ".2f"),
    "flat": ("flats, levels", ".2f"),
    "flat_border": ("their border, levels", ".2f"),
    "text": ("text, dB", ".1f"),
    "lines": ("lines, dB", ".1f"),
    "stripes": ("stripes, dB", ".1f"),
    "stripe_colour": ("their colour, levels", ".2f"),
    "stars": ("stars, share", ".2f"),
    "faintest_stars": ("the faintest, share", ".2f"),
    "noisy_stars": ("faint ones under noise, share", ".2f"),
}
MEASURES = {
    "akld": ("AKLD", ".3f"),
    "kld": ("KLD", ".3f"),
    "variance_distance": ("variance", ".2f"),
    "channel_correlation_distance": ("channels", ".2f"),
    "autocorrelation_distance": ("lags", ".3f"),
    "power_spectrum_distance": ("spectrum", ".1f"),
}


class AtLevel:
    """A model whose noise is made as strong as the real noise of each picture is known to be."""

    def __init__(self, model: Any, pairs: Pairs) -> None:
        self.model = model
        self.levels = {_key(clean): _level(scaled(clean), scaled(noisy)) for clean, noisy in pairs}

    def stream(self, clean: Floats, n: int, seed: int) -> Iterator[Floats]:
        """See `danet.noise.NoiseModel`."""
        wanted = self.levels[_key(np.rint(clean * 255).astype(np.uint8))]
        for version in self.model.stream(clean, n, seed):
            noise = version - clean
            yield (clean + wanted / _level(clean, version) * noise).clip(0, 1)


def _key(clean: Pixels) -> bytes:
    return hashlib.sha256(clean.tobytes()).digest()


def _level(clean: Floats, noisy: Floats) -> float:
    return float(metrics.noise_level(noisy, noisy - clean).channels.mean())


def means(folder: Path, measure: Callable[[], Any]) -> dict[str, dict[str, float]]:
    """The mean scores that a folder holds, after measuring them where it does not."""
    if not (folder / "report.json").exists():
        measure().write(folder)
    found: dict[str, dict[str, float]] = json.loads((folder / "report.json").read_text())["mean"]
    return found


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown, numbers to the right."""
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, rule, *rows])


def _methods() -> dict[str, Denoise]:
    shipped = {f"danet `{name}`": network(danet.Denoiser(name)) for name in ("photo", "photo-fast")}
    return {name: baseline(name) for name in BASELINES} | shipped


def harms(output: Path) -> str:
    """What each denoiser does to pictures that it should leave as they are."""
    # bm3d would take half an hour.
    methods = {name: method for name, method in _methods().items() if name != "bm3d"}
    found = means(output / "harmless", partial(evaluate_harmless, methods))
    rows = [
        [words, *(format(scores[key], form) for scores in found.values())]
        for key, (words, form) in HARMS.items()
    ]
    return table(["", *found], rows)


def denoisers(root: Path, output: Path) -> str:
    """PSNR and SSIM of the shipped denoiser and of the baselines, on each data set."""
    scores: dict[str, list[str]] = {}
    for dataset in DATASETS:
        pairs = benchmark_pairs(dataset, root / dataset)
        for name, row in means(output / dataset, partial(evaluate, pairs, _methods())).items():
            cells = [f"{row['psnr']:.2f}", f"{row['ssim']:.4f}"]
            seconds = row.get("seconds_per_megapixel")
            cells.append("" if seconds is None else f"{seconds:.3g}")
            scores.setdefault(name, []).extend(cells)
    heads = [f"{name} {score}" for name in DATASETS.values() for score in ("PSNR", "SSIM", "s/MP")]
    return table(["denoiser", *heads], [[name, *cells] for name, cells in scores.items()])


def generators(root: Path, output: Path, only: Sequence[str]) -> str:
    """What tells the noise of each generator from the real noise, on PolyU's val scenes."""
    middles = [SourcePair(p.name, partial(_middle, p)) for p in benchmark_pairs("polyu", root)]
    train = source_pairs("polyu", root, part="train", kind="crops")
    rows = []
    before = PAGE.read_text(encoding="utf-8").partition("<!-- generators -->")[2]
    told = {f"{name}, told the level": GENERATORS[name] for name in TOLD}
    for name, make in (GENERATORS | told).items():
        folder = output / re.sub(r"\W+", "-", name)
        if only and name not in only and not folder.exists():
            found = re.search(rf"^\| {re.escape(name)} \|.*$", before, re.MULTILINE)
            rows += [found[0].strip("| ").split(" | ")] if found else []
            continue

        def measure(make: Callable[[Pairs], Any] = make, told: bool = name in told) -> Any:
            known = [pair.read() for pair in train]
            model = make(known)
            if told:
                model = AtLevel(model, known + [pair.read() for pair in middles])
            cache = output / "trainings"
            return evaluate_noise(
                middles, model, fakes=FAKES, train_pairs=train, seeds=SEEDS, cache=cache
            )

        row = means(folder, measure)["generated"]
        gap = f"{row['pgap']:.2f} ({row['pgap_low']:.2f} to {row['pgap_high']:.2f})"
        rows.append([name, *(format(row[key], form) for key, (_, form) in MEASURES.items()), gap])
    heads = ["generator", *(head for head, _ in MEASURES.values()), "PGap (95 %)"]
    return table(heads, rows)


def bounds(root: Path, output: Path) -> str:
    """What an AKLD is to be seen against."""
    path = output / "bounds.json"
    if not path.exists():
        pairs = [_middle(pair) for pair in benchmark_pairs("polyu", root)]
        report = metrics.akld_report(pairs, generator=lambda clean: clean, n=FAKES)
        values = [report.floor, report.gaussian, report.no_noise]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    names = ["a perfect model of the noise", "its own local variance, white", "no noise"]
    values = json.loads(path.read_text())
    return table(["AKLD of", ""], [[n, f"{v:.3f}"] for n, v in zip(names, values, strict=True)])


def _middle(pair: SourcePair) -> tuple[Pixels, Pixels]:
    clean, noisy = pair.read()
    return middle(clean, MIDDLE), middle(noisy, MIDDLE)


def main() -> None:
    """Measure, and write the page's tables between their marks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("output", type=Path)
    parser.add_argument("--data", type=Path, default=os.environ.get("DANET_DATA"))
    parser.add_argument(
        "--part", choices=["denoisers", "harms", "bounds", "generators"], action="append"
    )
    parser.add_argument(
        "--only", action="append", default=[], help="of the generators; others keep their row"
    )
    options = parser.parse_args()
    root, output = Path(options.data), options.output
    polyu = root / "polyu"
    parts = {
        "denoisers": lambda: denoisers(root, output / "denoisers"),
        "harms": lambda: harms(output),
        "bounds": lambda: bounds(polyu, output),
        "generators": lambda: generators(polyu, output / "generators", options.only),
    }
    for part in options.part or parts:
        text = parts[part]()
        print(text)
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(f"<!-- {part} -->\n")
        _, end, after = rest.partition(f"<!-- end of {part} -->")
        page = f"{before}<!-- {part} -->\n{text}\n{end}{after}"
        PAGE.write_text(page, encoding="utf-8")
    print(hardware(danet.Denoiser("photo").device))


if __name__ == "__main__":
    main()
