"""Exported denoisers give what PyTorch gives, in processes that have none."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from danet.cli import main
from danet.errors import ConfigError, DanetError, ImageError, WeightsError
from danet.networks import build
from danet.pretrained import Denoiser, ExportedDenoiser
from danet.pretrained import exported as exported_module
from danet.pretrained.exported import model_of
from danet.weights import FetchOptions

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

TOLERANCE = 2e-6
# Runs the command line where these packages cannot be had, and reports what it imported.
WITHOUT = """\
import json, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("onnx", "onnxscript", "safetensors", "scipy", "torch"):
            raise ImportError(f"{name} is absent")
sys.meta_path.insert(0, Absent())
from danet.cli import main
status = main(sys.argv[1:])
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
sys.exit(status)
"""


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    """Random weights that take much, in float32."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build("denoiser", "unet", 4, 3)
    for parameter in network.parameters():
        parameter.data *= 1.2
    return Denoiser(network, device="cpu", dtype="float32", runtime="torch")


@pytest.fixture(scope="module")
def model(denoiser: Denoiser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "denoiser.onnx"
    denoiser.export(path)
    return path


def picture(*shape: int, dtype: Any = np.float32) -> Any:
    values = np.random.default_rng(0).random(shape, np.float32)
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    return np.rint(values * np.iinfo(dtype).max).astype(dtype)


def assert_same(found: Any, expected: Any) -> None:
    """Within one level of integers, nearly all equal; floats up to rounding."""
    assert type(found) is type(expected)
    found, expected = np.asarray(found), np.asarray(expected)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    difference = np.abs(found.astype(np.float64) - expected)
    if found.dtype.kind == "f":
        assert difference.max() <= max(TOLERANCE, np.finfo(found.dtype).eps)
        return
    assert difference.max() <= 1
    # The rounding of float32 shows at 16 bits.
    assert (difference > 0).mean() <= (0.001 if found.dtype == np.uint8 else 0.2)


@pytest.mark.parametrize(
    "image",
    [
        picture(45, 70, 3, dtype=np.uint8),
        picture(33, 70, dtype=np.uint16),
        picture(45, 31, 4),
        picture(45, 31, 2, dtype=np.float64),
        picture(1, 1, 3),
        Image.fromarray(picture(45, 70, 3, dtype=np.uint8)).convert("P"),
    ],
)
def test_pictures_of_every_kind(denoiser: Denoiser, model: Path, image: Any) -> None:
    assert_same(ExportedDenoiser(model)(image), denoiser(image))


@pytest.mark.parametrize(
    "options",
    [
        {"strength": 0.4},
        {"strength": (0.3, 1.6)},
        {"strength": "auto"},
        {"strength": picture(45, 70)},
        {"strength": (0.3, 1.6), "grain": 0.4},
        {"residual": True},
        {"strength": 0.7, "residual": True, "grain": 0.2},
        {"linear": True, "white": 0.7},
    ],
    ids=str,
)
def test_every_setting_but_the_self_ensemble(
    denoiser: Denoiser, model: Path, options: dict[str, Any]
) -> None:
    image = picture(45, 70, 3)
    assert_same(ExportedDenoiser(model)(image, **options), denoiser(image, **options))


@pytest.mark.parametrize("size", [(151, 90), (64, 200)])
@pytest.mark.parametrize("settings", [{"tile": 20}, {"max_memory": 2**21}])
def test_tiles_give_the_result_of_the_whole(
    model: Path, size: tuple[int, int], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    image, mask = picture(*size, 3), picture(*size, 2)
    options: dict[str, Any] = {"strength": mask, "grain": 0.5}
    whole = ExportedDenoiser(model)(image, **options)
    tiled = ExportedDenoiser(model, **settings)
    seen: list[tuple[int, ...]] = []
    predict = tiled.engine._predict

    def watched(pixels: Any) -> Any:
        seen.append(pixels.shape)
        return predict(pixels)

    monkeypatch.setattr(tiled.engine, "_predict", watched)
    assert_same(tiled(image, **options), whole)
    assert len(seen) > 1
    assert max(np.prod(shape[2:]) for shape in seen) < image[..., 0].size


def test_memory_that_is_too_small_is_said(model: Path) -> None:
    with pytest.raises(DanetError, match=r"smallest tile, \d+ x \d+ pixels .* there is less"):
        ExportedDenoiser(model, max_memory=1000)(picture(45, 70, 3))


class Failing:
    """A session that cannot compute many pixels, or any."""

    def __init__(self, session: Any, words: str, most: int = 0) -> None:
        self._session, self._words, self._most = session, words, most

    def run(self, outputs: list[str], given: dict[str, Any]) -> Any:
        if given["noisy"][0, 0].size > self._most:
            raise RuntimeError(self._words)
        return self._session.run(outputs, given)


def test_where_memory_runs_out_tiles_of_half_the_size_are_taken(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, denoiser = picture(200, 150, 3), ExportedDenoiser(model)
    whole = denoiser(image)
    session, words = denoiser.engine._session, "Failed to allocate memory for requested buffer"
    monkeypatch.setattr(denoiser.engine, "_session", Failing(session, words, 10000))
    assert_same(denoiser(image), whole)
    monkeypatch.setattr(denoiser.engine, "_session", Failing(session, words))
    with pytest.raises(DanetError, match="smallest tile"):
        denoiser(image)


def test_another_failure_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    denoiser = ExportedDenoiser(model)
    monkeypatch.setattr(denoiser.engine, "_session", Failing(None, "as it must"))
    with pytest.raises(DanetError, match="ONNX Runtime failed: as it must"):
        denoiser(picture(45, 70, 3))


def test_what_it_does_not_do_is_refused(model: Path) -> None:
    denoiser = ExportedDenoiser(model)
    with pytest.raises(ImageError, match="a tensor is for PyTorch"):
        denoiser(torch.rand(3, 45, 70))
    with pytest.raises(ConfigError, match="self_ensemble is for PyTorch"):
        denoiser(picture(45, 70, 3), self_ensemble=True)
    with pytest.raises(ConfigError, match=r"border is 0, and that of .* is 16"):
        ExportedDenoiser(model, border=0)
    with pytest.raises(ConfigError, match="tile is 3, and must be at least 4"):
        ExportedDenoiser(model, tile=3)


def test_other_files_are_named(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    with pytest.raises(WeightsError, match="no such file"):
        ExportedDenoiser(path)
    path.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="no model for ONNX Runtime"):
        ExportedDenoiser(path)
    other = onnx.load(model)
    for change in ("size_multiple", "residual", "all"):
        if change == "all":  # as of another program
            del other.metadata_props[:]
        elif change == "residual":  # as of an older export
            del other.graph.output[1]
        else:
            next(one for one in other.metadata_props if one.key == change).value = "0"
        onnx.save(other, path)
        with pytest.raises(WeightsError, match="not a denoiser as `danet export` writes it"):
            ExportedDenoiser(path)


def test_a_package_that_is_missing_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"pip install 'danet\[light\]'"):
        ExportedDenoiser(model)


def without_torch(*arguments: str, given: bytes | None = None) -> tuple[int, bytes, list[str]]:
    """Exit status, standard output, and the lines of standard error without the report."""
    command = [sys.executable, "-c", WITHOUT, *arguments]
    run = subprocess.run(command, input=given, capture_output=True, check=False)
    *lines, report = run.stderr.decode().splitlines()
    modules = json.loads(report)
    assert "onnxruntime" in modules
    assert not {"torch", "danet.pretrained.denoiser"} & set(modules)
    return run.returncode, run.stdout, lines


def test_files_in_a_process_without_torch(denoiser: Denoiser, model: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    rgb = Image.fromarray(picture(45, 70, 3, dtype=np.uint8))
    rgb.save(source / "a.jpg", exif=exif, icc_profile=b"profile", dpi=(300, 300))
    Image.fromarray(picture(45, 70, 4, dtype=np.uint8)).save(source / "alpha.png")
    Image.fromarray(picture(45, 70, dtype=np.uint16)).save(source / "deep.png")
    np.save(source / "floats.npy", picture(45, 70, 3))
    os.utime(source / "a.jpg", (1000, 1000))
    words = ["--weights", str(model), "--preserve-times", "--jobs", "2", "--chroma", "1.5"]
    status, _, lines = without_torch("denoise", str(source), "-o", str(target), *words)
    assert (status, lines) == (0, ["danet: 4 done, 0 skipped, 0 failed"])
    assert (target / "a.jpg").stat().st_mtime == 1000
    for path in sorted(source.iterdir()):
        expected = tmp_path / path.name
        denoiser.denoise_file(path, expected, strength=(1, 1.5))
        if path.suffix == ".npy":
            assert_same(np.load(target / path.name), np.load(expected))
            continue
        with Image.open(target / path.name) as found, Image.open(expected) as right:
            assert found.info == right.info
            assert_same(np.asarray(found), np.asarray(right))


def test_standard_streams_in_a_process_without_torch(denoiser: Denoiser, model: Path) -> None:
    image = Image.fromarray(picture(45, 70, 3, dtype=np.uint8))
    given = io.BytesIO()
    image.save(given, "PNG")
    words = ["-", "-o", "-", "--runtime", "onnxruntime", "--weights", str(model), "--tile", "32"]
    status, out, lines = without_torch("denoise", *words, given=given.getvalue())
    assert (status, lines) == (0, [])
    assert_same(np.asarray(Image.open(io.BytesIO(out))), np.asarray(denoiser(image)))


@pytest.mark.parametrize(
    "words",
    [
        ["--burst"],
        ["--report", "pages"],
        ["--self-ensemble"],
        ["--device", "cuda"],
        ["--devices", "cpu,cpu"],
        ["--dtype", "bfloat16"],
    ],
)
def test_options_that_need_torch_are_refused(
    words: list[str], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "noisy.png"
    Image.fromarray(picture(45, 70, 3, dtype=np.uint8)).save(path)
    command = ["denoise", str(path), "-o", str(tmp_path / "clean.png"), "--weights", str(model)]
    assert main([*command, *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"danet: error: {words[0]}")
    assert line.endswith("needs PyTorch, and the runtime is 'onnxruntime'")
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_model_goes_with_no_other_runtime(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["denoise", "a.png", "-o", "b.png", "--weights", str(model), "--runtime", "torch"]
    assert main(command) == 2
    assert "a model for ONNX Runtime alone" in capsys.readouterr().err


@pytest.fixture
def made(model: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What PyTorch was asked to make; the model that it makes is always the same."""
    paths: list[Path] = []

    def export(_: Denoiser, path: Path) -> None:
        paths.append(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.read_bytes())

    monkeypatch.setattr(Denoiser, "export", export)
    return paths


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def forget_the_sum(path: Path) -> None:
    (path.parent / "SHA256SUMS").unlink()


@pytest.mark.parametrize("spoil", [damage, cut, forget_the_sum, Path.unlink])
def test_the_model_of_a_name_is_made_once_and_again_when_it_is_damaged(
    spoil: Callable[[Path], None], made: list[Path], tiny_weights: Path, model: Path, tmp_path: Path
) -> None:
    options = FetchOptions(cache_dir=tmp_path)
    path = model_of(tiny_weights, None, options)
    assert model_of(tiny_weights, 16, options) == path
    assert made == [path]
    spoil(path)
    assert model_of(tiny_weights, None, options) == path
    assert path.read_bytes() == model.read_bytes()
    assert made == [path, path]


def test_the_model_is_another_for_other_weights_and_borders(
    made: list[Path], tiny_weights: Path, tmp_path: Path
) -> None:
    options = FetchOptions(cache_dir=tmp_path / "cache")
    other = tmp_path / "other"
    Denoiser(build("denoiser", "unet", 2, 3)).save_pretrained(other)
    file = other / "model.safetensors"
    for weights, border in ((tiny_weights, None), (tiny_weights, 0), (other, None), (file, None)):
        model_of(weights, border, options)
    assert len(set(made)) == 4
    Denoiser(build("denoiser", "unet", 2, 3)).save_pretrained(other)  # new random weights
    model_of(other, None, options)
    assert len(set(made)) == 5


def test_a_name_is_read_without_torch(
    made: list[Path],
    denoiser: Denoiser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights, noisy = tmp_path / "weights", tmp_path / "noisy.png"
    image = picture(45, 70, 3, dtype=np.uint8)
    Image.fromarray(image).save(noisy)
    denoiser.save_pretrained(weights)
    model_of(weights, None, FetchOptions(cache_dir=tmp_path / "assets"))
    assert len(made) == 1
    monkeypatch.setenv("HF_ASSETS_CACHE", str(tmp_path / "assets"))
    words = ["--runtime", "onnxruntime", "--weights", str(weights)]
    clean = tmp_path / "clean.png"
    assert without_torch("denoise", str(noisy), "-o", str(clean), *words)[0] == 0
    assert_same(np.asarray(Image.open(clean)), denoiser(image))


@pytest.mark.slow  # it exports photo-fast
def test_a_name_is_made_by_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ASSETS_CACHE", str(tmp_path / "assets"))
    noisy, image = tmp_path / "noisy.png", picture(45, 70, 3, dtype=np.uint8)
    Image.fromarray(image).save(noisy)
    words = ["denoise", str(noisy), "--runtime", "onnxruntime", "--weights", "photo-fast"]
    making = [sys.executable, "-m", "danet", *words, "-o", str(tmp_path / "first.png")]
    subprocess.run(making, check=True)
    assert without_torch(*words, "-o", str(tmp_path / "second.png"))[0] == 0
    right = Denoiser("photo-fast", device="cpu", dtype="float32")(image)
    for name in ("first.png", "second.png"):
        assert_same(np.asarray(Image.open(tmp_path / name)), right)


def test_without_torch_a_name_says_what_to_do(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "danet.pretrained.denoiser", None)
    with pytest.raises(ConfigError, match="take a model that `danet export` wrote elsewhere"):
        model_of(tiny_weights, None, FetchOptions(cache_dir=tmp_path))


def test_weights_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"model\.safetensors: cannot be read"):
        exported_module.model_of(tmp_path, None, FetchOptions(cache_dir=tmp_path))
