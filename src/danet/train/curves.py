"""The curves of a run, as a picture."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from danet.errors import DataError, require
from danet.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["write_curves"]

Points = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Updates and values."""

_COLORS = ("#1f6fb4", "#d2691e", "#2e8b57")
_STYLES = ("-", "--", ":")
_FEW = 50  # points, each of which gets a dot


class _Panel(NamedTuple):
    """Curves of one unit: keys of the log, and what they are called."""

    title: str
    unit: str
    curves: Mapping[str, str]
    log: bool = False
    # Of single batches, rather than exact.
    noisy: bool = True
    sign: int = 1


def _networks(key: str) -> dict[str, str]:
    return {f"{name}/{key}": name for name in ("denoiser", "generator", "discriminator")}


def _losses(network: str) -> dict[str, str]:
    return {f"{network}/loss": "loss", f"{network}/adversarial": "critic's part"}


def _games(ending: str = "") -> dict[str, str]:
    return {
        f"discriminator/denoiser{ending}": "of denoised",
        f"discriminator/generator{ending}": "of generated",
    }


def _before_and_after(score: str) -> dict[str, str]:
    return {f"validation/{score}": "denoised", f"validation/noisy_{score}": "noisy"}


_DISTANCES = {
    "generator/mean_match": "smoothed noise",
    "generator/start": "start, by the local variance",
}
_MATCH = {"generator/correlation_match": "square"}
_PANELS = [
    _Panel("Denoiser: absolute error", "mean |R(y) - x|", {"denoiser/error": "error"}, log=True),
    _Panel("Denoiser: loss with the critic's part", "loss", _losses("denoiser")),
    _Panel(
        "Generator: distance to the real noise", "mean absolute difference", _DISTANCES, log=True
    ),
    _Panel("Generator: difference of the correlations", "sum over the lags", _MATCH),
    _Panel("Generator: loss with the critic's part", "loss", _losses("generator")),
    # The critic minimises the negative.
    _Panel("Critic: estimated distances", "mean D(real) - mean D(fake)", _games(), sign=-1),
    _Panel("Critic: loss", "loss", {"discriminator/loss": "loss"}),
    _Panel("Critic: gradient penalties", "penalty", _games("_penalty"), log=True),
    _Panel("Gradients before clipping", "norm", _networks("gradient_norm"), log=True),
    _Panel("Learning rates", "learning rate", _networks("learning_rate"), noisy=False),
    _Panel("Validation: PSNR", "dB", _before_and_after("psnr"), noisy=False),
    _Panel("Validation: SSIM", "SSIM", _before_and_after("ssim"), noisy=False),
    _Panel("Validation: AKLD", "nats per pixel", {"validation/akld": "generated"}, noisy=False),
]


def write_curves(run: Path) -> Path:
    """Draw ``log.jsonl`` of a run, finished or not, as ``curves.png`` beside it.

    Each group of numbers that the log has gets a panel over the updates: losses by network,
    the distances that the critic estimates, gradients, learning rates and validation.  Numbers of
    single batches are drawn faintly, under their Gaussian mean with a deviation of a thirtieth of
    the run.  Half a last line, of a run that was killed, is left out.  The legends give the last
    values of the lines.

    Args:
        run: folder of the run.

    Returns:
        The picture.

    Raises:
        ConfigError: matplotlib is not installed.
        DataError: the log or a line of it cannot be read, or it holds nothing to draw.
        DanetError: the picture cannot be written.
    """
    # Figure draws by Agg; pyplot would look for a screen.
    figures = require("matplotlib.figure", "train", "drawing curves")
    points = _read(run / "log.jsonl")
    panels = [panel for panel in _PANELS if points.keys() & panel.curves]
    if not panels:
        raise DataError(f"{run / 'log.jsonl'} holds nothing to draw")
    columns = min(3, math.ceil(math.sqrt(len(panels))))
    rows = math.ceil(len(panels) / columns)
    figure = figures.Figure((5.2 * columns, 3.3 * rows + 0.4), dpi=100, layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False).flatten()
    for axes, panel in zip(grid, panels, strict=False):
        _draw(axes, panel, points)
    for axes in grid[len(panels) :]:
        axes.remove()
    last = max(updates[-1] for updates, _ in points.values())
    figure.suptitle(f"{run.resolve().name}: {last:.0f} updates")
    path = run / "curves.png"
    with atomic_write(path) as temporary:
        figure.savefig(temporary)
    return path


