"""The examples with other people's tools, each with the real one; docs/tools.md is their page."""

from __future__ import annotations

import functools
import runpy
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from danet import Denoiser, NoiseGenerator
from danet.cli import main

EXAMPLES = Path(__file__).parents[1] / "examples"
WEIGHTS = Path(__file__).parents[1] / "src" / "danet" / "weights_data"

pytestmark = pytest.mark.slow


def run(script: str, *arguments: Path | str) -> str:
    command = [sys.executable, EXAMPLES / script, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def table(script: str, *arguments: Path | str) -> list[list[str]]:
    """The cells of the table that an example prints."""
    lines = run(script, *arguments).splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]


@pytest.fixture
def astronaut() -> np.ndarray[Any, np.dtype[np.uint8]]:
    picture: np.ndarray[Any, np.dtype[np.uint8]]
    picture = pytest.importorskip("skimage.data").astronaut()[:256, 100:356]
    return picture


def test_deepinv_deblurs(tmp_path: Path) -> None:
    pytest.importorskip("deepinv")
    _, _, *rows = table("deepinv_deblur.py", tmp_path)
    found = {name: float(score) for name, score in rows}
    assert found["HQS, 8 steps of size 10"] == max(found.values()) > found["blurred"] + 3
    with Image.open(tmp_path / "restored.png") as picture:
        assert picture.size == (256, 256)


