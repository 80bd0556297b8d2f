"""A server on loopback, and a machine that knows no other and has an empty cache."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from danet.weights import authors, catalogue
from danet.weights.sums import git_blob_id
from tests.weights.server import Server


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of the Hub's client."""
    from huggingface_hub import constants

    home = tmp_path / "home"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(home / "assets"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    for name in ("DANET_WEIGHTS_ORG", "HF_TOKEN", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def server(
    cache: Path, golden_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """A server that has the authors' files, of width 2, and is the Hub."""
    from huggingface_hub import close_session, constants

    joint, alone = (golden_folder / f"{name}_checkpoint.pt" for name in ("joint", "denoiser"))
    content = {
        name: (alone if "Plus" in name else joint).read_bytes() for name in catalogue.AUTHORS_FILES
    }
    blobs = {
        name: git_blob_id(alone if "Plus" in name else joint) for name in catalogue.AUTHORS_FILES
    }
    monkeypatch.setattr(authors, "AUTHORS_FILES", blobs)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with Server() as running:
        running.files = {f"/model_states/{name}": value for name, value in content.items()}
        monkeypatch.setenv("DANET_WEIGHTS_URL", f"{running.address}/model_states/")
        monkeypatch.setattr(constants, "ENDPOINT", running.address)
        template = f"{running.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
        yield running
    close_session()


@pytest.fixture
def folder(tmp_path: Path, tiny_weights: Path) -> Path:
    """A denoiser's folder that a test may change."""
    return shutil.copytree(tiny_weights / "denoiser", tmp_path / "denoiser")
