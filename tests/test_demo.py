"""The demo, used in a browser as a stranger does."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from danet import Denoiser, demo
from danet.cli import main
from danet.networks import build

CHROMIUM = shutil.which("chromium")
# Notes every connection that the server's own program opens.
WATCHED = """
import os, sys
def note(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        os.write(notes, (arguments[1][0] + " ").encode())
notes = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
sys.addaudithook(note)
from danet.cli import main
sys.exit(main(sys.argv[1:]))
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    pytest.importorskip("gradio")
    port = free_port()
    command = [sys.executable, "-c", WATCHED, "demo", "--port", str(port)]
    (tmp_path / "scratch").mkdir()
    places = {"TMPDIR": str(tmp_path / "scratch"), "NOTES": str(tmp_path / "notes")}
    with subprocess.Popen(
        command,
        env=os.environ | places,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == f"http://127.0.0.1:{port}/ until Ctrl-C\n"
            yield port, process
        finally:
            process.kill()


@contextlib.contextmanager
def opened(port: int, width: int, height: int) -> Iterator[tuple[Any, list[str]]]:
    """The page in a browser, and the addresses elsewhere that it asks for."""
    api = pytest.importorskip("playwright.sync_api")
    elsewhere: list[str] = []

    def note(request: Any) -> None:
        if not request.url.startswith((f"http://127.0.0.1:{port}/", "data:", "blob:")):
            elsewhere.append(request.url)

    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("request", note)
        page.goto(f"http://127.0.0.1:{port}/", wait_until="networkidle")
        yield page, elsewhere
        browser.close()


def work(page: Any, verb: str, path: Path) -> Any:
    """Drop a file in the tab of a name, and press its button; gives the tab."""
    api = pytest.importorskip("playwright.sync_api")
    page.get_by_role("tab", name=verb).click()
    tab = page.get_by_role("tabpanel").filter(visible=True)
    # On a busy machine the place to drop is there before it listens.  It goes when it has a file.
    place, shown = tab.locator("input[type=file]"), tab.get_by_text(path.name).first
    place.or_(shown).first.wait_for(state="attached")
    for wait in (2, 4, 8, 16):
        if place.count():
            place.set_input_files(path)
        with contextlib.suppress(api.TimeoutError):
            shown.wait_for(timeout=1000 * wait)
            break
    tab.get_by_role("button", name=verb).click()
    return tab


def result(page: Any, tab: Any, name: str) -> Image.Image:
    """What can be downloaded, once it is shown."""
    tab.frame_locator("iframe").get_by_text(f"after: {name}").wait_for()
    with page.expect_download() as given:
        tab.get_by_role("button", name="Download").click()
    assert given.value.suggested_filename == name
    return Image.open(given.value.path())


def test_without_gradio_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["demo"]) == 2
    assert "the demo needs gradio: pip install 'danet[demo]'" in capsys.readouterr().err


def test_the_work_of_both_tabs(tmp_path: Path) -> None:
    path = tmp_path / "a & b.jpg"
    Image.fromarray(np.random.default_rng(0).integers(90, 130, (40, 50, 3), np.uint8)).save(path)
    shown, clean = demo._denoised(path, "photo-fast", 0.5, 1.0)
    expected = tmp_path / "expected.jpg"
    Denoiser("photo-fast").denoise_file(path, expected, strength=(0.5, 1.0))
    assert Path(clean).name == "a & b_clean.jpg"
    assert Path(clean).read_bytes() == expected.read_bytes()
    assert "a &amp;amp; b_clean.jpg" in shown  # once for the page, and once for its frame
    _, first = demo._noisy(path, "photo", 5.0, 1)
    _, again = demo._noisy(path, "photo", 5.0, 1)
    _, other = demo._noisy(path, "photo", 5.0, 2)
    assert Path(first).name == "a & b_noisy.png"
    assert Path(first).read_bytes() == Path(again).read_bytes() != Path(other).read_bytes()


def test_weights_are_offered_where_they_serve_and_the_shipped_ones_first(tmp_path: Path) -> None:
    Denoiser(build("denoiser", "unet", 2, 2)).save_pretrained(tmp_path / "mine")
    mine = str(tmp_path / "mine")
    assert demo._choices("denoiser", [mine, "sidd-danet"])[:2] == ["photo", "photo-fast"]
    assert {mine, "sidd-danet"} <= set(demo._choices("denoiser", [mine, "sidd-danet"]))
    assert mine not in demo._choices("generator", [mine])


def test_weights_that_are_none_are_refused_before_anything_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--weights", "nonsense"]) == 2
    assert "there are no weights called 'nonsense'" in capsys.readouterr().err
    assert main(["demo", "--weights", str(tmp_path)]) == 2
    assert "holds neither a denoiser nor a generator" in capsys.readouterr().err


def test_a_picture_too_large_to_show_is_still_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_MOST_PIXELS", 1000)
    Image.new("L", (50, 40), 100).save(tmp_path / "a.png")
    shown, result = demo._denoised(tmp_path / "a.png", "photo-fast", 1.0, 1.0)
    assert "too large to be shown" in shown
    assert Path(result).exists()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_noise_is_removed_and_made_in_a_browser(
    server: tuple[int, subprocess.Popen[str]], tmp_path: Path, width: int, height: int
) -> None:
    port, process = server
    noisy, bad = tmp_path / "a noisy one.png", tmp_path / "bad.png"
    with Image.open(Path(__file__).parents[1] / "examples" / "noisy.png") as picture:
        picture.crop((0, 0, 96, 64)).save(noisy)
    bad.write_bytes(b"bad")
    with opened(port, width, height) as (page, elsewhere):
        tab = work(page, "Remove noise", noisy)
        with result(page, tab, "a noisy one_clean.png") as clean, Image.open(noisy) as given:
            expected = Denoiser(device="cpu")(np.asarray(given))
            difference = np.asarray(clean).astype(int) - expected
            assert np.abs(difference).mean() < 0.5  # the server may compute in bfloat16
            assert np.abs(np.asarray(given).astype(int) - expected).mean() > 1
        page.screenshot(path=tmp_path / "page.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        tab = work(page, "Make noise", noisy)
        with result(page, tab, "a noisy one_noisy.png") as made, Image.open(noisy) as given:
            assert 2 < (np.asarray(made).astype(float) - np.asarray(given)).std() < 9
        page.reload(wait_until="networkidle")
        work(page, "Remove noise", bad)
        page.get_by_text("bad.png: not a picture of a known format").wait_for()
        assert elsewhere == []
    with Image.open(tmp_path / "page.png") as photograph:
        assert photograph.size == (width, height)
        assert len(photograph.convert("RGB").getcolors(2**20) or []) > 100  # the picture is seen
    with pytest.raises(ConnectionRefusedError):  # which a server for all would answer
        socket.create_connection(("127.0.0.2", port), timeout=5)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert output == ""
    assert set((tmp_path / "notes").read_text().split()) == {"127.0.0.1"}
    assert list((tmp_path / "scratch").iterdir()) == []
