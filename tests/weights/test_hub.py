"""Repositories on a Hub that runs on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import danet
from danet import weights
from danet.cli import main
from danet.errors import DanetError, WeightsError
from danet.networks import build
from danet.weights import CATALOGUE, CardFacts, FetchOptions, find, load_network
from danet.weights import hub as hub_module
from danet.weights.manage import located, verify
from danet.weights.publish import mirror
from danet.weights.sums import sha256_of
from tests.weights.server import Failure, Server, _Handler

NAME = "my-org/my-weights"


@pytest.fixture
def hub(server: Server, tiny_weights: Path) -> Server:
    """A Hub that has both networks in one repository, and a denoiser alone in another."""
    for repository, root in ((NAME, tiny_weights), ("my-org/alone", tiny_weights / "denoiser")):
        server.repositories[repository] = {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob("*.*")
            if path.is_file()
        }
    server.repositories[NAME]["large.bin"] = b"not wanted"
    return server


def message(call: Callable[[], object]) -> str:
    """What an error says, which must be one line."""
    with pytest.raises(DanetError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


def assert_same(first: torch.nn.Module, second: torch.nn.Module) -> None:
    state = second.state_dict()
    for name, value in first.state_dict().items():
        assert torch.equal(state[name], value)


def test_both_networks_of_a_repository(hub: Server, tiny_weights: Path) -> None:
    for kind, cls in (("denoiser", danet.Denoiser), ("generator", danet.NoiseGenerator)):
        loaded = cls.from_pretrained(NAME, device="cpu")
        assert_same(loaded.network, load_network(tiny_weights / kind, kind))  # type: ignore[arg-type]
        assert hub.got(f"{kind}/model.safetensors") == 1
    assert hub.got("large.bin") == 0


def test_a_network_of_its_own_repository(hub: Server, tiny_weights: Path) -> None:
    loaded = danet.Denoiser.from_pretrained("my-org/alone", device="cpu")
    assert_same(loaded.network, load_network(tiny_weights / "denoiser", "denoiser"))
    with pytest.raises(WeightsError, match="'kind' is 'denoiser', and must be 'generator'"):
        danet.NoiseGenerator.from_pretrained("my-org/alone")
    assert weights.find_if_there("my-org/alone", "generator") is None


def test_what_is_in_the_cache_is_not_fetched_again(hub: Server) -> None:
    for _ in range(2):
        find(NAME, "denoiser")
    assert hub.got("denoiser/model.safetensors") == 1
    find(NAME, "denoiser", FetchOptions(force_download=True))
    assert hub.got("denoiser/model.safetensors") == 2
    hub.requests.clear()
    local = danet.Denoiser.from_pretrained(NAME, device="cpu", local_files_only=True)
    assert isinstance(local, danet.Denoiser)
    assert hub.requests == []


def test_a_revision_is_loaded(hub: Server) -> None:
    old = hub.commit(NAME)
    find(NAME, "denoiser", FetchOptions(revision=old))
    text = message(lambda: find(NAME, "denoiser", FetchOptions(revision="v9")))
    assert f"{NAME} on the Hub: it has no such revision" in text


def test_a_cache_of_ones_own(hub: Server, tmp_path: Path, cache: Path) -> None:
    options = FetchOptions(cache_dir=tmp_path / "own")
    assert find(NAME, "denoiser", options).is_relative_to(tmp_path / "own")
    assert not (cache / "hub").exists()


def test_a_private_repository_needs_a_token(hub: Server) -> None:
    hub.private.add(NAME)
    text = message(lambda: find(NAME, "denoiser"))
    assert "there is no such repository, or it is private and needs a token" in text
    assert find(NAME, "denoiser", FetchOptions(token="hf_secret"))


def test_no_such_repository(hub: Server) -> None:
    text = message(lambda: danet.Denoiser.from_pretrained("my-org/none"))
    assert text.startswith("there is no folder my-org/none here, and from my-org/none on the Hub:")
    assert "there is no such repository" in text
    assert "at hand are: photo" in text


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_hub_that_fails_is_named(hub: Server, status: int) -> None:
    hub.failures[NAME] = Failure(status, times=99)
    text = message(lambda: find(NAME, "denoiser"))
    assert f"{NAME} on the Hub: the server answered {status}" in text
    del hub.failures[NAME]
    hub.failures["denoiser/model.safetensors"] = Failure(status, times=99)
    text = message(lambda: find(NAME, "denoiser"))
    assert f"the server answered {status}" in text
    hub.failures.clear()
    load_network(find(NAME, "denoiser"), "denoiser")


def test_a_hub_that_hangs_is_named(hub: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    hub.failures[NAME] = Failure(hang=True, times=1)
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
        text = message(lambda: find(NAME, "denoiser"))
    assert f"{NAME} on the Hub: it cannot be reached: " in text
    find(NAME, "denoiser")
    hub.failures[NAME] = Failure(hang=True, times=1)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
    find(NAME, "denoiser")  # from the cache
    assert hub.got("denoiser/model.safetensors") == 1


def test_an_interrupted_download_leaves_no_damage(hub: Server) -> None:
    hub.failures["denoiser/model.safetensors"] = Failure(cut=1000, times=1)
    with suppress(WeightsError):  # of versions of the client that do not go on by themselves
        find(NAME, "denoiser")
    folder = find(NAME, "denoiser")
    load_network(folder, "denoiser")
    assert verify(NAME, folder, "denoiser")


def test_no_hub_is_said(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    text = message(lambda: find(NAME, "denoiser"))
    assert f"{NAME} on the Hub: it cannot be reached: " in text
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    text = message(lambda: find(NAME, "denoiser"))
    assert "it is not in the cache, and fetching is switched off" in text
    text = message(lambda: find(NAME, "denoiser", FetchOptions(local_files_only=True)))
    assert "it is not in the cache, and fetching is switched off" in text


def test_hostile_repositories_are_refused(hub: Server) -> None:
    hub.repositories[NAME]["denoiser/config.json"] = b'{"width": 2}'
    with pytest.raises(WeightsError, match=r"config\.json: the key 'format' is missing"):
        danet.Denoiser.from_pretrained(NAME)
    del hub.repositories[NAME]["denoiser/config.json"]
    with pytest.raises(WeightsError, match=r"my-weights: holds neither config\.json"):
        danet.Denoiser.from_pretrained(NAME)


def test_a_wrong_file_under_a_right_name_is_fetched_again(
    hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    send = _Handler._file

    def wrong(handler: _Handler, content: bytes, *rest: Any) -> None:
        send(handler, content[::-1] if handler.path.endswith(".safetensors") else content, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(_Handler, "_file", wrong)
        find(NAME, "denoiser")
        find("my-org/alone", "denoiser")
    for load in (
        danet.Denoiser,
        danet.Denoiser.from_pretrained,
        partial(weights.load, kind="denoiser"),
    ):
        text = message(lambda: load(NAME, device="cpu"))  # noqa: B023
        assert "model.safetensors: not a file of weights, or damaged" in text
        assert text.endswith("force_download=True, or --force-download, fetches it again")
    danet.Denoiser.from_pretrained(NAME, device="cpu", force_download=True)
    danet.Denoiser.from_pretrained(NAME, device="cpu")
    source, target = str(tmp_path / "a.png"), str(tmp_path / "b.png")
    Image.new("RGB", (8, 8)).save(source)
    command = ["denoise", source, "-o", target, "--weights", "my-org/alone", "--device", "cpu"]
    assert main(command) == 2
    assert "or --force-download, fetches" in capsys.readouterr().err
    assert main([*command, "--force-download"]) == 0
    assert main(command) == 0


def test_a_file_that_is_not_there_is_asked_for_once(hub: Server) -> None:
    hub.failures["denoiser/model.safetensors"] = Failure(404, times=99)
    assert "the server answered 404" in message(lambda: find(NAME, "denoiser"))
    assert sum(path.endswith("denoiser/model.safetensors") for _, path, _ in hub.requests) == 1


def test_the_environment_of_the_hub_is_honoured(hub: Server, tmp_path: Path) -> None:
    """In a process of its own, as the client reads it when it is imported."""
    script = f"from danet.weights import find; print(find({NAME!r}, 'denoiser'))"
    home = {"HF_HOME": str(tmp_path / "elsewhere"), "HF_ENDPOINT": hub.address}
    environment = {**os.environ, **home}
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith(str(tmp_path / "elsewhere" / "hub"))


def test_what_is_pushed_comes_back(server: Server, tmp_path: Path) -> None:
    denoiser = danet.Denoiser(build("denoiser", "dncnn", 2, 3).eval())
    generator = danet.NoiseGenerator(build("generator", "unet", 2, 2))
    facts = CardFacts(
        licence="apache-2.0", data=["PolyU"], figures={"nam25": {"psnr": 41.5, "ssim": 0.98}}
    )
    address = denoiser.push_to_hub(NAME, facts=facts, private=True)
    assert address == f"{server.address}/{NAME}/commit/{server.commit(NAME)}"
    generator.push_to_hub(NAME)
    assert server.counts[NAME] == 2
    assert_same(danet.Denoiser.from_pretrained(NAME, device="cpu").network, denoiser.network)
    assert_same(danet.NoiseGenerator.from_pretrained(NAME, device="cpu").network, generator.network)
    assert set(server.repositories[NAME]) == {
        "README.md",
        "picture.png",
        *(f"{k}/{f}" for k in weights.KINDS for f in ("config.json", "model.safetensors")),
    }
    (tmp_path / "picture.png").write_bytes(server.repositories[NAME]["picture.png"])
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size == (384, 192)


def test_the_card_is_complete(server: Server) -> None:
    from huggingface_hub import ModelCard

    facts = CardFacts(
        licence="apache-2.0", data=["PolyU"], figures={"nam25": {"psnr": 41.5}}, text="Limits."
    )
    danet.Denoiser(build("denoiser", "unet", 2, 2)).push_to_hub(NAME, facts=facts)
    card = ModelCard(server.repositories[NAME]["README.md"].decode())
    data: dict[str, Any] = card.data.to_dict()  # type: ignore[no-untyped-call]
    assert data["license"] == "apache-2.0"
    assert data["library_name"] == "danet"
    assert data["pipeline_tag"] == "image-to-image"
    assert "image-denoising" in data["tags"]
    (result,) = data["model-index"][0]["results"]
    assert result["dataset"]["name"] == "nam25"
    assert [(metric["type"], metric["value"]) for metric in result["metrics"]] == [("psnr", 41.5)]
    for part in (
        f'Denoiser.from_pretrained("{NAME}")',
        "](picture.png)",
        "PolyU",
        "Limits.",
        "| nam25 | PSNR | 41.5 |",
    ):
        assert part in card.text
    assert "NoiseGenerator" not in card.text


def test_a_push_that_is_refused_is_named(server: Server) -> None:
    server.failures["/api/repos/create"] = Failure(403, times=99)
    model = danet.Denoiser(build("denoiser", "unet", 2, 2))
    assert f"{NAME} on the Hub: the server answered 403" in message(lambda: model.push_to_hub(NAME))


@pytest.fixture
def mirrored(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A Hub that has the mirror of ``sidd``, and a machine that has nothing."""
    address, hashes = mirror("sidd", "my-org")
    assert address.startswith(f"{server.address}/my-org/danet-sidd/commit/")
    for kind, found in hashes.items():
        assert found == sha256_of(find("sidd", kind) / "model.safetensors")
    shutil.rmtree(cache)
    server.requests.clear()
    server.files.clear()
    monkeypatch.setenv("DANET_WEIGHTS_ORG", "my-org")
    return server


