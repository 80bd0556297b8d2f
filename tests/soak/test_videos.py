"""Hundreds of mutated video files, each treated or refused in one line."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.cli import main
from danet.networks import build
from danet.pretrained import Denoiser
from tests.test_faults import flipped, overwritten, shifted, truncated
from tests.video.clips import scenery, shown, write_clip

FILES = 1000
SECONDS = 10  # for one file, of the clock; a hundredth of it is usual

Kind = Callable[[bytes, np.random.Generator], bytes]

KINDS: dict[str, Kind] = {
    "bits turned": flipped,
    "cut": truncated,
    "overwritten": overwritten,
    "shifted": shifted,
    "beginning overwritten": lambda data, rng: overwritten(data[:1500], rng) + data[1500:],
}


def good_files(folder: Path) -> dict[str, bytes]:
    """Videos of all formats and codecs that stay, by name."""
    rng = np.random.default_rng(0)
    frames = [
        (frame + rng.integers(0, 30, frame.shape)).clip(0, 255).astype(np.uint8)
        for frame in scenery(12)
    ]
    kinds: dict[str, dict[str, Any]] = {
        "h264.mp4": {"sound": "aac"},
        "h264.mkv": {"sound": "aac", "rotation": 90},
        "h264.ts": {"sound": "aac"},
        "hevc.mkv": {
            "codec": "libx265",
            "pixel_format": "yuv420p10le",
            "options": {"x265-params": "log-level=none"},
        },
        "vp9.webm": {"codec": "libvpx-vp9", "sound": "libopus"},
        "mjpeg.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
        "prores.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le"},
        "ffv1.mkv": {"codec": "ffv1"},
    }
    paths = [write_clip(folder / name, frames, **settings) for name, settings in kinds.items()]
    return {path.name.replace(".ts", ".mts"): path.read_bytes() for path in paths}


def mutants(good: dict[str, bytes]) -> Iterator[tuple[str, str, bytes]]:
    """The name of the kind of damage, a file's name, and its bytes; the same in every run."""
    rng = np.random.default_rng(24)
    names, kinds = sorted(good), sorted(KINDS)
    for number in range(FILES):
        name, kind = names[number % len(names)], kinds[number // len(names) % len(kinds)]
        yield kind, f"{number}_{name}", KINDS[kind](good[name], rng)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::danet.errors.DanetWarning")  # of codecs that change
def test_every_mutated_video_is_treated_or_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for library in ("av", "cv2"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    Denoiser(build("denoiser", "unet", width=2, depth=2)).save_pretrained("weights")
    for folder in ("good", "in", "out"):
        Path(folder).mkdir()
    good = good_files(Path("good"))
    capfd.readouterr()
    outcomes: dict[str, Counter[str]] = {}
    slowest = 0.0
    for kind, name, data in mutants(good):
        source, target = Path("in") / name, Path("out") / "clean.mkv"
        source.write_bytes(data)
        started = time.monotonic()
        words = ["--weights", "weights", "--device", "cpu", "--max-pixels", "1000000"]
        status = main(["denoise", str(source), "-o", str(target), *words])
        seconds = time.monotonic() - started
        out, err = capfd.readouterr()
        lines = [line for line in err.splitlines() if not line.startswith("danet: warning: ")]
        assert out == ""
        assert seconds < SECONDS, name
        assert list(Path("out").iterdir()) == ([] if status else [target]), name
        assert source.read_bytes() == data
        if status:
            assert len(lines) == 1, (name, err)
            assert lines[0].startswith(("danet: error: in/", "danet: error: out/")), err
            assert lines[0].isprintable()
        else:
            assert lines == [], (name, err)
            assert shown(target)
            target.unlink()
        source.unlink()
        slowest = max(slowest, seconds)
        outcomes.setdefault(kind, Counter())["refused" if status else "treated"] += 1
    with capfd.disabled():
        print(f"\n\n| {FILES} videos | treated | refused |\n| --- | --- | --- |")
        for kind, counts in outcomes.items():
            print(f"| {kind} | {counts['treated']} | {counts['refused']} |")
        print(f"\nthe slowest: {slowest:.2f} s")
    treated = sum(counts["treated"] for counts in outcomes.values())
    assert 100 < treated < FILES - 100
