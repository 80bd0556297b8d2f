from __future__ import annotations

import csv
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from danet.data import Pixels
from danet.data.check import PairReport, check_pairs, write_picture, write_table
from danet.data.layouts import SourcePair
from danet.errors import ImageError


def scene(seed: int, width: int = 128) -> Pixels:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(64, width)), 3)
    grey: Pixels = np.rint(np.clip(120 + 30 * field / field.std(), 1, 254)).astype(np.uint8)
    return grey[..., None].repeat(3, axis=-1)


def noised(clean: Pixels, shift: float = 0.0) -> Pixels:
    noise = np.random.default_rng(9).normal(shift, 4, clean.shape)
    return np.rint(np.clip(clean + noise, 0, 255)).astype(np.uint8)


def pair(name: str, clean: Pixels, noisy: Pixels) -> SourcePair:
    return SourcePair(name, lambda: (clean, noisy))


def unreadable() -> NoReturn:
    raise ImageError("cut.png: cannot be read:\n truncated")


HALF = noised(scene(1))
HALF[:, 64:] = np.roll(HALF, 2, axis=1)[:, 64:]
PAIRS = [
    pair("good", scene(0), noised(scene(0))),
    pair("half", scene(1), HALF),
    pair("bright", scene(2), noised(scene(2), 3)),
    SourcePair("cut.png", unreadable),
    pair("other", scene(3), noised(scene(4))),
]


def test_each_pair_gets_its_verdict() -> None:
    reports, _ = check_pairs(PAIRS, tile=64)
    assert [(r.pair, r.verdict) for r in reports] == [
        ("good", "good"),
        ("half", "partly"),
        ("bright", "bad"),
        ("cut.png", "unreadable"),
        ("other", "bad"),
    ]
    good, half, bright, cut, other = reports
    assert (good.width, good.height, good.tiles, good.good) == (128, 64, 2, 2)
    assert (half.misaligned, half.good) == (1, 1)
    assert bright.exposure == other.mismatched == 2
    assert bright.difference == pytest.approx(3, abs=0.2)
    assert good.noise == pytest.approx(4 / 3**0.5, rel=0.1)
    assert cut.note == "cut.png: cannot be read: truncated"


def test_the_worst_come_first() -> None:
    _, tiles = check_pairs(PAIRS, tile=64, worst=3)
    assert [tile.caption.split()[0] for tile in tiles] == ["other", "half", "bright"]
    assert tiles[0].excess >= tiles[1].excess >= tiles[2].excess > 1
    assert "at 64, 0: misaligned" in tiles[1].caption
    np.testing.assert_array_equal(tiles[1].noisy, HALF[:, 64:])


def test_the_table_holds_every_report(tmp_path: Path) -> None:
    reports, _ = check_pairs(PAIRS, tile=64)
    write_table(reports, tmp_path / "new" / "pairs.csv")
    with (tmp_path / "new" / "pairs.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["pair"] for row in rows] == [report.pair for report in reports]
    assert set(rows[0]) == set(PairReport.__dataclass_fields__)
    assert rows[1]["misaligned"] == "1"


def test_the_picture_shows_clean_noisy_and_noise(tmp_path: Path) -> None:
    _, tiles = check_pairs(PAIRS[:3], tile=64, worst=2)
    write_picture(tiles, tmp_path / "worst.png")
    sheet = np.asarray(Image.open(tmp_path / "worst.png")).astype(int)
    assert sheet.shape[0] == 2 * (64 + 16)
    for number, tile in enumerate(tiles):
        top = number * 80 + 16
        clean, noisy, noise = (sheet[top : top + 64, x : x + 64] for x in (0, 64, 128))
        np.testing.assert_array_equal(clean, tile.clean)
        np.testing.assert_array_equal(noisy, tile.noisy)
        np.testing.assert_array_equal(noise, np.clip(128 + 8 * (noisy - clean), 0, 255))


def test_pictures_of_16_bits_are_shown_alike(tmp_path: Path) -> None:
    wide = [side.astype(np.uint16) * np.uint16(257) for side in (scene(0), noised(scene(0)))]
    sheets = []
    for name, one in (("narrow", PAIRS[0]), ("wide", pair("good", *wide))):
        write_picture(check_pairs([one], tile=64)[1], tmp_path / f"{name}.png")
        sheets.append(np.asarray(Image.open(tmp_path / f"{name}.png")))
    np.testing.assert_array_equal(sheets[0], sheets[1])
