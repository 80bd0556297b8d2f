"""Many pictures by workers of Ray."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from danet.errors import ConfigError, DanetError, DataError, WeightsError
from danet.images import read_pixels
from danet.networks import build
from danet.pretrained import Denoiser

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")

from danet.scale import denoise_all, denoising  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
EXACT: Any = {"dtype": "float32", "device": "cpu"}


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # The GPUs are numbers that Ray gives out; nothing computes on them.
    quiet: Any = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
    ray.init(num_cpus=2, num_gpus=2, **quiet)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    Denoiser(build("denoiser", "unet", width=4, depth=3)).save_pretrained(folder)
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(12):
        pixels = rng.integers(0, 256, (40, 50 + number % 3, 3), dtype=np.uint8)
        place = folder if number % 2 else folder / "more"
        Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


def files(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.startswith("manifest"))


def test_a_folder_comes_out_as_from_one_process_and_is_not_done_again(
    pictures: Path, weights: Path, tmp_path: Path
) -> None:
    (pictures / "broken.png").write_bytes(b"no picture")
    output = tmp_path / "out"
    settings: Any = {"weights": str(weights), "workers": 2, "batch": 3, "settings": EXACT}
    found = denoise_all(pictures, output, **settings)
    assert found.done == 12
    assert ray.data.DataContext.get_current().max_errored_blocks == 0  # as it was
    assert list(found.failed) == ["broken.png"]
    assert "broken.png" in found.failed["broken.png"]
    denoiser = Denoiser(weights, **EXACT)
    assert files(output) == [name for name in files(pictures) if name != "broken.png"]
    for name in files(output):
        assert np.array_equal(read_pixels(output / name), denoiser(read_pixels(pictures / name)))
    times = {name: (output / name).stat().st_mtime_ns for name in files(output)}
    with found.manifest.open("a") as file:
        file.write('{"name": "cut')
    Image.new("RGB", (40, 40)).save(pictures / "broken.png")
    found = denoise_all(pictures, output, **settings)
    assert (found.done, found.failed) == (13, {})
    assert all((output / name).stat().st_mtime_ns == then for name, then in times.items())
    assert len(found.manifest.read_text().splitlines()) == 14


def test_a_worker_that_is_killed_loses_no_picture(
    pictures: Path, weights: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    killed = []

    def kill() -> None:
        manifest = output / "manifest.jsonl"
        while not (manifest.exists() and manifest.read_bytes()):
            time.sleep(0.01)
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            command = process.read_bytes()
            if command.startswith(b"ray::") and b"_Worker" in command:
                killed.append(command)
                os.kill(int(process.parent.name), signal.SIGKILL)
                return

    killer = threading.Thread(target=kill)
    killer.start()
    found = denoise_all(pictures, output, weights=str(weights), batch=1, settings=EXACT)
    killer.join()
    assert killed
    assert (found.done, found.failed) == (12, {})
    assert files(output) == files(pictures)


def test_a_picture_that_kills_its_worker_has_three_tries_and_ends_no_other(
    pictures: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = tmp_path / "tries"

    class Dying(denoising._Worker):
        def _denoise(self, name: str, *rest: Any) -> None:
            if name == "3.png":
                with tries.open("a") as file:
                    file.write(".")
                os._exit(1)
            super()._denoise(name, *rest)

    monkeypatch.setattr(denoising, "_Worker", Dying)
    settings: Any = {"weights": str(weights), "batch": 1, "settings": EXACT}
    found = denoise_all(pictures, tmp_path / "out", **settings)
    assert found.done == 11
    assert list(found.failed) == ["3.png"]
    assert "the worker died 3 times" in found.failed["3.png"]
    assert tries.read_text() == "..."


def test_each_worker_has_a_gpu_of_its_own(
    pictures: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Seeing(denoising._Worker):
        def _denoise(self, name: str, *rest: Any) -> None:
            super()._denoise(name, *rest)
            (tmp_path / "seen").mkdir(exist_ok=True)
            (tmp_path / "seen" / str(os.getpid())).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
            time.sleep(0.5)  # so that one does not do the work of both

    monkeypatch.setattr(denoising, "_Worker", Seeing)
    settings: Any = {"weights": str(weights), "workers": 2, "batch": 1, "settings": EXACT}
    found = denoise_all(pictures, tmp_path / "out", gpus=1, **settings)
    assert (found.done, found.failed) == (12, {})
    assert sorted(path.read_text() for path in (tmp_path / "seen").iterdir()) == ["0", "1"]


def test_workers_compute_on_what_they_were_given() -> None:
    placed = denoising._placed
    assert placed({"tile": 64}, 0) == {"tile": 64, "devices": "cpu"}
    assert placed({}, 0.25) == placed({}, 1) == {"devices": "cuda:0"}
    assert placed({}, 2) == {"devices": "cuda:0,cuda:1"}
    assert placed(EXACT, 1) == EXACT


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_workers_without_the_gpu_that_they_were_given_say_so(
    pictures: Path, weights: Path, tmp_path: Path
) -> None:
    with pytest.raises(DanetError, match=r"cannot start: .*'cuda:0' cannot be used"):
        denoise_all(pictures, tmp_path / "out", weights=str(weights), gpus=1)


def test_a_huge_array_is_shared_by_the_workers_and_is_as_in_one_piece(
    weights: Path, tmp_path: Path
) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    pixels = np.random.default_rng(0).random((900, 60, 3), dtype=np.float32)
    np.save(folder / "huge.npy", pixels)
    settings: Any = {"weights": str(weights), "workers": 2, "batch": 1, "piece": 256 * 60}
    found = denoise_all(folder, output, **settings, settings=EXACT)
    rows = [json.loads(line) for line in found.manifest.read_text().splitlines()]
    assert sorted(row["band"] for row in rows) == [
        [0, 0],
        [0, 256],
        [256, 512],
        [512, 768],
        [768, 900],
    ]
    assert (found.done, found.failed) == (1, {})
    assert files(output) == ["huge.npy"]
    whole = Denoiser(weights, **EXACT)(pixels)
    np.testing.assert_allclose(np.load(output / "huge.npy"), whole, atol=2e-6)


def test_pictures_of_parquet_files(pictures: Path, weights: Path, tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    names = files(pictures)
    content = [(pictures / name).read_bytes() for name in names]
    table = arrow.table({"name": [*names, "../out"], "bytes": [*content, b""]})
    parquet.write_table(table, tmp_path / "pictures.parquet")
    output = tmp_path / "out"
    found = denoise_all(tmp_path / "pictures.parquet", output, weights=str(weights), settings=EXACT)
    assert found.done == 12
    assert found.failed == {"../out": "'../out' is no name of a picture"}
    assert files(output) == names
    denoiser = Denoiser(weights, **EXACT)
    first = read_pixels(pictures / names[0])
    assert np.array_equal(read_pixels(output / names[0]), denoiser(first))


def test_what_cannot_be_is_refused(pictures: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        denoise_all(tmp_path / "none", tmp_path / "out")
    for name in ("a.nef", "a.tif"):
        (pictures / name).touch()
    with pytest.raises(DataError, match=r"a\.nef and a\.tif have one result, a\.tif"):
        denoise_all(pictures, tmp_path / "out")
    with pytest.raises(DanetError, match="workers is 0"):
        denoise_all(pictures, tmp_path / "out", workers=0)
    too_much: Any = ({"gpus": 3}, {"cpus": 99})
    for asked in too_much:
        with pytest.raises(ConfigError, match=r"s is (3|99), and Ray has 2 .PUs on all machines"):
            denoise_all(pictures, tmp_path / "out", **asked)
    for wrong in (-1, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="from 0 to 1 or a whole number"):
            denoise_all(pictures, tmp_path / "out", gpus=wrong)
    with pytest.raises(WeightsError, match="nonsense"):
        denoise_all(pictures, tmp_path / "out", weights="nonsense")
    (tmp_path / "out" / "manifest.jsonl").write_text("no JSON\n")
    with pytest.raises(DataError, match=r"manifest\.jsonl: line 1 is damaged"):
        denoise_all(pictures, tmp_path / "out")
