"""Where weights are found."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from danet.errors import WeightsError
from danet.networks import build
from danet.weights import (
    CATALOGUE,
    KINDS,
    at_hand,
    find,
    find_if_there,
    load_network,
    names,
    save_network,
)
from danet.weights.catalogue import AUTHORS_FILES, AUTHORS_FOLDER
from danet.weights.sums import sha256_of


def test_the_catalogue_is_whole() -> None:
    assert names() == sorted(CATALOGUE)
    assert {"photo", "photo-fast", "sidd", "sidd-danet", "general", "general-plus-dnd"} < set(
        names()
    )
    for name, entry in CATALOGUE.items():
        for text in (entry.purpose, entry.data, entry.licence, entry.source, entry.results):
            assert text
            assert "\n" not in text
        assert list(entry.files or entry.sha256) == entry.kinds, name
        assert set(entry.files.values()) <= set(AUTHORS_FILES)
    assert re.search(r"/[0-9a-f]{40}/", AUTHORS_FOLDER)
    assert all(re.fullmatch(r"[0-9a-f]{40}", blob) for blob in AUTHORS_FILES.values())


def test_shipped_weights_are_those_of_the_catalogue() -> None:
    shipped = {name: entry for name, entry in CATALOGUE.items() if entry.shipped}
    assert {name: entry.kinds for name, entry in shipped.items()} == {
        "photo": list(KINDS),
        "photo-fast": ["denoiser"],
    }
    for name, entry in shipped.items():
        assert at_hand(name) == entry.kinds
        for kind in entry.kinds:
            assert sha256_of(find(name, kind) / "model.safetensors") == entry.sha256[kind]


def test_a_network_that_a_shipped_name_has_not() -> None:
    assert find_if_there("photo-fast", "generator") is None
    with pytest.raises(WeightsError, match="photo-fast: holds neither config"):
        find("photo-fast", "generator")


def test_folders_and_files(tiny_weights: Path) -> None:
    denoiser = tiny_weights / "denoiser"
    model = denoiser / "model.safetensors"
    assert find(tiny_weights, "denoiser") == denoiser
    assert find(str(tiny_weights), "generator") == tiny_weights / "generator"
    assert find(denoiser, "denoiser") == denoiser
    assert find(model, "denoiser") == model


def test_a_name_comes_before_a_folder(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_weights, "photo")
    assert find("photo", "denoiser") == find("photo", "generator").parent / "denoiser"
    assert find("photo", "denoiser").is_relative_to(Path(__file__).parents[2] / "src")
    assert find("./photo", "denoiser") == Path("photo/denoiser")
    Path("empty").mkdir()
    with pytest.raises(WeightsError, match=r"empty: holds neither config\.json nor denoiser/conf"):
        find("empty", "denoiser")


@pytest.mark.parametrize("name", ["phto", "./none", "a/b/c", "a/none.pt", "a/b.safetensors"])
def test_an_unknown_name_is_an_error(name: str) -> None:
    with pytest.raises(WeightsError, match=f"no weights called '{name}'; .*photo") as error:
        find(name, "denoiser")
    assert ("did you mean 'photo'?" in str(error.value)) == (name == "phto")


def test_a_path_is_never_a_repository() -> None:
    with pytest.raises(WeightsError, match="no weights called 'my-org/weights'"):
        find(Path("my-org/weights"), "denoiser")


def test_a_network_that_is_not_there_is_none(
    tiny_weights: Path, golden_folder: Path, tmp_path: Path
) -> None:
    for kind, other in (("denoiser", "generator"), ("generator", "denoiser")):
        for path in (tiny_weights / kind, tiny_weights / kind / "model.safetensors"):
            assert find_if_there(path, kind) == path  # type: ignore[arg-type]
            assert find_if_there(path, other) is None  # type: ignore[arg-type]
    joint, alone = (golden_folder / f"{name}_checkpoint.pt" for name in ("joint", "denoiser"))
    assert find_if_there(joint, "generator") == joint
    assert find_if_there(alone, "generator") is None
    save_network(build("denoiser", "dncnn", 2, 3), tmp_path / "denoiser", "")
    assert find_if_there(tmp_path, "generator") is None
    with pytest.raises(WeightsError, match="no weights called"):
        find_if_there("./none", "generator")
    (tmp_path / "broken.pt").write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="not a file of weights"):
        find_if_there(tmp_path / "broken.pt", "generator")


@pytest.mark.parametrize(
    "name",
    [
        "ørg/répo",
        "org/..",
        "org/a..b",
        "org/a--b",
        "-org/repo",
        "org/repo.git",
        f"org/{'x' * 97}",
        "a b/c",
        "\x1b[31mred/x",
        "y" * 5000,
    ],
)
def test_a_name_that_nothing_has_is_one_line(name: str) -> None:
    with pytest.raises(WeightsError) as error:
        find(name, "denoiser")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 2500


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_pipe_for_a_file_is_refused(tiny_weights: Path, tmp_path: Path, file: str) -> None:
    folder = shutil.copytree(tiny_weights / "denoiser", tmp_path / "denoiser")
    (folder / file).unlink()
    os.mkfifo(folder / file)
    with pytest.raises(WeightsError, match=f"{file}: not an ordinary file"):
        load_network(folder, "denoiser")
