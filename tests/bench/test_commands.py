"""The commands, in this process, with small random networks."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

import danet.bench
import danet.cli.bench
from danet.bench import network
from danet.cli import main
from danet.data import Pixels, scaled
from danet.pretrained import Denoiser

TINY_TRAINING = {
    "recipe": "denoiser-l1",
    "updates": 1,
    "batch_size": 1,
    "patch_size": 16,
    "denoiser": {"width": 2, "depth": 2},
    "workers": 0,
    "device": "cpu",
}


def random_blocks(seed: int, shape: Sequence[int] = (2, 3, 16, 12, 3)) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    root.mkdir()
    for name in ("1_clean", "1_noisy", "2_clean", "2_noisy"):
        pixels = random_blocks(len(list(root.iterdir())), (24, 32, 3)) // 4 + np.uint8(90)
        Image.fromarray(pixels).save(root / f"{name}.png")
    return root


def run(*arguments: object) -> int:
    return main([*map(str, arguments), "--device", "cpu"])


def test_names_are_those_of_the_library() -> None:
    assert tuple(danet.bench.DATASETS) == danet.cli.bench._DATASETS
    assert tuple(danet.bench.BASELINES) == danet.cli.bench._BASELINES


def test_evaluate(
    pictures: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pywt")
    arguments = ["--dataset", "folder", pictures, "--weights", tiny_weights, "--self-ensemble"]
    output = tmp_path / "out"
    command = ["evaluate", *arguments, "--baseline", "skimage-wavelet", "-o", output]
    assert run(*command) == 0
    printed, complaints = capsys.readouterr()
    assert printed == (output / "report.md").read_text() and complaints == ""
    content = json.loads((output / "report.json").read_text())
    assert content["facts"]["self-ensemble"] == "yes"
    assert content["facts"]["weights"] == str(tiny_weights)
    assert content["facts"]["computed in"] == "float32"
    assert "CPU" in content["facts"]["hardware"]
    assert list(content["mean"]) == ["noisy", "denoised", "skimage-wavelet"]
    assert set(content["mean"]["denoised"]) == {"psnr", "ssim", "seconds_per_megapixel"}
    with (output / "report.csv").open() as lines:
        assert [row["image"] for row in csv.DictReader(lines)] == [
            "1_noisy.png",
            "2_noisy.png",
            "mean",
        ]


def test_evaluate_noise(
    pictures: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--dataset", "folder", pictures, "--weights", tiny_weights, "-n", 2]
    assert run("evaluate-noise", *arguments) == 0
    content = json.loads(Path("evaluation-noise/folder/report.json").read_text())
    assert content["facts"]["versions of each"] == 2
    assert content["mean"]["generated"]["akld"] > 0


def test_pgap(
    pictures: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("danet.train.experiment.PRESETS", {"quick": TINY_TRAINING})
    monkeypatch.setattr("danet.train.loop.write_curves", lambda folder: None)  # they are slow
    arguments = ["--dataset", "folder", pictures, "--weights", tiny_weights, "-n", 1]
    output, cache = tmp_path / "out", tmp_path / "denoisers"
    given = [*arguments, "--pgap", pictures, "--pgap-cache", cache, "-o", output]
    assert run("evaluate-noise", *given) == 0
    means = json.loads((output / "report.json").read_text())["mean"]["generated"]
    assert means["pgap_low"] < means["pgap"] < means["pgap_high"]
    assert len(list(cache.iterdir())) == 6


def test_submit(
    sidd_root: Path,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("submit", "sidd-mat", sidd_root, "--weights", tiny_weights) == 0
    assert capsys.readouterr() == ("SubmitSrgb.mat\n", "")
    denoised = loadmat("SubmitSrgb.mat")["DenoisedBlocksSrgb"]
    method = network(Denoiser.from_pretrained(tiny_weights, device="cpu"))
    expected = method(scaled(random_blocks(2)[1, 2]))
    np.testing.assert_array_equal(denoised[1, 2], np.rint(expected * 255).astype(np.uint8))


def test_submit_dnd(dnd_root: Path, tiny_weights: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert run("submit", "dnd", dnd_root, "--weights", tiny_weights, "-o", output) == 0
    assert sorted(path.name for path in output.iterdir()) == ["0001.mat", "0002.mat"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "x"], "--dataset"),
        (["evaluate", "x", "--dataset", "attic"], "attic"),
        (["evaluate", "x", "--dataset", "folder", "--baseline", "bm3d,wnnm"], "'wnnm'"),
        (["submit", "attic", "x"], "attic"),
    ],
)
def test_wrong_words(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(*arguments)
    assert message in capsys.readouterr().err


def test_a_missing_data_set_is_named(
    tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--dataset", "sidd-val", tmp_path, "--weights", tiny_weights]
    assert run("evaluate", *arguments) == 2
    printed, complaints = capsys.readouterr()
    assert printed == ""
    assert "ValidationGtBlocksSrgb.mat: no such file" in complaints
