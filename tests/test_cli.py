"""The command line, mostly in this process, with small random networks."""

from __future__ import annotations

import gc
import io
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import danet
import danet.cli.data
import danet.data.layouts
import danet.pretrained
import danet.train
from danet import images
from danet.cli import main
from danet.data import PackedPairs
from danet.errors import ConfigError, DanetWarning
from danet.images.light import Light
from danet.networks import build
from tests.images.dng import write_dng
from tests.video.clips import scenery, sound_of, times_of, write_clip

Run = Callable[..., int]
SUMMARY = re.compile(r"danet: \d+ done, \d+ skipped, \d+ failed")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a random denoiser and generator."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        denoiser, generator = (
            build("denoiser", "unet", width=2),
            build("generator", "unet", width=2),
        )
    danet.Denoiser(denoiser).save_pretrained(folder / "denoiser")
    danet.NoiseGenerator(generator).save_pretrained(folder / "generator")
    return folder


@pytest.fixture
def run(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line in an empty folder, with the random networks."""
    monkeypatch.chdir(tmp_path)

    def command(name: str, *arguments: str) -> int:
        return main([name, "--weights", str(weights), "--device", "cpu", *arguments])

    return command


def picture(path: str, seed: int = 0, height: int = 37, width: int = 50) -> Path:
    """Write a random picture."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return Path(path)


def pixels(path: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(path))


def files(folder: str) -> list[str]:
    """Every file below a folder; unfinished ones would show."""
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*.*"))


def error_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The errors on standard error, where besides only the summary may stand."""
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if not SUMMARY.fullmatch(line)]
    assert all(line.startswith("danet: error: ") for line in lines)
    return [line.removeprefix("danet: error: ") for line in lines]


def test_denoise_one_picture_to_a_file(run: Run, weights: Path) -> None:
    noisy = picture("noisy.png")
    assert run("denoise", "noisy.png", "-o", "new/clean.png") == 0
    expected = danet.Denoiser.from_pretrained(weights, device="cpu")(images.read_image(noisy))
    np.testing.assert_array_equal(pixels("new/clean.png"), np.asarray(expected))
    assert files("new") == ["clean.png"]


def test_the_collector_of_garbage_is_as_it_was(run: Run) -> None:
    frozen = gc.get_freeze_count()
    picture("a.png")
    assert run("denoise", "a.png", "-o", "b.png") == 0
    assert gc.isenabled()
    assert gc.get_freeze_count() <= frozen


def test_denoise_one_picture_to_a_file_of_a_rare_format(run: Run) -> None:
    picture("noisy.png")
    for _ in range(2):  # a new file, then one to replace
        assert run("denoise", "noisy.png", "-o", "clean.ppm") == 0
        assert pixels("clean.ppm").shape == (37, 50, 3)
        Path("clean.ppm").write_bytes(Path("noisy.png").read_bytes())


def test_denoise_files_and_folders_to_a_folder(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(["one.png", "shots/two.JPG", "shots/three.tiff", "shots/x/4.png"]):
        picture(name, seed)
    Path("shots/notes.txt").write_text("not a picture")
    assert run("denoise", "one.png", "shots", "-o", "out") == 0
    assert files("out") == ["one.png", "three.tiff", "two.JPG"]
    assert error_lines(capsys) == []


def test_denoise_one_picture_to_a_folder_with_the_name_of_a_file(run: Run) -> None:
    picture("noisy.png")
    Path("out.png").mkdir()
    assert run("denoise", "noisy.png", "-o", "out.png") == 0
    assert files("out.png") == ["noisy.png"]


def test_a_slash_makes_a_folder_of_any_name(run: Run) -> None:
    picture("noisy.png")
    assert run("denoise", "noisy.png", "-o", "2026.11.25/") == 0
    assert files("2026.11.25") == ["noisy.png"]


class Stream(io.TextIOWrapper):
    """A standard stream of bytes."""

    def __init__(self, data: bytes = b"", is_terminal: bool = False) -> None:
        self.held, self.is_terminal = io.BytesIO(data), is_terminal
        super().__init__(self.held)

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.mark.parametrize(("words", "file_format"), [([], "PNG"), (["--format", "jpg"], "JPEG")])
def test_standard_streams(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str], file_format: str
) -> None:
    data, output = picture("noisy.png").read_bytes(), Stream()
    assert run("denoise", "noisy.png", "-o", f"clean.{file_format.lower()}") == 0
    Path("noisy.png").unlink()
    monkeypatch.setattr(sys, "stdin", Stream(data))
    monkeypatch.setattr(sys, "stdout", output)
    assert run("denoise", "-", "-o", "-", *words) == 0
    assert output.held.getvalue() == Path(f"clean.{file_format.lower()}").read_bytes()
    with Image.open(io.BytesIO(output.held.getvalue())) as image:
        assert image.format == file_format
    monkeypatch.setattr(sys, "stdin", Stream(data))
    assert run("denoise", "-", "-o", "named.png") == 0
    assert files(".") == [f"clean.{file_format.lower()}", "named.png"]


def test_warnings_name_the_streams(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    picture("noisy.png")
    chunks = {b"cICP": bytes([9, 16, 0, 1])}
    images.write_frame(images.Frame(images.read_pixels("noisy.png"), {"chunks": chunks}), "a.png")
    monkeypatch.setattr(sys, "stdin", Stream(Path("a.png").read_bytes()))
    monkeypatch.setattr(sys, "stdout", Stream())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run("denoise", "-", "-o", "-", "--format", "jpg") == 0
    (line,) = capfd.readouterr().err.splitlines()
    assert line == "danet: warning: -: written without the chunk cICP of -"


def test_a_dash_with_a_folder_is_a_file(run: Run) -> None:
    picture("noisy.png").rename("-")
    assert run("denoise", "./-", "-o", "clean.png") == 0
    assert files(".") == ["clean.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-", "-o", "-"], "-: not a picture of a known format"),
        (["-", "-o", "out"], "out: a folder, in which the picture from standard input would have "),
        (["-", "in", "-o", "-"], "-: standard output takes one picture; name a folder instead"),
        (["in", "-o", "-"], "-: standard output takes one picture; name a folder instead"),
        (["wide.npy", "-o", "-", "--format", "jpg"], "wide.npy: -: JPEG cannot hold uint16"),
        (["in", "-o", "out", "--format", "png"], "--format is for -o - alone"),
    ],
)
def test_streams_that_cannot_be_are_one_line(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    picture("in/noisy.png")
    np.save("wide.npy", np.zeros((37, 50, 3), np.uint16))
    output = Stream()
    monkeypatch.setattr(sys, "stdin", Stream(b"no picture"))
    monkeypatch.setattr(sys, "stdout", output)
    assert run("denoise", *words) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"danet: error: {message}")
    assert output.held.getvalue() == b""


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("noisy.png -o clean.png 2>&-", 0),
        ("noisy.png -o clean.png <&- >&- 2>&-", 0),
        ("noisy.png more.png -o out --jobs 2 2>&-", 0),
        ("missing.png -o clean.png 2>&-", 2),
        ("noisy.png -o - >&- 2>&-", 2),
        ("- -o clean.png <&- 2>&-", 2),
    ],
)
def test_closed_streams(run: Run, weights: Path, words: str, status: int) -> None:
    picture("noisy.png")
    picture("more.png")
    command = f"{sys.executable} -m danet denoise --weights {weights} --device cpu {words}"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, b"", b"")
    done = Path("clean.png").exists() or Path("out/more.png").exists()
    assert done == (status == 0)


def test_no_picture_goes_to_a_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    picture("noisy.png")
    monkeypatch.setattr(sys, "stdout", Stream(is_terminal=True))
    assert run("denoise", "noisy.png", "-o", "-") == 2
    assert "-: standard output is a terminal" in capfd.readouterr().err


def test_an_unknown_format_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("denoise", "noisy.png", "-o", "-", "--format", "doc")
    assert "no picture format has the suffix '.doc'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["denoise", "", "-o", "out"],
        ["denoise", "in", "-o", ""],
        ["denoise", "in", "-o", "out", "--mask", ""],
        ["generate", "", "-o", "out"],
        ["data", "prepare", "folder", "", "out"],
        ["train", ""],
        ["export", "-o", ""],
        ["weights", "import", ""],
    ],
)
def test_an_empty_word_is_not_this_folder(
    run: Run, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    picture("in/noisy.png")
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "an empty word names no file; for this folder give ." in capsys.readouterr().err
    assert files(".") == ["in/noisy.png"]


def test_the_tile_changes_nothing_that_can_be_seen(run: Run) -> None:
    picture("noisy.png", height=200, width=300)
    assert run("denoise", "noisy.png", "-o", "whole.png") == 0
    assert run("denoise", "noisy.png", "--tile", "128", "-o", "tiled.png") == 0
    difference = pixels("whole.png").astype(int) - pixels("tiled.png")
    assert np.abs(difference).max() <= 1


def test_devices_share_the_work(
    run: Run, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture("noisy.png", height=300, width=100)
    assert run("denoise", "noisy.png", "-o", "one.png") == 0
    shared = ["--weights", str(weights), "--devices", "cpu,cpu"]
    assert main(["denoise", "noisy.png", "-o", "two.png", *shared]) == 0
    difference = pixels("one.png").astype(int) - pixels("two.png")
    assert np.abs(difference).max() <= 1
    assert run("denoise", "noisy.png", "-o", "two.png", "--devices", "cpu,cpu") == 2
    (line,) = error_lines(capsys)
    assert line == "device is 'cpu', and devices are given too; give one of them"


def test_bad_pictures_are_named_and_the_others_done(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    picture("first.png", 1)
    Path("text.png").write_text("not a picture")
    whole = picture("whole.png", 2).read_bytes()
    Path("cut.png").write_bytes(whole[: len(whole) // 2])
    Path("empty").mkdir()
    picture("last.png", 3)
    bad = ["missing.png", "text.png", "cut.png", "empty"]
    assert run("denoise", "first.png", *bad, "last.png", "-o", "out") == 2
    lines = error_lines(capsys)
    assert [line.split(":")[0] for line in lines] == bad
    assert lines[3] == "empty: the folder holds no pictures"
    assert files("out") == ["first.png", "last.png"]


def test_recursive_keeps_the_folders_and_leaves_the_output_out(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["1.png", "a/1.png", "a/b/2.tiff", ".hidden/3.png", "a/.4.png"]
    for seed, name in enumerate(names):
        picture(f"in/{name}", seed)
    np.save("in/a/5.npy", np.zeros((3, 4), np.uint8))
    expected = ["1.png", "a/1.png", "a/5.npy", "a/b/2.tiff"]
    for _ in range(2):
        assert run("denoise", "in", "-o", "in/out", "--recursive") == 0
        assert files("in/out") == expected
        assert capsys.readouterr().err.splitlines() == ["danet: 4 done, 0 skipped, 0 failed"]
    assert run("denoise", "in", "-o", "flat") == 0
    assert files("flat") == ["1.png"]


def test_raw_files_become_tiff_in_a_folder(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("imagecodecs", "rawpy", "tifffile"):
        pytest.importorskip(package)
    picture("in/shot.png")
    write_dng(Path("in/shot.DNG"))
    assert run("denoise", "in", "-o", "out") == 0
    assert files("out") == ["shot.png", "shot.tif"]
    developed, clean = images.read_pixels("in/shot.DNG"), images.read_pixels("out/shot.tif")
    assert clean.dtype == np.uint16 and clean.shape == developed.shape
    capsys.readouterr()
    assert run("denoise", "in/shot.DNG", "-o", "out/shot.dng") == 2
    (line,) = error_lines(capsys)
    assert "no picture format has the suffix '.dng'; take .png" in line
    picture("in/shot.tif")
    assert run("denoise", "in", "-o", "more") == 2
    (line,) = error_lines(capsys)
    assert line == "in/shot.tif: another picture is already written to more/shot.tif"


def test_videos_are_taken_where_they_are_named(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("av")
    pytest.importorskip("cv2")
    picture("in/one.png")
    write_clip(Path("in/clip.mp4"), scenery(), sound="aac")
    Path("in/clip.avi").write_bytes(write_clip(Path("clip.mkv"), scenery()).read_bytes())
    assert run("denoise", "in", "-o", "out") == 0
    assert files("out") == ["one.png"]
    assert "2 left out" in capsys.readouterr().err
    words = ("--temporal", "1", "--luma", "0.5", "--preserve-times", "--jobs", "2")
    assert run("denoise", "in/clip.mp4", "in/clip.avi", "in/one.png", "-o", "out", *words) == 0
    assert files("out") == ["clip.mkv", "clip.mp4", "one.png"]
    assert times_of(Path("out/clip.mp4")) == times_of(Path("in/clip.mp4"))
    assert sound_of(Path("out/clip.mp4")) == sound_of(Path("in/clip.mp4"))
    capsys.readouterr()
    Path("cut.mp4").write_bytes(Path("in/clip.mp4").read_bytes()[:-900])
    assert run("denoise", "cut.mp4", "-o", "clean.mp4") == 2
    (line,) = error_lines(capsys)
    assert line.startswith("cut.mp4: ")
    assert run("denoise", "in/clip.mp4", "-o", "clean.png") == 2
    (line,) = error_lines(capsys)
    assert "clean.png: no video is written with the suffix '.png'" in line


def test_a_report_shows_the_run(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, name in enumerate(("in/one.png", "in/sub/one.png")):
        picture(name, seed)
    Path("in/bad.png").write_bytes(b"bad")
    words = ("--recursive", "--report", "report", "--jobs", "2")
    assert run("denoise", "in", "-o", "out", *words) == 2
    assert files("report") == ["2-one.png.html", "3-one.png.html", "index.html"]
    index = Path("report/index.html").read_text()
    assert "2 done, 1 failed" in index and "in/bad.png: not a picture" in index
    capsys.readouterr()
    assert run("denoise", "in", "-o", "out", "--report", "report", "--skip-existing") == 2
    assert "--report shows the pictures of one run" in error_lines(capsys)[0]
    assert run("denoise", "clip.mp4", "-o", "out", "--report", "report") == 2
    assert "--report is for pictures, and shows no videos" in error_lines(capsys)[0]
    assert run("denoise", "in", "-o", "new", "--report", "in/bad.png") == 2
    assert error_lines(capsys) == [
        "in/bad.png/index.html: cannot be written: in/bad.png is no folder"
    ]
    assert not Path("new").exists()


def test_a_burst_becomes_one_picture(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cv2")
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        picture(name, seed)
    assert run("denoise", "--burst", "a.png", "b.png", "c.png", "-o", "one.png") == 0
    assert images.read_pixels("one.png").shape == (37, 50, 3)
    assert run("denoise", "--burst", "a.png", "b.png", "-o", "b.png") == 2
    (line,) = error_lines(capsys)
    assert line == "b.png: the output would replace an input"
    picture("wide.png", width=60)
    assert run("denoise", "--burst", "a.png", "wide.png", "-o", "two.png") == 2
    assert "wide.png: has 60 x 37 pixels" in error_lines(capsys)[0]
    assert not Path("two.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.png", "--temporal", "1"], "--temporal is for videos"),
        (["a.mp4", "--residual"], "--residual is for single pictures"),
        (["a.png", "b.png", "--burst", "--residual"], "--residual is for single pictures"),
        (["a.mp4", "b.png", "--burst"], "--burst takes picture files"),
        ([".", "--burst"], "--burst takes picture files"),
        (["a.png", "-", "--burst"], "-: a burst takes standard input as its first"),
    ],
)
def test_options_of_videos_and_bursts_go_with_these(
    run: Run, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert run("denoise", *words, "-o", "out.png") == 2
    assert message in error_lines(capsys)[0]


@pytest.mark.parametrize("command", ["denoise", "generate"])
def test_pictures_that_are_left_out_are_counted(
    run: Run, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    picture("in/one.png")
    for name in ("in/two.jp2", "in/three.PSD", "in/notes.txt", "in/.four.psd", "in/five.MOV"):
        Path(name).write_text("")
    assert run(command, "in", "-o", "out") == 0
    counts = "danet: 1 done, 0 skipped, 0 failed, 3 left out"
    assert capsys.readouterr().err.splitlines() == [f"{counts} (--verbose names them)"]
    assert (
        run(
            command,
            "in",
            "-o",
            "out",
            "--verbose",
            "--seed=1" if command == "generate" else "--jobs=2",
        )
        == 0
    )
    *lines, summary = capsys.readouterr().err.splitlines()
    assert sorted(lines) == [
        "danet: in/five.MOV: left out, as videos in folders are",
        "danet: in/three.PSD: left out for its format",
        "danet: in/two.jp2: left out for its format",
    ]
    assert summary == counts
    assert len(files("out")) == 1
    Path("in/one.png").unlink()
    assert run(command, "in", "-o", "out") == 2
    assert "danet: error: in: the folder holds no pictures" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_permissions_and_times(run: Run) -> None:
    noisy = picture("in/noisy.png")
    noisy.chmod(0o640)
    os.utime(noisy, ns=(10**18, 10**18 + 5))
    assert run("denoise", "in", "-o", "out") == 0
    result = Path("out/noisy.png").stat()
    assert result.st_mode & 0o777 == 0o640
    assert result.st_mtime_ns > 10**18 + 5
    Path("out/noisy.png").chmod(0o604)
    assert run("denoise", "in", "-o", "out", "--preserve-times") == 0
    result = Path("out/noisy.png").stat()
    assert result.st_mode & 0o777 == 0o604
    assert result.st_mtime_ns == 10**18 + 5
    assert run("denoise", "missing.png", "-o", "out", "--preserve-times") == 2


def test_existing_outputs_are_skipped(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, name in enumerate(["in/1.png", "in/2.png", "in/3.png"]):
        picture(name, seed)
    Path("in/3.png").write_text("not a picture")
    older = picture("out/1.png", 5).read_bytes()
    assert run("denoise", "in", "-o", "out", "--skip-existing") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "danet: 1 done, 1 skipped, 1 failed"
    assert Path("out/1.png").read_bytes() == older
    assert files("out") == ["1.png", "2.png"]
    Path("in/3.png").unlink()
    assert run("denoise", "in", "-o", "out", "--skip-existing") == 0
    assert "0 done, 2 skipped, 0 failed" in capsys.readouterr().err


def test_several_jobs_do_what_one_does(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(6):
        picture(f"in/{seed}.png", seed)
    Path("in/7.png").write_text("not a picture")
    for jobs in ("1", "3"):
        assert run("denoise", "in", "-o", jobs, "--jobs", jobs) == 2
        (line,) = error_lines(capsys)
        assert line.startswith("in/7.png: ")
    assert files("1") == files("3") == [f"{seed}.png" for seed in range(6)]
    for name in files("1"):
        np.testing.assert_array_equal(pixels(f"1/{name}"), pixels(f"3/{name}"))


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_jobs_share_the_free_memory(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], jobs: str
) -> None:
    def say(denoiser: danet.Denoiser, *_: object, **__: object) -> None:
        raise RuntimeError(f"{denoiser.engine.settings.jobs} jobs")

    monkeypatch.setattr(danet.Denoiser, "__call__", say)
    picture("a.png")
    assert run("denoise", "a.png", "-o", "out", "--jobs", jobs) == 2
    assert error_lines(capsys) == [f"a.png: {jobs} jobs"]


def test_strength_self_ensemble_and_residual(run: Run, weights: Path) -> None:
    noisy = images.read_image(picture("noisy.png"))
    denoiser = danet.Denoiser.from_pretrained(weights, device="cpu")
    cases: list[tuple[list[str], dict[str, Any]]] = [
        (["--strength", "0"], {"strength": 0.0}),
        (["--strength", "1.5"], {"strength": 1.5}),
        (["--grain", "0.5"], {"grain": 0.5}),
        (["--self-ensemble"], {"self_ensemble": True}),
        (["--luma", "0.3"], {"strength": (0.3, 1.0)}),
        (["--strength", "0.5", "--chroma", "1.2"], {"strength": (0.5, 1.2)}),
    ]
    for arguments, settings in cases:
        assert run("denoise", "noisy.png", "-o", "clean.png", *arguments) == 0
        expected = np.asarray(denoiser(noisy, **settings))
        np.testing.assert_array_equal(pixels("clean.png"), expected)
    assert run("denoise", "noisy.png", "-o", "noise.npy", "--residual") == 0
    assert run("denoise", "noisy.png", "-o", "noise.png", "--residual") == 0
    noise = np.load("noise.npy")
    np.testing.assert_allclose(noise, denoiser(noisy, residual=True), atol=1e-6)
    assert noise.min() < 0
    expected = (noise * 255 + 127.5).clip(0, 255)
    assert np.abs(pixels("noise.png") - expected).max() <= 0.51


def test_a_mask_leaves_what_is_black(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    noisy = np.asarray(images.read_image(picture("noisy.png")))
    mask = np.zeros(noisy.shape[:2], np.uint8)
    mask[:, : noisy.shape[1] // 2] = 255
    Image.fromarray(mask).save("mask.png")
    assert run("denoise", "noisy.png", "-o", "all.png") == 0
    assert run("denoise", "noisy.png", "-o", "some.png", "--mask", "mask.png") == 0
    taken = mask[..., None] == 255
    np.testing.assert_array_equal(pixels("some.png"), np.where(taken, pixels("all.png"), noisy))
    turned = Image.Exif()
    turned[0x112] = 6  # of a mask that was made of the picture's file, with its metadata
    Image.fromarray(mask).save("turned.png", exif=turned)
    assert run("denoise", "noisy.png", "-o", "other.png", "--mask", "turned.png") == 0
    np.testing.assert_array_equal(pixels("other.png"), pixels("some.png"))
    Image.fromarray(mask[1:]).save("mask.png")
    assert run("denoise", "noisy.png", "-o", "some.png", "--mask", "mask.png") == 2
    np.save("mask.npy", mask.astype(np.float32))
    capsys.readouterr()
    assert run("denoise", "noisy.png", "-o", "some.png", "--mask", "mask.npy") == 2
    assert "mask.npy: a mask of floats has values from 0 to 1, and this one from 0 to 255" in (
        capsys.readouterr().err
    )


def test_the_strength_is_found_and_said(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).normal(0, 1.8, (64, 64, 3))
    noisy = np.rint(128 + noise).astype(np.uint8)
    Image.fromarray(noisy).save("noisy.png")
    denoiser = danet.Denoiser(device="cpu")
    found = denoiser.find_noise(noisy)
    assert 0 < found.strength < 1
    shipped = ("--weights", "photo", "--strength", "auto")
    assert run("denoise", "noisy.png", "-o", "clean.png", *shipped) == 0
    assert capsys.readouterr().err == ""
    np.testing.assert_array_equal(pixels("clean.png"), denoiser(noisy, strength="auto"))
    mask = np.zeros((64, 64), np.uint8)
    mask[:32] = 255
    Image.fromarray(mask).save("mask.png")
    more = ("--mask", "mask.png", "--luma", "0.5", "--verbose")
    assert run("denoise", "noisy.png", "-o", "some.png", *shipped, *more) == 0
    level = f"noise of {255 * found.level:.1f} grey levels of 255, strength {found.strength:.2f}"
    assert capsys.readouterr().err == f"danet: noisy.png: {level}\n"
    upper = denoiser(noisy, strength=(0.5, found.strength))
    expected = np.where(mask[..., None] == 255, upper, noisy).astype(int)
    assert np.abs(pixels("some.png") - expected).max() <= 1


def test_white_and_linear_light(run: Run, weights: Path) -> None:
    bright = np.random.default_rng(0).normal(2, 1, (37, 50, 3)).astype(np.float32)
    np.save("bright.npy", bright)
    assert run("denoise", "bright.npy", "-o", "clean.npy") == 2
    arguments = ("--white", "3.5", "--linear", "--strength", "auto")
    assert run("denoise", "bright.npy", "-o", "clean.npy", *arguments) == 0
    denoiser = danet.Denoiser.from_pretrained(weights, device="cpu")
    expected = denoiser(bright, white=3.5, linear=True, strength="auto")
    np.testing.assert_allclose(np.load("clean.npy"), expected, atol=1e-5)


def test_floats_beyond_white_are_generated_and_compared_as_a_screen_shows_them(run: Run) -> None:
    linear = np.random.default_rng(0).random((37, 50, 4), np.float32)
    linear[..., :3] *= 3
    seen = linear.copy()
    seen[..., :3] = Light(2, linear=True).seen(linear[..., :3])
    np.save("linear.npy", linear)
    np.save("seen.npy", seen)
    light = ("--white", "2", "--linear")
    assert run("generate", "linear.npy", "--seed", "1", "-o", "out") == 2
    assert run("generate", "linear.npy", "--seed", "1", "-o", "out", *light) == 0
    assert run("generate", "seen.npy", "--seed", "1", "-o", "out") == 0
    read = images.read_pixels
    np.testing.assert_array_equal(read("out/linear_00.png"), read("out/seen_00.png"))
    assert main(["compare", "linear.npy", "linear.npy", "-o", "page.html"]) == 2
    assert main(["compare", "linear.npy", "linear.npy", "-o", "page.html", *light]) == 0
    assert main(["compare", "seen.npy", "seen.npy", "-o", "same.html", "--title", "same"]) == 0
    pages = (Path(name).read_text().split("data:image")[1:] for name in ("page.html", "same.html"))
    assert len({tuple(page) for page in pages}) == 1


def test_quality_and_every_frame(run: Run) -> None:
    picture("noisy.jpg")
    assert run("denoise", "noisy.jpg", "-o", "same.jpg") == 0
    assert run("denoise", "noisy.jpg", "-o", "small.jpg", "--quality", "20") == 0
    assert Path("small.jpg").stat().st_size < Path("same.jpg").stat().st_size
    pages = [Image.fromarray(pixels("noisy.jpg")), Image.new("L", (7, 5))]
    pages[0].save("pages.tif", save_all=True, append_images=pages[1:])
    assert run("denoise", "pages.tif", "-o", "out.tif") == 0
    with Image.open("out.tif") as result:
        assert [result.seek(number) or result.size for number in range(2)] == [(50, 37), (7, 5)]


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_half_file(
    weights: Path, tmp_path: Path, jobs: str, number: signal.Signals, status: int
) -> None:
    for seed in range(60):
        picture(str(tmp_path / f"in/{seed:02}.tif"), seed, 200, 300)
    code = (
        "import signal, sys, danet.cli\n"
        # Tests may run where this signal is ignored, and processes inherit that.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.exit(danet.cli.main())"
    )
    arguments = ["denoise", "in", "-o", "out", "--jobs", jobs, "--weights", str(weights)]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments, "--device", "cpu"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while not (tmp_path / "out/00.tif").exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == status
    (line,) = errors.splitlines()
    assert SUMMARY.fullmatch(line)
    done = files(str(tmp_path / "out"))
    assert 1 <= len(done) < 60
    if jobs != "1":  # alone, a picture can be there and not counted yet
        assert line.startswith(f"danet: {len(done)} done,")
    for name in done:
        assert name.endswith(".tif") and not name.startswith(".")
        images.read_image(tmp_path / "out" / name)


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (MemoryError(), "MemoryError; a smaller --tile needs less memory"),
        (RuntimeError("cannot\n allocate"), "cannot allocate; a smaller --tile needs less memory"),
        (RuntimeError("a broken kernel"), "a broken kernel"),
    ],
)
def test_a_picture_that_cannot_be_computed_is_named_and_the_others_done(
    run: Run,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
    line: str,
) -> None:
    compute = danet.Denoiser.__call__

    def small_only(denoiser: danet.Denoiser, image: Any, **settings: Any) -> Any:
        if image.shape[1] > 100:
            raise fault
        return compute(denoiser, image, **settings)

    monkeypatch.setattr(danet.Denoiser, "__call__", small_only)
    picture("large.png", width=101)
    picture("small.png")
    assert run("denoise", "large.png", "small.png", "-o", "out") == 2
    assert error_lines(capsys) == [f"large.png: {line}"]
    assert files("out") == ["small.png"]


def test_a_bad_picture_leaves_an_older_output_as_it_was(run: Run) -> None:
    older = picture("clean.png").read_bytes()
    Path("noisy.png").write_text("not a picture")
    assert run("denoise", "noisy.png", "-o", "clean.png") == 2
    assert Path("clean.png").read_bytes() == older
    assert files(".") == ["clean.png", "noisy.png"]


def test_a_picture_too_large_to_be_true_is_an_error(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    picture("noisy.png")
    limit = Image.MAX_IMAGE_PIXELS
    assert run("denoise", "noisy.png", "-o", "clean.png", "--max-pixels", str(37 * 50 - 2)) == 2
    (line,) = error_lines(capsys)
    assert line.startswith("noisy.png: ")
    assert run("denoise", "noisy.png", "-o", "clean.png", "--max-pixels", str(37 * 50)) == 0
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["a.png", "b/a.png", "-o", "out"], "b/a.png: another picture is already written to"),
        (["a.png", "a.png", "-o", "out"], "a.png: another picture is already written to"),
        (["b", "-o", "b"], "b/a.png: the output would replace an input"),
        (["a.png", "-o", "b/../a.png"], "b/../a.png: the output would replace an input"),
        (["a.png", "c.png", "-o", "a.txt"], "a.txt: the output must be a folder"),
        (["a.png", "c.png", "-o", "new.png"], "new.png: one file for several pictures"),
        (["b", "-o", "new.png"], "new.png: one file for several pictures"),
        (["a.png", "-o", "new.xyz"], "a.png: new.xyz: no picture format has the suffix '.xyz'"),
        (["a.png", "-o", "a.txt"], "a.png: a.txt: no picture format has the suffix '.txt'"),
    ],
)
def test_outputs_that_cannot_be_or_would_destroy_something(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], fault: str
) -> None:
    for seed, name in enumerate(["a.png", "b/a.png", "c.png"]):
        picture(name, seed)
    Path("a.txt").write_text("a note")
    before = {name: Path(name).read_bytes() for name in files(".")}
    assert run("denoise", *arguments) == 2
    (line,) = error_lines(capsys)
    assert line.startswith(fault)
    assert {name: Path(name).read_bytes() for name in files(".")} == before


def test_a_file_of_another_kind_does_not_keep_the_others_back(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    picture("c.png")
    Path("a.txt").write_text("a note")
    assert run("denoise", "a.txt", "c.png", "-o", "out") == 2
    (line,) = error_lines(capsys)
    assert line.startswith("a.txt: ")
    assert files("out") == ["c.png"]


def test_generate_is_the_same_for_a_picture_alone_or_among_others(run: Run, weights: Path) -> None:
    first, second = picture("first.png", 1), picture("second.jpg", 2)
    assert run("generate", str(first), str(second), "-n", "3", "--seed", "1", "-o", "both") == 0
    assert run("generate", str(second), "-n", "3", "--seed", "1", "-o", "alone") == 0
    names = [f"second_0{number}.png" for number in range(3)]
    assert files("alone") == names
    assert files("both") == [f"first_0{number}.png" for number in range(3)] + names
    generator = danet.NoiseGenerator.from_pretrained(weights, device="cpu")
    expected = generator.sample(images.read_image(second), n=3, seed=1)
    for name, version in zip(names, expected, strict=True):
        np.testing.assert_array_equal(pixels(f"alone/{name}"), np.asarray(version))
        np.testing.assert_array_equal(pixels(f"both/{name}"), np.asarray(version))


@pytest.mark.parametrize("source", ["clean.png", "clean.tif", "clean.npy"])
def test_generate_keeps_the_depth_and_what_the_file_says(
    run: Run, weights: Path, source: str
) -> None:
    pytest.importorskip("imagecodecs")
    wide = np.random.default_rng(0).integers(0, 65536, (37, 50, 4)).astype(np.uint16)
    exif = Image.Exif()
    exif[274] = 6
    info = {} if source == "clean.npy" else {"exif": exif.tobytes(), "dpi": (300, 200)}
    images.write_frame(images.Frame(wide, info), source)
    assert run("generate", source, "-n", "2", "--seed", "1", "-o", "out") == 0
    generator = danet.NoiseGenerator.from_pretrained(weights, device="cpu")
    for number, expected in enumerate(generator.sample(wide, n=2, seed=1)):
        with images.open_picture(f"out/clean_0{number}.png") as file:
            (result,) = file.frames
        np.testing.assert_array_equal(result.pixels, expected, strict=True)
        if info:
            assert result.info["dpi"] == pytest.approx((300, 200), rel=1e-3)
            with Image.open(f"out/clean_0{number}.png") as written:
                assert written.getexif()[274] == 6


@pytest.mark.parametrize("shape", [(37, 50), (37, 50, 3), (37, 50, 1)])
@pytest.mark.parametrize(
    ("suffix", "dtype"), [("npy", "float32"), ("npy", "float64"), ("tif", "float32")]
)
def test_generate_writes_floats_as_16_bits(
    run: Run, weights: Path, suffix: str, dtype: str, shape: tuple[int, ...]
) -> None:
    pytest.importorskip("imagecodecs")
    clean = np.random.default_rng(0).random(shape).astype(dtype)
    images.write_frame(images.Frame(clean, {}), f"clean.{suffix}")
    assert run("generate", f"clean.{suffix}", "--seed", "1", "-o", "out") == 0
    (expected,) = danet.NoiseGenerator.from_pretrained(weights, device="cpu").sample(
        clean, n=1, seed=1
    )
    result = images.read_pixels("out/clean_00.png")
    assert result.dtype == np.uint16
    assert np.abs(result - 65535.0 * expected.reshape(result.shape)).max() <= 0.51


def test_generate_refuses_several_pages(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    page = Image.new("L", (50, 37), 100)
    page.save("pages.tif", save_all=True, append_images=[page, page])
    picture("one.png")
    assert run("generate", "pages.tif", "one.png", "-o", "out") == 2
    (line,) = error_lines(capsys)
    assert line.startswith("pages.tif: holds 3 pictures")
    assert files("out") == ["one_00.png"]


def test_generate_without_a_seed_makes_new_noise(run: Run) -> None:
    picture("clean.png")
    assert run("generate", "clean.png", "-o", "one") == 0
    assert run("generate", "clean.png", "-o", "two") == 0
    assert not np.array_equal(pixels("one/clean_00.png"), pixels("two/clean_00.png"))


def test_generate_refuses_two_pictures_of_one_name(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    picture("clean.png")
    picture("clean.jpg")
    assert run("generate", "clean.png", "clean.jpg", "-o", "out") == 2
    assert len(error_lines(capsys)) == 1
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("option", "value"), [("--weights", "nonsense"), ("--device", "abacus"), ("--device", "meta")]
)
def test_unknown_weights_and_devices(
    run: Run, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    picture("noisy.png")
    assert run("denoise", "noisy.png", "-o", "out", option, value) == 2
    (line,) = error_lines(capsys)
    assert value in line
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["polish", "a.png"],
        ["denoise", "a.png"],
        ["data"],
        ["data", "prepare", "attic", "pairs", "out"],
        ["data", "prepare", "folder", "pairs"],
        ["data", "prepare", "folder", "pairs", "out", "--crop", "1"],
        ["data", "prepare", "folder", "pairs", "out", "--bits", "12"],
        ["data", "check", "folder", "pairs", "out", "--worst", "0"],
        ["denoise", "a.png", "-o", "b.png", "--tile", "0"],
        ["denoise", "a.png", "-o", "b.png", "--strength", "-1"],
        ["denoise", "a.png", "-o", "b.png", "--strength", "nan"],
        ["denoise", "a.png", "-o", "b.png", "--grain", "1.5"],
        ["denoise", "a.png", "-o", "b.png", "--white", "0"],
        ["denoise", "a.png", "-o", "b.png", "--quality", "101"],
        ["denoise", "a.png", "-o", "b.png", "--jobs", "0"],
        ["denoise", "a.png", "-o", "b.png", "--max-pixels", "0"],
        ["generate", "a.png", "-o", "out", "-n", "0"],
        ["generate", "a.png", "-o", "out", "--seed", "-1"],
        ["generate", "a.png", "-o", "out", "--seed", "one"],
    ],
)
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["half", "-1", "nan", "inf"])
@pytest.mark.parametrize("option", ["--strength", "--chroma", "--grain", "--white"])
def test_a_wrong_number_is_named_with_what_would_be_right(
    option: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["denoise", "a.png", "-o", "b.png", f"{option}={word}"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert re.search(rf"argument {option}: '{word}' is not a.* number", line)


def test_an_interrupt_ends_without_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    picture("noisy.png")
    monkeypatch.setattr(danet.Denoiser, "denoise_file", interrupt)
    assert run("denoise", "noisy.png", "-o", "out") == 130


def test_train_runs_the_file_and_prints_the_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def run(path: Path, changes: list[str]) -> Path:
        given.extend(changes)
        return path.parent / "model"

    monkeypatch.setattr(danet.train, "train_from_file", run)
    assert main(["train", "runs/one.toml", "updates=3", "--init-from", "photo"]) == 0
    assert given == ["updates=3", "init_from=photo"]
    assert capsys.readouterr().out.strip() == str(Path("runs/model"))


def test_train_reports_a_fault_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, changes: list[str]) -> None:
        raise ConfigError(f"{path}: batch:\n  must be positive")

    monkeypatch.setattr(danet.train, "train_from_file", refuse)
    assert main(["train", "one.toml"]) == 2
    assert error_lines(capsys) == ["one.toml: batch: must be positive"]


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three pairs in an empty folder; the last one is too bright."""
    monkeypatch.chdir(tmp_path)
    smooth = np.linspace(40, 200, 64 * 64 * 3).reshape(64, 64, 3)
    for number, more in enumerate((0, 0, 5)):
        noise = np.random.default_rng(number).normal(0, 4, smooth.shape)
        for side, values in (("clean", smooth), ("noisy", smooth + noise - noise.mean() + more)):
            path = Path("pairs") / side / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.rint(values).astype(np.uint8)).save(path)
    return Path("pairs")


