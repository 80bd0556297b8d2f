"""Finding the pairs of a data set that should not be trained on."""

from __future__ import annotations

import csv
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tqdm import tqdm

from danet.data.layouts import SourcePair
from danet.data.pictures import Pixels
from danet.data.prepare import windows
from danet.data.screening import FAULTS, Limits, compare
from danet.errors import DanetError, one_line
from danet.files import atomic_write
from danet.images import write_image

__all__ = ["PairReport", "WorstTile", "check_pairs", "write_picture", "write_table"]

_CAPTION = 16  # pixels of the line above each row of the picture
_GAIN = 8  # by which the picture makes the noise stronger


@dataclass(frozen=True)
class PairReport:
    """What was found of one pair: a row of the table.

    Attributes:
        pair: its name.
        verdict: ``good``, all tiles; ``partly``, some; ``bad``, none; or ``unreadable``.
        width: in pixels.
        height: in pixels.
        tiles: how many it was cut into.
        good: how many of them have no fault.
        mismatched: how many show something else than their clean side.
        misaligned: how many have noise that follows the gradient.
        exposure: how many differ in their mean.
        saturated: how many lie at an end of the scale.
        correlation: median of the tiles, see `danet.data.screening.Agreement`.
        difference: median of the tiles, see `danet.data.screening.Agreement`.
        saturation: median of the tiles, see `danet.data.screening.Agreement`.
        noise: median of the tiles, see `danet.data.screening.Agreement`.
        note: why it is unreadable.
    """

    pair: str
    verdict: str
    width: int = 0
    height: int = 0
    tiles: int = 0
    good: int = 0
    mismatched: int = 0
    misaligned: int = 0
    exposure: int = 0
    saturated: int = 0
    correlation: float = 0.0
    difference: float = 0.0
    saturation: float = 0.0
    noise: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class WorstTile:
    """The tile of a pair that is farthest beyond a limit, and how far."""

    excess: float
    caption: str
    clean: Pixels
    noisy: Pixels


def check_pairs(
    pairs: Sequence[SourcePair], *, tile: int = 256, worst: int = 8, limits: Limits | None = None
) -> tuple[list[PairReport], list[WorstTile]]:
    """Examine every pair, tile by tile.

    Shows its progress on standard error, where that is a terminal.

    Args:
        pairs: such as ``danet.data.layouts.source_pairs`` gives.
        tile: height and width of a tile, in pixels.
        worst: of how many pairs to keep the worst tile.
        limits: beyond which a tile is faulty, by default those of ``Limits``.

    Returns:
        A report of each pair, one that cannot be read included; and the worst tiles, the
        worst first.
    """
    reports = []
    kept: list[tuple[float, int, WorstTile]] = []
    # disable=None: no bar where standard error is not a terminal.
    for number, pair in enumerate(tqdm(pairs, unit="pair", disable=None)):
        try:
            clean, noisy = pair.read()
        except DanetError as error:
            reports.append(PairReport(pair.name, "unreadable", note=one_line(error)))
            continue
        report, found = _examine(pair.name, clean, noisy, tile, limits)
        reports.append(report)
        heapq.heappush(kept, (found.excess, -number, found))
        if len(kept) > worst:
            heapq.heappop(kept)
    return reports, [found for *_, found in sorted(kept, reverse=True)]


def _examine(
    name: str, clean: Pixels, noisy: Pixels, tile: int, limits: Limits | None
) -> tuple[PairReport, WorstTile]:
    height, width = clean.shape[:2]
    areas = list(windows(height, width, tile, tile))
    measured = [compare(clean[area], noisy[area]) for area in areas]
    faults = [agreement.faults(limits) for agreement in measured]
    counts = Counter(fault for some in faults for fault in some)
    good = faults.count([])
    medians = {
        key: round(float(np.median([getattr(agreement, key) for agreement in measured])), 4)
        for key in ("correlation", "difference", "saturation", "noise")
    }
    verdict = "good" if good == len(areas) else "partly" if good else "bad"
    found: dict[str, Any] = {fault: counts[fault] for fault in FAULTS} | medians
    report = PairReport(name, verdict, width, height, len(areas), good, **found)

    excesses = [agreement.excesses(limits) for agreement in measured]
    which = max(range(len(areas)), key=lambda i: max(excesses[i].values()))
    area, agreement = areas[which], measured[which]
    caption = (
        f"{name}  at {area[1].start}, {area[0].start}: {' '.join(faults[which]) or 'good'}; "
        f"correlation {agreement.correlation:.2f}, difference {agreement.difference:.1f}, "
        f"saturation {agreement.saturation:.2f}"
    )
    excess = max(excesses[which].values())
    return report, WorstTile(excess, caption, clean[area].copy(), noisy[area].copy())


def write_table(reports: Iterable[PairReport], path: Path) -> None:
    """Write the reports as CSV, whose columns are the attributes of ``PairReport``.

    Raises:
        DanetError: the file cannot be written.
    """
    with (
        atomic_write(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.DictWriter(file, [field.name for field in fields(PairReport)])
        table.writeheader()
        table.writerows(asdict(report) for report in reports)


def write_picture(tiles: Sequence[WorstTile], path: Path) -> None:
    """Write a picture of tiles, one in each row: clean, noisy, and the noise 8 times as strong.

    Args:
        tiles: at least one.
        path: of a suffix that `danet.images.write_image` knows.

    Raises:
        ImageError: the suffix names no format.
        DanetError: the file cannot be written.
    """
    rows = list(_rows(tiles))
    width = max(row.width for row in rows)
    sheet = Image.new("RGB", (width, sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    write_image(sheet, path)


def _rows(tiles: Iterable[WorstTile]) -> Iterator[Image.Image]:
    for tile in tiles:
        clean, noisy = (_levels(side) for side in (tile.clean, tile.noisy))
        noise = 128 + _GAIN * (noisy - clean)
        joined = np.concatenate([clean, noisy, noise], axis=1)
        picture = Image.fromarray(np.rint(np.clip(joined, 0, 255)).astype(np.uint8))
        needed = round(ImageDraw.Draw(picture).textlength(tile.caption)) + 4
        size = max(picture.width, needed), picture.height + _CAPTION
        row = Image.new("RGB", size, "white")
        row.paste(picture, (0, _CAPTION))
        ImageDraw.Draw(row).text((2, 2), tile.caption, fill="black")
        yield row


def _levels(picture: Pixels) -> NDArray[np.float32]:
    scale = np.float32(255 / np.iinfo(picture.dtype).max)
    levels: NDArray[np.float32] = picture.astype(np.float32) * scale
    return levels
