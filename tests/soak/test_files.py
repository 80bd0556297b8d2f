"""Thousands of mutated picture files, each treated or refused in one line."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from danet.cli import main
from danet.images import Frame, read_pixels, write_frame
from danet.networks import build
from danet.pretrained import Denoiser
from tests.test_faults import (
    MAX_PIXELS,
    chain,
    encoded,
    flipped,
    good_files,
    overwritten,
    pixels,
    shifted,
    still,
    truncated,
)

FILES = 3000
SECONDS = 5  # for one file, of this process; a thousandth of it is usual
# What a file is written as: mostly what it was, at times another format.
TARGETS = (None, None, None, ".tif", ".png", ".webp")
Kind = Callable[[bytes, np.random.Generator], bytes]


def more_files(folder: Path) -> dict[str, bytes]:
    """Kinds of files that the fast tests leave out, by name."""
    import tifffile

    colour, deep = Image.fromarray(pixels()), pixels(dtype="uint16")
    several: dict[str, Any] = {"save_all": True, "append_images": [colour.rotate(180)]}
    files = {
        "grey.jp2": encoded(colour.convert("L"), "JPEG2000"),
        "grey.ppm": encoded(colour.convert("L"), "PPM"),
        "bits.ppm": encoded(colour.convert("1"), "PPM"),
        "palette.bmp": encoded(colour.convert("P"), "BMP"),
        "palette.gif": encoded(colour.convert("P"), "GIF", transparency=3),
        "interlaced.png": encoded(colour.convert("LA"), "PNG"),
        "lossy.webp": encoded(colour, "WEBP", quality=60),
        "jpeg.tif": encoded(colour, "TIFF", compression="jpeg"),
        "fax.tif": encoded(colour.convert("1"), "TIFF", compression="group4"),
        "inks.tif": encoded(colour.convert("CMYK"), "TIFF", compression="tiff_lzw"),
        "chain.tif": chain(20, 8),
        "still.gif": still(20),
    }
    if features.check("avif"):
        files |= {
            "colour.avif": encoded(colour, "AVIF"),
            "moving.avif": encoded(colour, "AVIF", **several),
        }
    tiffs: dict[str, dict[str, Any]] = {
        "tiled": {"tile": (16, 16), "compression": "deflate"},
        "big": {"bigtiff": True, "byteorder": ">"},
        "planes": {"planarconfig": "separate", "compression": "lzw"},
        "predicted": {"compression": "zstd", "predictor": True},
    }
    for name, options in tiffs.items():
        values = np.moveaxis(deep, 2, 0) if name == "planes" else deep
        path = folder / f"{name}.tif"
        tifffile.imwrite(path, values, photometric="rgb", metadata=None, **options)
        files[path.name] = path.read_bytes()
    for suffix in (".png", ".tif"):
        write_frame(Frame(deep, all_info(colour)), folder / f"told{suffix}")
        files[f"told{suffix}"] = (folder / f"told{suffix}").read_bytes()
    for name, array in {
        "grey": deep[..., 0],
        "double": deep / 65535,
        "swapped": deep.astype(">u2"),
    }.items():
        np.save(folder / f"{name}.npy", array)
        files[f"{name}.npy"] = (folder / f"{name}.npy").read_bytes()
    return files


def all_info(image: Image.Image) -> dict[str, Any]:
    """What a file may say beside its pixels."""
    exif = image.getexif()
    exif[271], exif[274] = "Maker", 6
    return {"exif": exif.tobytes(), "dpi": (300, 200), "text": {"Title": "A title"}}


def mutants(good: dict[str, bytes]) -> Iterator[tuple[str, str, bytes]]:
    """The name of the kind of damage, a file's name, and its bytes; the same in every run."""
    rng = np.random.default_rng(24)
    kinds: dict[str, Kind] = {
        "bits turned": flipped,
        "cut": truncated,
        "overwritten": overwritten,
        "shifted": shifted,
        "bits turned and cut": lambda data, rng: truncated(flipped(data, rng), rng),
        "of two files": lambda data, rng: data[: len(data) // 2] + other(rng)[len(data) // 2 :],
        "another suffix": lambda data, rng: data,
    }
    names = sorted(good)
    suffixes = sorted({Path(name).suffix for name in names})

    def other(rng: np.random.Generator) -> bytes:
        return good[names[int(rng.integers(len(names)))]]

    for number in range(FILES):
        name = Path(names[number % len(names)])
        kind = list(kinds)[number // len(names) % len(kinds)]
        suffix = name.suffix
        if kind == "another suffix":
            suffix = suffixes[int(rng.integers(len(suffixes)))]
        yield kind, f"{number}_{name.stem}{suffix}", kinds[kind](good[name.name], rng)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, which the command drops
def test_every_mutated_file_is_treated_or_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for library in ("imagecodecs", "tifffile"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    Denoiser(build("denoiser", "unet", width=2, depth=2)).save_pretrained("weights")
    options = ["--weights", "weights", "--device", "cpu", "--max-pixels", str(MAX_PIXELS)]
    good = good_files(tmp_path) | more_files(tmp_path)
    outcomes: dict[str, Counter[str]] = {}
    slowest = 0.0
    for folder in ("in", "out"):
        Path(folder).mkdir()
    for number, (kind, name, data) in enumerate(mutants(good)):
        source = Path("in") / name
        target = Path("out") / name
        target = target.with_suffix(TARGETS[number % len(TARGETS)] or target.suffix)
        source.write_bytes(data)
        started = time.process_time()
        status = main(["denoise", str(source), "-o", str(target), *options])
        seconds = time.process_time() - started
        out, err = capfd.readouterr()
        lines = err.splitlines()
        assert out == ""
        assert seconds < SECONDS, name
        assert sorted(Path("out").iterdir()) == ([] if status else [target]), name
        assert source.read_bytes() == data
        if status:
            assert len(lines) == 1, (name, err)
            assert re.match(r"danet: error: (in|out)/[\w.]+: \S", lines[0]), err
            assert lines[0].isprintable()
        else:
            assert lines == [], (name, err)
            read_pixels(target)
            target.unlink()
        source.unlink()
        slowest = max(slowest, seconds)
        outcomes.setdefault(kind, Counter())["refused" if status else "treated"] += 1
    with capfd.disabled():
        print(
            f"\n\n| {FILES} files of {len(good)} kinds | treated | refused |\n| --- | --- | --- |"
        )
        for kind, counts in outcomes.items():
            print(f"| {kind} | {counts['treated']} | {counts['refused']} |")
        print(f"\nthe slowest: {slowest:.2f} s of the processor")
    treated = sum(counts["treated"] for counts in outcomes.values())
    assert 300 < treated < FILES - 300
