"""The code blocks of the documents run, each page in a folder of its own.

A comment of HTML before a block says why it is not run, or only among the slow tests:
``<!-- not run: REASON -->``, ``<!-- slow: REASON -->``, or only where a package is installed:
``<!-- needs: PACKAGE -->``.  ``.ci/run`` runs ``<!-- ci: NAME -->``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import metadata
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

import danet
import danet.train
from danet.cli import main
from danet.images import process_file
from danet.train import TrainConfig
from tests.images.dng import write_dng
from tests.video.clips import scenery, write_clip

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix() for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
)
BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>ci|needs|not run|slow): (?P<about>[^\n]+) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
# In place of the programs that the pages call: the shell reads the line, and this notes its words.
NOTE = '#!/bin/sh\nprintf "%s\\n" "$(basename "$0")" "$@" "" >>"$NOTES"\n'


LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


class Block(NamedTuple):
    """A code block of a page: its mark, what follows it, its line, its language, its text."""

    mark: str
    about: str
    line: int
    language: str
    code: str


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = list(BLOCK.finditer(text))
    assert len(re.findall("^ *```", text, re.MULTILINE)) == 2 * len(found)
    return [
        Block(
            match["mark"] or "",
            match["about"] or "",
            text[: match.start("code")].count("\n"),
            match["language"],
            dedent(match["code"]),
        )
        for match in found
    ]


def save_pairs(folder: Path, noisy: str, clean: str, count: int = 1, side: int = 64) -> None:
    """Pairs in files of the given names, in which ``{}`` is the number of the pair."""
    coarse = np.random.default_rng(0).integers(60, 180, (side // 8, side // 8, 3), dtype=np.uint8)
    smooth = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    for number in range(count):
        grain = np.random.default_rng(number + 1).normal(0, 4, (side, side, 3))
        shown = Image.fromarray(np.clip(np.asarray(smooth) + grain, 0, 255).astype(np.uint8))
        for name, picture in ((noisy, shown), (clean, smooth)):
            path = folder / name.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)


def save_samples(folder: Path) -> None:
    """The files that the pages speak of, as small as may be."""
    save_pairs(folder, "photo.jpg", "clean.png")
    for name in ("holiday", "more", "more/clean/pictures", "photos"):
        save_pairs(folder / name, f"{Path(name).name}.jpg", "clean.png")
    with Image.open(folder / "photo.jpg") as picture:
        picture.save(folder / "big.tif")
        for name in "abc":
            picture.save(folder / f"{name}.jpg")
        np.save(folder / "noisy.npy", np.asarray(picture))
        np.save(folder / "render.npy", np.asarray(picture, np.float32) / 64)
    process_file(folder / "render.npy", folder / "render.exr", lambda pixels: pixels)
    write_dng(folder / "shot.nef")  # DNG all the same
    write_clip(folder / "clip.mp4", scenery(count=3), sound="aac")
    for name in ("pairs", "my-pairs"):
        save_pairs(folder / name, "noisy/{}.png", "clean/{}.png", side=128)
    save_pairs(folder / "CC15", "{}_real.png", "{}_mean.png", 15)
    save_pairs(folder / "NAM25", "{}_real.png", "{}_mean.png", 25)
    for name in ("polyu", "POLYU"):
        save_pairs(folder / name / "full", "a_Real.JPG", "a_mean.JPG", side=256)
        save_pairs(folder / name / "crops", "a_1_real.JPG", "a_1_mean.JPG")
        files = {"crops": "a_1_real.JPG", "full": "a_Real.JPG", "clean_only": "a_mean.JPG"}
        split = {kind: {"train": [file], "val": [file]} for kind, file in files.items()}
        (folder / name / "split.json").write_text(json.dumps(split))
    blocks = np.random.default_rng(0).integers(0, 256, (1, 2, 32, 32, 3), dtype=np.uint8)
    (folder / "SIDD").mkdir()
    for name in ("ValidationNoisy", "ValidationGt", "BenchmarkNoisy"):
        savemat(folder / "SIDD" / f"{name}BlocksSrgb.mat", {f"{name}BlocksSrgb": blocks})
    (folder / "config.toml").write_text('output = "runs/own"\n[data]\nroot = "pairs"\n')
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copy(ROOT / "tests" / "golden" / "joint_checkpoint.pt", folder / "joint.pt")


def run_commands(code: str) -> None:
    """The lines of a shell: danet's commands run, and extras that are installed must exist."""
    for program in ("danet", "pip"):
        path = Path("bin", program)
        path.parent.mkdir(exist_ok=True)
        path.write_text(NOTE)
        path.chmod(0o755)
    notes = Path("notes")
    places = {"PATH": f"bin{os.pathsep}{os.environ['PATH']}", "NOTES": str(notes)}
    subprocess.run(["bash", "-euo", "pipefail", "-c", code], env=os.environ | places, check=True)
    for command in notes.read_text().split("\n\n")[:-1]:
        program, *words = command.split("\n")
        if program == "danet":
            assert main(words) == 0, words
        else:
            extras = re.findall(r"\[(.+?)\]", words[-1])
            assert set(extras) <= set(metadata("danet").get_all("Provides-Extra") or [])
    notes.unlink()


def run_page(page: str, *, slow: bool) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        if block.mark in ("ci", "not run") or (block.mark == "slow" and not slow):
            continue
        if block.mark == "needs" and find_spec(block.about) is None:
            continue
        match block.language:
            case "python":
                lines = "\n" * block.line + block.code  # so that errors name the page's line
                exec(compile(lines, page, "exec"), names)
            case "bash":
                run_commands(block.code)
            case "toml":
                Path("block.toml").write_text(block.code)
                assert main(["train", "block.toml"]) == 0
            case other:
                raise AssertionError(f"{page}:{block.line}: a block of {other!r} cannot be run")


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as the repository and the site have them."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md"])
def test_links_lead_to_files_and_headings(page: str) -> None:
    for path, anchor in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.is_file(), path
        assert not anchor or anchor in anchors(target), anchor


def test_the_site_has_every_page_and_package() -> None:
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    packages = {name for name in danet.__all__ if find_spec(f"danet.{name}")} - {"pretrained"}
    references = {f"reference/{name}.md" for name in packages}
    assert {page for page in pages | references if f": {page}\n" not in site} == set()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The samples, in the working directory, and trainings of two small updates."""
    train: Callable[[TrainConfig], Path] = danet.train.train

    def short(config: TrainConfig) -> Path:
        config = replace(config, updates=2, critic_updates=1, log_every=1, workers=0)
        config = replace(config, batch_size=1, extra_size=0, patch_size=16, critic_width=4)
        return train(config)

    for module in (danet.train, danet.train.loop):
        monkeypatch.setattr(module, "train", short)
    save_samples(tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_a_page_runs(page: str) -> None:
    run_page(page, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.mark == "slow" for block in blocks(page))]
)
def test_a_page_runs_with_its_slow_blocks(page: str) -> None:
    run_page(page, slow=True)