def test_datasets_maps_pictures(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "pictures"
    folder.mkdir()
    with Image.open(EXAMPLES / "noisy.png") as picture:
        for number, size in enumerate([(96, 64), (64, 96), (96, 64)]):
            picture.crop((0, 0, *size)).save(folder / f"{number}.png")
    run("datasets_map.py", folder, tmp_path / "made")
    made = datasets.load_from_disk(tmp_path / "made")
    denoiser = Denoiser()
    for row in made:
        expected = np.asarray(denoiser(row["image"])).astype(int)
        # The example computes in the processor's own short type.
        assert abs(np.asarray(row["denoised"]) - expected).max() <= 3

    # Its cache tells denoisers apart, and knows one again.
    def mapped(weights: str) -> Any:
        used = Denoiser(weights)
        return made.map(lambda row: {"denoised": used(row["image"])})

    first, again, other = (mapped(name) for name in ("photo-fast", "photo-fast", "photo"))
    assert first._fingerprint == again._fingerprint
    assert first._fingerprint != other._fingerprint


def test_scikit_image_chooses_the_strength_for_white_noise() -> None:
    pytest.importorskip("skimage")
    heads, _, *rows = table("skimage_calibrate.py")
    assert heads[:3] == ["noise", "chosen", "PSNR"]
    for name, _, chosen, _, best, returned, automatic in rows:
        assert float(returned) < float(chosen)
        if name.startswith("white"):
            assert float(chosen) > float(best) - 0.1
        assert float(automatic) > float(best) - 0.5


@pytest.mark.parametrize("name", ["photo", "photo-fast"])
def test_spandrel_opens_the_weights(name: str, tmp_path: Path) -> None:
    spandrel = pytest.importorskip("spandrel")
    weights = WEIGHTS / name / "denoiser" / "model.safetensors"
    with pytest.raises(spandrel.UnsupportedModelError):
        spandrel.ModelLoader().load_from_file(weights)
    run("spandrel_danet.py", weights, EXAMPLES / "noisy.png", tmp_path / "clean.png")
    with Image.open(tmp_path / "clean.png") as clean, Image.open(EXAMPLES / "noisy.png") as noisy:
        # spandrel pads to the multiple, and mirrors no border.
        expected = np.asarray(Denoiser(name, border=0, dtype="float32")(noisy)).astype(int)
        assert abs(np.asarray(clean) - expected).max() <= 1


def test_comfyui_opens_the_weights_with_the_example_as_a_custom_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The steps of its nodes; the page says what was run in the program itself."""
    spandrel = pytest.importorskip("spandrel")
    monkeypatch.setattr(spandrel, "MAIN_REGISTRY", spandrel.ArchRegistry())
    node = runpy.run_path(str(EXAMPLES / "spandrel_danet.py"))
    assert node["NODE_CLASS_MAPPINGS"] == {}
    weights = load_file(WEIGHTS / "photo-fast" / "denoiser" / "model.safetensors")
    model = spandrel.ModelLoader(registry=spandrel.MAIN_REGISTRY).load_from_state_dict(weights)
    assert isinstance(model, spandrel.ImageModelDescriptor)
    assert model.scale == 1


def test_openvino_reads_the_exported_model(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    pytest.importorskip("onnxscript")
    assert main(["export", "photo", "-o", str(tmp_path / "photo.onnx")]) == 0
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(tmp_path / "photo.onnx", "CPU", settings)
    denoiser = Denoiser(dtype="float32", runtime="torch")
    with Image.open(EXAMPLES / "noisy.png") as picture:
        noisy = np.asarray(picture, np.float32) / 255
    for part in (noisy[:1, :1], noisy[:45, :70], noisy[:64, :131]):
        made = model(part.transpose(2, 0, 1)[None])[0]
        assert abs(made[0].transpose(1, 2, 0) - denoiser(part)).max() < 1e-5


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    """examples/web in Debian's Chromium, with onnxruntime-web of npm, served by this process."""
    playwright = pytest.importorskip("playwright.sync_api")
    npm, chromium = shutil.which("npm"), shutil.which("chromium")
    if npm is None or chromium is None:
        pytest.skip("npm or chromium is not installed")
    pytest.importorskip("onnxscript")
    folder = tmp_path / "web"
    shutil.copytree(EXAMPLES / "web", folder, ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
    assert main(["export", "photo-fast", "-o", str(folder / "denoiser.onnx")]) == 0
    handler = functools.partial(Quiet, directory=folder)
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        playwright.sync_playwright() as started,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.set_default_timeout(120_000)
        opened.goto(f"http://127.0.0.1:{server.server_port}/")
        yield opened
        browser.close()
        server.shutdown()


def test_a_browser_denoises(
    page: Any, tmp_path: Path, astronaut: np.ndarray[Any, np.dtype[np.uint8]]
) -> None:
    noisy = NoiseGenerator().sample(astronaut, n=1, seed=1, level=0.03)[0]
    Image.fromarray(noisy).save(tmp_path / "noisy.png")
    page.wait_for_selector("text=Ready.")
    page.set_input_files("#file", tmp_path / "noisy.png")
    page.wait_for_selector("text=Denoised 256 x 256 pixels")
    with page.expect_download() as saved:
        page.click("#save")
    saved.value.save_as(tmp_path / "clean.png")
    with Image.open(tmp_path / "clean.png") as picture:
        clean = np.asarray(picture.convert("RGB")).astype(int)
    denoiser = Denoiser("photo-fast", dtype="float32")
    assert abs(clean - denoiser(noisy)).max() <= 1

    halo, multiple = map(int, (denoiser.network.halo or 0, denoiser.network.size_multiple))
    module = (EXAMPLES / "web" / "denoise.js").read_text()
    assert f"SIZE_MULTIPLE = {multiple};" in module
    assert f"HALO = {halo};" in module
    # The picture as a whole and in tiles.
    worst = page.evaluate(
        """async () => {
            const { denoise, loadDenoiser } = await import("./denoise.js");
            const session = await loadDenoiser("denoiser.onnx");
            document.getElementById("before").click();
            const canvas = document.getElementById("canvas");
            const noisy = canvas.getContext("2d").getImageData(0, 0, 256, 256);
            const whole = await denoise(session, noisy, { tile: 256 });
            const tiles = await denoise(session, noisy, { tile: 48 });
            const differences = whole.data.map((value, at) => Math.abs(value - tiles.data[at]));
            return differences.reduce((one, other) => Math.max(one, other));
        }"""
    )
    assert worst <= 1

    page.set_input_files("#file", EXAMPLES / "my_camera.toml")
    page.wait_for_selector("text=This picture cannot be denoised")