def test_a_mirror_serves_what_the_authors_did(mirrored: Server) -> None:
    danet.Denoiser.from_pretrained("sidd", device="cpu")
    danet.NoiseGenerator.from_pretrained("sidd", device="cpu")
    assert mirrored.got(".pt") == 0
    assert weights.at_hand("sidd") == ["denoiser", "generator"]
    card = mirrored.repositories["my-org/danet-sidd"]["README.md"].decode()
    assert "Licence: not stated by the authors" in card
    for kind, path in located("sidd").items():
        assert verify("sidd", path, kind)


def test_a_mirror_is_verified(mirrored: Server, tiny_weights: Path) -> None:
    files = mirrored.repositories["my-org/danet-sidd"]
    good = files["denoiser/model.safetensors"]
    files["denoiser/model.safetensors"] = good[:-1] + b"x"
    for _ in range(2):
        assert "is damaged or another file: SHA-256" in message(lambda: find("sidd", "denoiser"))
        assert weights.at_hand("sidd") == []
    files["denoiser/model.safetensors"] = good
    load_network(find("sidd", "denoiser"), "denoiser")
    del files["SHA256SUMS"]
    assert "SHA256SUMS: cannot be read" in message(lambda: find("sidd", "generator"))


def test_the_catalogues_sum_comes_before_the_mirrors(
    mirrored: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = CATALOGUE["sidd"]
    path = hub_module.fetch("my-org/danet-sidd", "denoiser", FetchOptions())
    assert path is not None
    right = sha256_of(path / "model.safetensors")
    known = replace(entry, repository="my-org/danet-sidd", sha256={"denoiser": right})
    monkeypatch.delenv("DANET_WEIGHTS_ORG")
    monkeypatch.setattr(sys.modules["danet.weights.find"], "entry_of", lambda name: known)
    assert find("sidd", "denoiser") == path
    known = replace(known, sha256={"denoiser": "0" * 64})
    assert "is damaged or another file" in message(lambda: find("sidd", "denoiser"))
