"""A page on this machine to try danet on pictures of one's own, by Gradio."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Event
from typing import Any

from danet.errors import DanetError, WeightsError, one_line, require
from danet.images import RAW, write_image
from danet.networks import Kind
from danet.pages import Comparison, compare
from danet.pages.comparison import TooLargeError, read_shown
from danet.pretrained import Denoiser, NoiseGenerator
from danet.weights import CATALOGUE, KINDS, at_hand, find_if_there

__all__ = ["HOST", "launch"]

HOST = "127.0.0.1"

# A page of more takes long to reach the browser.
_MOST_PIXELS = 2**24
_SETTINGS: dict[str, Any] = {
    "share": False,
    "ssr_mode": False,
    "mcp_server": False,
    "footer_links": [],
    "prevent_thread_lock": True,
    "quiet": True,
}

# Takes a file and settings, and gives what is shown and the file to download.
_Work = Callable[..., tuple[str, str]]


def launch(
    weights: Sequence[str] = (), *, host: str = HOST, port: int | None = None, browser: bool = False
) -> None:
    """Serve the page until Ctrl-C is pressed, after printing its address.

    Pictures stay on this machine, in a folder that is gone at the end; nothing is fetched.

    Args:
        weights: names or paths to choose from, beside those of the catalogue that are here.
        host: the address to listen at; by default this machine alone reaches it.
        port: of it; None: the first that is free from 7860 on.
        browser: open the page in a browser.

    Raises:
        WeightsError: there are no weights of a name, or they hold no network.
        ConfigError: Gradio is not installed.
        DanetError: the port is taken, or the host is none of this machine.
    """
    choices = {kind: _choices(kind, weights) for kind in KINDS}
    for name in weights:
        if not any(name in offered for offered in choices.values()):
            raise WeightsError(f"{name}: holds neither a denoiser nor a generator")
    with tempfile.TemporaryDirectory() as folder:
        # They are read on import.
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder}
        gradio = require("gradio", "demo", "the demo")
        page = _page(gradio, choices)
        # Gradio's own theme fetches its fonts.
        theme = gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])
        try:
            _, address, _ = page.launch(
                server_name=host, server_port=port, inbrowser=browser, theme=theme, **_SETTINGS
            )
            print(f"{address} until Ctrl-C", flush=True)  # noqa: T201
            Event().wait()
        except OSError as error:
            raise DanetError(f"{host}: cannot be served: {one_line(error)}") from error
        finally:
            page.close(verbose=False)


def _page(gradio: Any, choices: Mapping[Kind, list[str]]) -> Any:
    with gradio.Blocks(title="danet", analytics_enabled=False) as page:
        with gradio.Tab("Remove noise"):
            settings = [
                gradio.Dropdown(choices["denoiser"], label="Weights", render=False),
                _slider(gradio, "Strength in the brightness", 0, 2, 0.05, 1),
                _slider(gradio, "Strength in the colours", 0, 2, 0.05, 1),
            ]
            _fill(gradio, "Remove noise", _denoised, settings)
        with gradio.Tab("Make noise"):
            settings = [
                gradio.Dropdown(choices["generator"], label="Weights", render=False),
                _slider(gradio, "Level, where white is 255", 0.5, 16, 0.5, 5),
                gradio.Number(1, precision=0, minimum=0, label="Seed", render=False),
            ]
            _fill(gradio, "Make noise", _noisy, settings)
    return page


def _slider(gradio: Any, label: str, least: float, most: float, step: float, value: float) -> Any:
    return gradio.Slider(least, most, value, step=step, label=label, render=False)


def _fill(gradio: Any, verb: str, work: _Work, settings: Sequence[Any]) -> None:
    """Fill a tab: a place to drop a file, settings, a button, and what comes of it."""
    with gradio.Row():
        with gradio.Column(scale=1):
            file = gradio.File(label="Picture", type="filepath")
            for setting in settings:
                setting.render()
            button = gradio.Button(verb, variant="primary")
            download = gradio.DownloadButton("Download", interactive=False)
        with gradio.Column(scale=3):
            shown = gradio.HTML()

    def answer(path: str | None, *values: Any) -> tuple[str, Any]:
        if path is None:
            raise gradio.Error("drop a picture first", print_exception=False)
        try:
            text, result = work(Path(path), *values)
        except (DanetError, OSError, MemoryError, RuntimeError) as error:
            reason = one_line(error).replace(path, Path(path).name)
            raise gradio.Error(reason, print_exception=False) from error
        return text, gradio.DownloadButton("Download", value=result, interactive=True)

    button.click(answer, [file, *settings], [shown, download], api_visibility="private")


def _choices(kind: Kind, weights: Sequence[str]) -> list[str]:
    """What is here, and those of the weights that have such a network; the shipped ones first.

    Raises:
        WeightsError: there are no weights of a name.
    """
    here = [name for name in CATALOGUE if kind in at_hand(name)]
    asked = [name for name in weights if _has(name, kind)]
    return sorted({*here, *asked}, key=lambda name: (not name.startswith("photo"), name))


def _has(name: str, kind: Kind) -> bool:
    entry = CATALOGUE.get(name)
    return find_if_there(name, kind) is not None if entry is None else kind in entry.kinds


@lru_cache(maxsize=2)
def _denoiser(weights: str) -> Denoiser:
    return Denoiser.from_pretrained(weights)


@lru_cache(maxsize=2)
def _generator(weights: str) -> NoiseGenerator:
    return NoiseGenerator.from_pretrained(weights)


def _denoised(path: Path, weights: str, luma: float, chroma: float) -> tuple[str, str]:
    suffix = ".tif" if path.suffix.lower() in RAW else path.suffix
    result = Path(tempfile.mkdtemp(dir=path.parent), f"{path.stem}_clean{suffix}")
    _denoiser(weights).denoise_file(path, result, strength=(luma, chroma))
    return _shown(path, result), str(result)


def _noisy(path: Path, weights: str, level: float, seed: int) -> tuple[str, str]:
    generator = _generator(weights)
    chosen = level / 255 if generator.network.levels else None
    noisy = generator.sample(read_shown(path), n=1, seed=seed, level=chosen)[0]
    result = Path(tempfile.mkdtemp(dir=path.parent), f"{path.stem}_noisy.png")
    write_image(noisy, result)
    return _shown(path, result), str(result)


def _shown(before: Path, after: Path) -> str:
    try:
        pictures = [read_shown(path, most=_MOST_PIXELS) for path in (before, after)]
    except TooLargeError:
        return "<p>The picture is done, and too large to be shown here: download it.</p>"
    shown: Comparison = compare(*pictures, names=(before.name, after.name))
    return shown._repr_html_()