def test_data_prepare_packs_and_says_what_it_left_out(
    pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["data", "prepare", "folder", str(pairs), "out", "--crop", "32"]
    for _ in range(2):  # what is finished is left as it is
        assert main([*arguments, "--bits", "16", "--screen"]) == 0
        assert capsys.readouterr().out == "out: 18 crops of 3 pairs, 9 left out as faulty\n"
    packed = PackedPairs("out")
    assert packed[0][0].shape == (32, 32, 3)
    assert packed[0][0].dtype == np.uint16
    assert packed.settings == {"crop": 32, "stride": 24, "screen": True}
    assert main(arguments) == 2
    (line,) = error_lines(capsys)
    assert "take another folder" in line


def test_data_prepare_stops_at_a_bad_picture_and_goes_on(
    pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["data", "prepare", "folder", str(pairs), "out"]
    bad = pairs / "noisy" / "1.png"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:500])
    assert main(arguments) == 2
    (line,) = error_lines(capsys)
    assert line.startswith(f"{bad}: cannot be read")
    bad.write_bytes(whole)
    assert main(arguments) == 0
    assert capsys.readouterr().out == "out: 3 crops of 3 pairs\n"


def test_data_check_writes_a_table_and_a_picture(
    pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pairs / "noisy" / "1.png").write_text("not a picture")
    assert main(["data", "check", "folder", str(pairs), "out", "--worst", "1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "3 pairs: 1 good, 0 partly, 1 bad, 1 unreadable"
    assert out[1:] == [str(Path("out/pairs.csv")), str(Path("out/worst.png"))]
    assert files("out") == ["pairs.csv", "worst.png"]
    assert len(Path("out/pairs.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("command", "found"), [("prepare", ["train"]), ("check", ["train", "val"])]
)
def test_data_of_polyu_is_chosen_by_part(
    pairs: Path, command: str, found: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    split: dict[str, dict[str, list[str]]] = {}
    for number, part in enumerate(("train", "val")):
        for kind in ("crops", "full"):
            split.setdefault(kind, {})[part] = [f"{part}_real.png"]
            Path("polyu", kind).mkdir(parents=True, exist_ok=True)
            for side, name in (("noisy", "real"), ("clean", "mean")):
                image = (pairs / side / f"{number}.png").read_bytes()
                Path("polyu", kind, f"{part}_{name}.png").write_bytes(image)
    Path("polyu/split.json").write_text(json.dumps(split))
    assert main(["data", command, "polyu", "polyu", "out"]) == 0
    assert f"{2 * len(found)} pairs" in capsys.readouterr().out
    arguments = ["--part", "val", "--kind", "full"]
    assert main(["data", command, "polyu", "polyu", "other", *arguments]) == 0
    assert "1 pairs" in capsys.readouterr().out
    assert main(["data", command, "folder", str(pairs), "third", "--part", "val"]) == 2
    (line,) = error_lines(capsys)
    assert "--part val needs" in line and "split.json" in line


def test_layouts_of_the_command_line_are_those_of_the_library() -> None:
    assert danet.cli.data._LAYOUTS == danet.data.layouts.LAYOUTS


def test_a_warning_is_one_line(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = signal.getsignal(signal.SIGTERM)

    def warn(*_: object, **__: object) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("slow,\n  but right", DanetWarning, stacklevel=1)
        return 0

    monkeypatch.setattr("danet.cli.denoise.do_jobs", warn)
    assert run("denoise", str(picture("a.png")), "-o", "out") == 0
    assert capsys.readouterr().err == "danet: warning: slow, but right\n"
    assert signal.getsignal(signal.SIGTERM) == handler


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"danet {danet.__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import json, runpy, sys\n"
        "try:\n    runpy.run_module('danet', run_name='__main__')\n"
        "except SystemExit as stopped:\n    status = stopped.code\n"
        "print(json.dumps([status, sorted(sys.modules)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True
    )
    *text, report = done.stdout.splitlines()
    status, modules = json.loads(report)
    assert status == 0
    assert text[0].startswith("usage: danet")
    assert not {"torch", "numpy", "PIL", "tqdm"} & set(modules)


def test_errors_of_a_process_are_one_line_without_a_progress_bar(
    weights: Path, tmp_path: Path
) -> None:
    noisy = picture(str(tmp_path / "noisy.png"))
    command = [sys.executable, "-m", "danet", "denoise", "missing.png", str(noisy), "-o", "out"]
    options = ["--weights", str(weights), "--device", "cpu"]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    line, summary = done.stderr.splitlines()
    assert line.startswith("danet: error: missing.png: ")
    assert summary == "danet: 1 done, 0 skipped, 1 failed"
    assert files(str(tmp_path / "out")) == ["noisy.png"]


def test_generate_at_a_level(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    generator = danet.NoiseGenerator(build("generator", "modulated", 2, 2, levels=(0.01, 0.02)))
    generator.save_pretrained("by-level")
    source = picture("clean.png")
    command = ["generate", str(source), "--seed", "1", "-o", "out", "--level", "0.05"]
    assert run(*command, "--weights", "by-level") == 0
    expected = generator.sample(images.read_image(source), n=1, seed=1, level=0.05)[0]
    np.testing.assert_array_equal(pixels("out/clean_00.png"), np.asarray(expected))
    assert run(*command) == 2
    (line,) = error_lines(capsys)
    assert line.startswith("clean.png: level is 0.05, and must be None")


def test_compare_writes_a_page(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    picture("a.png")
    picture("b.png", 1)
    arguments = ["-o", "new/page.html", "--title", "<b>", "--factor", "3"]
    assert main(["compare", "a.png", "b.png", *arguments]) == 0
    page = Path("new/page.html").read_text(encoding="utf-8")
    assert "<title>&lt;b&gt;</title>" in page
    assert "times 3, around grey" in page
    assert files("new") == ["page.html"]
    assert error_lines(capsys) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "small.png", "-o", "page.html"], r"a\.png has 50 x 37 pixels and small"),
        (["none.png", "a.png", "-o", "page.html"], r"none\.png: no such file"),
        (["a.png", "notes.png", "-o", "page.html"], r"notes\.png: not a picture"),
        (["a.png", "a.png", "-o", "a.png"], r"a\.png: the output would replace an input"),
        (["a.png", "a.png", "-o", "page.html", "--max-pixels", "900"], r"a\.png: .*--max-pixels"),
        (["b.npy", "a.png", "-o", "page.html", "--max-pixels", "1850"], r"b\.npy: .*--max-pixels"),
        (["line.npy", "a.png", "-o", "page.html"], r"line\.npy: .* is no picture"),
    ],
)
def test_compare_refuses_in_one_line(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    before = picture("a.png").read_bytes()
    picture("small.png", width=49)
    Path("notes.png").write_text("not a picture")
    np.save("b.npy", np.zeros((38, 50), np.uint8))
    np.save("line.npy", np.zeros(50, np.uint8))
    assert main(["compare", *arguments]) == 2
    (line,) = error_lines(capsys)
    assert re.match(message, line)
    assert Path("a.png").read_bytes() == before
    assert not Path("page.html").exists()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries go on as ever")
def test_tensors_take_the_memory_of_those_before_them() -> None:
    # In a process of its own, since an allocation that failed moves a thread to another heap.
    program = """
import resource
from pathlib import Path
import torch
from danet.cli.console import keeping_memory

SIZE = 2**26  # bytes; malloc keeps no block of that size by itself

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(SIZE // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

fresh = pages()
with keeping_memory(2**30):
    bounded = pages()
with keeping_memory(None):
    again = pages()
    kept = resident()
assert again < min(fresh, bounded) / 4, (again, fresh, bounded)
assert resident() < kept - SIZE / 2
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
