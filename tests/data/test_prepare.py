from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from danet.data import Pixels, source_pairs
from danet.data.layouts import SourcePair
from danet.data.prepare import prepare, windows
from danet.errors import ConfigError, ImageError


def picture(seed: int, height: int = 40, width: int = 50) -> Pixels:
    """A smooth picture, as pairs that pass the screening need it."""
    coarse = np.random.default_rng(seed).integers(50, 200, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def noised(clean: Pixels) -> Pixels:
    noise = np.random.default_rng(1).normal(0, 4, clean.shape)
    noise -= noise.mean()
    return np.rint(np.clip(clean + noise, 0, 255)).astype(np.uint8)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Four pairs."""
    for number in range(4):
        for side, pixels in (("clean", picture(number)), ("noisy", noised(picture(number)))):
            (tmp_path / "tree" / side).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "tree" / side / f"{number}.png")
    return tmp_path / "tree"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("height", "width", "size", "stride"),
    [(3000, 5328, 512, 384), (512, 512, 512, 384), (300, 700, 512, 512), (33, 17, 8, 3)],
)
def test_windows_cover_everything_once_each(
    height: int, width: int, size: int, stride: int
) -> None:
    covered = np.zeros((height, width), bool)
    found = list(windows(height, width, size, stride))
    for window in found:
        assert covered[window].shape == (min(size, height), min(size, width))
        covered[window] = True
    assert covered.all()
    assert len({(rows.start, columns.start) for rows, columns in found}) == len(found)


def test_crops_are_those_of_the_pictures(tree: Path, tmp_path: Path) -> None:
    packed = prepare(source_pairs("folder", tree), tmp_path / "out", crop=32, stride=24)
    expected = [
        tuple(side[top : top + 32, left : left + 32] for side in (clean, noised(clean)))
        for clean in map(picture, range(4))
        for top in (0, 8)
        for left in (0, 18)
    ]
    assert len(packed) == len(expected)
    for found, pair in zip(packed, expected, strict=True):
        np.testing.assert_array_equal(found, pair)
    assert [source.name for source in packed.sources] == [f"noisy/{n}.png" for n in range(4)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("bits", [8, 16])
def test_values_are_scaled_to_the_bits(tmp_path: Path, dtype: type[Any], bits: Any) -> None:
    values = np.arange(0, np.iinfo(dtype).max + 1, 17, dtype=dtype)
    source = values[: values.size // 3 * 3].reshape(1, -1, 3)
    (pair,) = prepare(
        [SourcePair("ramp", lambda: (source, source))], tmp_path, crop=5000, bits=bits
    )
    largest = {8: 255, 16: 65535}[bits]
    assert pair[0].dtype == np.dtype(f"uint{bits}")
    expected = source / np.iinfo(dtype).max * largest
    assert np.abs(pair[0] - expected).max() <= 0.5 + 1e-9
    np.testing.assert_array_equal(pair[0], pair[1])


def test_faulty_crops_are_left_out_and_counted(tmp_path: Path) -> None:
    clean = picture(0, 64, 128)
    noisy = noised(clean)
    noisy[:, 64:] = np.roll(noisy, 2, axis=1)[:, 64:]
    pairs = [SourcePair("half", lambda: (clean, noisy))]
    plain = prepare(pairs, tmp_path / "plain", crop=64, stride=64)
    screened = prepare(pairs, tmp_path / "screened", crop=64, stride=64, screen=True)
    assert (len(plain), plain.sources[0].left_out) == (2, 0)
    assert (len(screened), screened.sources[0].left_out) == (1, 1)
    np.testing.assert_array_equal(screened[0], (clean[:, :64], noisy[:, :64]))


def test_an_unreadable_picture_loses_nothing(tree: Path, tmp_path: Path) -> None:
    def run(name: str) -> None:
        prepare(source_pairs("folder", tree), tmp_path / name, crop=32, stride=24)

    run("expected")
    bad = tree / "noisy" / "2.png"
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"noisy/2\.png"):
        run("out")
    assert not (tmp_path / "out" / "index.json").exists()
    bad.write_bytes(whole)
    # What was done is not read again.
    for done in ("0.png", "1.png"):
        (tree / "noisy" / done).write_text("of no use")
    run("out")
    assert content(tmp_path / "out") == content(tmp_path / "expected")


KILLED_IN_A_WRITE = """\
import os, pathlib, signal, sys
from danet.data import container, layouts, prepare
write, count = container._write, 0
def half(file, data):
    global count
    count += 1
    if count == 14:
        write(file, memoryview(data)[:len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    write(file, data)
container._write = half
source, folder = map(pathlib.Path, sys.argv[1:])
prepare.prepare(layouts.source_pairs("folder", source), folder, crop=32)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system kills in another way")
def test_a_killed_process_is_continued_to_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    pairs = source_pairs("folder", tree)
    prepare(pairs, tmp_path / "expected", crop=32)
    command = [sys.executable, "-c", KILLED_IN_A_WRITE, str(tree), str(tmp_path / "out")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    left = content(tmp_path / "out")
    assert len(left["unfinished.jsonl"].splitlines()) == 2  # what it does, and one pair
    assert len(left["pixels.raw"]) > 4 * 2 * 32 * 32 * 3
    prepare(pairs, tmp_path / "out", crop=32)
    assert content(tmp_path / "out") == content(tmp_path / "expected")


@pytest.mark.parametrize("setting", [{"crop": 1}, {"stride": 0}, {"stride": 513}, {"bits": 12}])
def test_settings_out_of_range(tmp_path: Path, setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=str(*setting.values())):
        prepare([], tmp_path / "out", **setting)
    assert not (tmp_path / "out").exists()