def _read(log: Path) -> dict[str, Points]:
    """The numbers of a log by key, in the order of the updates.

    Raises:
        DataError: the log cannot be read, or a line of it.
    """
    try:
        lines = log.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"cannot read {log}: {error.strerror}") from error
    values: dict[str, list[tuple[int, float]]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            update, numbers = _numbers(line)
        # Whatever may be in a file, brackets nested deeper than the parser goes among it.
        except (ValueError, TypeError, LookupError, RecursionError, OverflowError) as error:
            if number == len(lines):  # half a line, of a run that was killed
                break
            raise DataError(f"{log}: line {number} is not of the log of a run") from error
        for key, value in numbers.items():
            values.setdefault(key, []).append((update, value))
    return {key: tuple(np.array(pairs, float).T) for key, pairs in values.items()}


def _numbers(line: bytes) -> tuple[int, dict[str, float]]:
    """The update of a line of the log, and its finite numbers by their keys in the panels."""
    record = json.loads(line)
    update = int(record["update"])
    if "generator/mean_match" not in record and "generator/loss" in record:
        record["generator/start"] = record.pop("generator/loss")
    for network in ("denoiser", "generator"):
        if f"{network}/adversarial" not in record:
            record.pop(f"{network}/loss", None)  # it is another of the numbers
    numbers = {key: float(value) for key, value in record.items() if value is not None}
    return update, {key: value for key, value in numbers.items() if math.isfinite(value)}


def _draw(axes: Axes, panel: _Panel, points: Mapping[str, Points]) -> None:
    """Draw the curves of a panel that the log has."""
    drawn = [(label, *points[key]) for key, label in panel.curves.items() if key in points]
    log = panel.log and all(values.min() > 0 for _, _, values in drawn)
    if log:
        axes.set_yscale("log")
    for color, style, (label, updates, found) in zip(_COLORS, _STYLES, drawn, strict=False):
        line = values = panel.sign * found
        if panel.noisy:
            axes.plot(updates, values, color=color, alpha=0.3, linewidth=0.8)
            line = np.exp(_smooth(np.log(values))) if log else _smooth(values)
        axes.plot(
            updates,
            line,
            color=color,
            # Exact lines may lie upon one another.
            linestyle="-" if panel.noisy else style,
            marker="o" if len(line) < _FEW else "",
            markersize=3,
            label=f"{label}: {line[-1]:.4g}",
        )
    if not log:
        axes.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
        if panel.noisy:
            _limit(axes, [panel.sign * values for _, _, values in drawn])
    axes.set_title(panel.title, fontsize=11)
    axes.set_xlabel("update")
    axes.set_ylabel(panel.unit)
    axes.tick_params(labelbottom=True)
    axes.grid(alpha=0.3)
    axes.grid(which="minor", alpha=0.1)
    axes.legend(fontsize=9)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    smoothed: NDArray[np.float64] = gaussian_filter1d(values, len(values) / 30, mode="nearest")
    return smoothed


def _limit(axes: Axes, curves: Sequence[NDArray[np.float64]]) -> None:
    """Show all but the wildest tenth of each curve, lest a few batches flatten the rest."""
    ends = np.array([np.percentile(values, (5, 95)) for values in curves])
    low, high = ends.min(), ends.max()
    margin = 0.25 * (high - low)
    if margin > 0:
        axes.set_ylim(low - margin, high + margin)
