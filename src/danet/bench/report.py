"""The scores of an evaluation, and how they are written."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from danet.files import atomic_write

__all__ = ["Report", "Scores"]

# By method, then by measure.
Scores = Mapping[str, Mapping[str, float]]

# How a measure is headed and printed; those that are not named here keep their own name.
_SHOWN = {
    "psnr": ("PSNR", ".2f"),
    "ssim": ("SSIM", ".4f"),
    "akld": ("AKLD", ".4f"),
    "kld": ("KLD", ".4f"),
    "pgap": ("PGap", ".2f"),
    "pgap_low": ("PGap from", ".2f"),
    "pgap_high": ("to", ".2f"),
    "noise_mean": ("noise mean", ".2f"),
    "noise_std": ("noise std", ".2f"),
    "variance_distance": ("variance", ".3f"),
    "channel_correlation_distance": ("channels", ".3f"),
    "autocorrelation_distance": ("lags", ".3f"),
    "power_spectrum_distance": ("spectrum", ".2f"),
    "seconds_per_megapixel": ("s/MP", ".3g"),
    "fidelity": ("clean", ".2f"),
    "worst": ("worst", ".2f"),
    "camera_gain": ("camera noise", "+.2f"),
    "white_gain": ("white noise", "+.2f"),
    "tint_gain": ("tinted", "+.2f"),
    "dark_gain": ("dark", "+.2f"),
    "exposure": ("exposure", ".2f"),
    "flat": ("flats", ".2f"),
    "flat_border": ("their border", ".2f"),
    "text": ("text", ".1f"),
    "lines": ("lines", ".1f"),
    "stripes": ("stripes", ".1f"),
    "stripe_colour": ("their colour", ".2f"),
    "stars": ("stars", ".2f"),
    "faintest_stars": ("faintest", ".2f"),
    "noisy_stars": ("under noise", ".2f"),
}


@dataclass(frozen=True)
class Report:
    """Scores of pictures, by method and measure.

    Attributes:
        facts: what was measured, and on what, in words.
        images: the scores of each picture, by its name.  All have the same methods and measures.
        whole: scores that the data set has as a whole, such as PGap.

    Example:
        >>> scores = {"a": {"noisy": {"psnr": 30.0}}, "b": {"noisy": {"psnr": 34.0}}}
        >>> Report({"dataset": "folder"}, scores).means
        {'noisy': {'psnr': 32.0}}
    """

    facts: Mapping[str, str | int]
    images: Mapping[str, Scores]
    whole: Scores = field(default_factory=dict)

    @property
    def means(self) -> dict[str, dict[str, float]]:
        """The mean of each measure over the pictures, and the scores of the whole."""
        rows = list(self.images.values())
        means = {
            method: {name: float(np.mean([row[method][name] for row in rows])) for name in scores}
            for method, scores in rows[0].items()
        }
        for method, scores in self.whole.items():
            means.setdefault(method, {}).update(scores)
        return means

    def as_json(self) -> str:
        """Facts, means and images as one JSON object; what is not finite becomes null."""
        images = [{"image": name, **_finite(scores)} for name, scores in self.images.items()]
        content = {"facts": dict(self.facts), "mean": _finite(self.means), "images": images}
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    def as_csv(self) -> str:
        """A row for each picture and one, ``mean``, for all; columns such as ``noisy psnr``."""
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        columns = _columns(self.means)
        writer.writerow(["image", *(f"{method} {measure}" for method, measure in columns)])
        for name, scores in [*self.images.items(), ("mean", self.means)]:
            writer.writerow([name, *(_value(scores, *column) for column in columns)])
        return lines.getvalue()

    def as_markdown(self) -> str:
        """The facts, a table of the means with a row for each method, and one of the pictures."""
        means = self.means
        columns = _columns(means)
        measures = list(dict.fromkeys(measure for _, measure in columns))
        summary = [
            [method, *(_shown(_value(means, method, measure), measure) for measure in measures)]
            for method in means
        ]
        shown = _columns(next(iter(self.images.values())))  # without what only the whole has
        pictures = [
            [name, *(_shown(_value(scores, *column), column[1]) for column in shown)]
            for name, scores in self.images.items()
        ]
        return "\n".join(
            [
                *(f"- {name}: {value}" for name, value in self.facts.items()),
                "",
                *_table(["mean of all", *map(_heading, measures)], summary),
                "",
                *_table(["image", *(f"{m} {_heading(s)}" for m, s in shown)], pictures),
                "",
            ]
        )

    def write(self, folder: Path) -> list[Path]:
        """Write ``report.json``, ``report.csv`` and ``report.md``, and say where.

        Args:
            folder: made if need be; files of the same names in it are replaced.

        Raises:
            DanetError: a file cannot be written.
        """
        texts = {"json": self.as_json(), "csv": self.as_csv(), "md": self.as_markdown()}
        paths = [folder / f"report.{suffix}" for suffix in texts]
        for path, text in zip(paths, texts.values(), strict=True):
            with atomic_write(path) as temporary:
                temporary.write_text(text, encoding="utf-8", newline="\n")
        return paths


def _columns(means: Scores) -> list[tuple[str, str]]:
    return [(method, measure) for method, scores in means.items() for measure in scores]


def _value(scores: Scores, method: str, measure: str) -> float | None:
    return scores.get(method, {}).get(measure)


def _finite(scores: Scores) -> dict[str, dict[str, float | None]]:
    # JSON has no word for the PSNR of equal pictures.
    return {
        method: {name: x if math.isfinite(x) else None for name, x in values.items()}
        for method, values in scores.items()
    }


def _heading(measure: str) -> str:
    return _SHOWN.get(measure, (measure, ""))[0]


def _shown(value: float | None, measure: str) -> str:
    return "" if value is None else format(value, _SHOWN.get(measure, ("", ".4g"))[1])


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(heads) - 1)]
    cells = [heads, rule, *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
