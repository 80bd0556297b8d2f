"""The authors' files, fetched from a server on loopback."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path

import pytest
import torch
from torch import Tensor

import danet
from danet import weights
from danet.errors import ConfigError, DanetError, WeightsError
from danet.weights import FetchOptions, authors, fetching, find, load_network
from danet.weights.sums import read_sums, sha256_of
from tests.weights.server import Failure, Server

Golden = Callable[[str], dict[str, Tensor]]


def message(call: Callable[[], object]) -> str:
    """What an error says, which must be one line."""
    with pytest.raises(DanetError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


def leftovers(cache: Path) -> list[str]:
    """The files in the cache, without locks."""
    found = (path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(str(path.relative_to(cache)) for path in found)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("sidd", ["DANetPlus.pt", "DANet.pt"]),
        ("sidd-danet", ["DANet.pt"]),
        ("general", ["GDANet.pt"]),
        ("general-plus-dnd", ["GDANetPlus_fake05.pt", "GDANet.pt"]),
        ("general-plus-nam", ["GDANetPlus_fake025.pt", "GDANet.pt"]),
    ],
)
def test_a_name_is_fetched_once(
    server: Server, golden: Golden, capsys: pytest.CaptureFixture[str], name: str, files: list[str]
) -> None:
    for _ in range(2):
        for kind, cls in (("denoiser", danet.Denoiser), ("generator", danet.NoiseGenerator)):
            state = cls.from_pretrained(name, device="cpu").network.backbone.state_dict()
            for key, value in golden(f"{kind}_weights").items():
                assert torch.equal(state[key], value)
    assert [path for _, path, _ in server.requests] == [f"/model_states/{file}" for file in files]
    out, err = capsys.readouterr()
    assert out == ""
    notices = [line for line in err.splitlines() if "no licence" in line]
    assert [line.split()[1] for line in notices] == files
    assert weights.at_hand(name) == ["denoiser", "generator"]
    server.requests.clear()
    options = FetchOptions(force_download=True)
    find(name, "denoiser", options)
    assert server.got(files[0]) == 1


def test_the_converted_folder_is_verifiable(server: Server, cache: Path) -> None:
    folder = find("sidd-danet", "generator")
    assert leftovers(cache) == [
        f"assets/danet/DANet/{name}"
        for name in sorted(
            ["SHA256SUMS"]
            + [
                f"{kind}/{file}"
                for kind in weights.KINDS
                for file in ("README.md", "config.json", "model.safetensors")
            ]
        )
    ]
    sums = read_sums(folder.parent)
    assert sums["generator/model.safetensors"] == sha256_of(folder / "model.safetensors")
    shutil.rmtree(cache)
    find("sidd-danet", "generator")
    assert read_sums(folder.parent) == sums  # so mirrors of different people agree


def test_a_broken_download_is_resumed(server: Server) -> None:
    size = len(server.files["/model_states/DANetPlus.pt"])
    server.failures["DANetPlus.pt"] = Failure(cut=1000)
    load_network(find("sidd", "denoiser"), "denoiser")
    assert [span for _, _, span in server.requests] == [None, "bytes=1000-"]
    assert size > 1000


def test_a_download_is_resumed_by_a_later_process(server: Server, cache: Path) -> None:
    server.failures = {"DANetPlus.pt": Failure(cut=0, times=9)}
    part = cache / "assets/danet/DANetPlus.pt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(server.files["/model_states/DANetPlus.pt"][:1234])
    said = message(lambda: find("sidd", "denoiser"))
    assert "it ended after" in said
    assert part.stat().st_size == 1234
    server.failures.clear()
    server.requests.clear()
    find("sidd", "denoiser")
    assert [span for _, _, span in server.requests] == ["bytes=1234-"]
    assert not part.exists()


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("left", [b"wrong" * 10, b"x" * 10**6])
def test_what_another_download_left_does_no_harm(
    server: Server, cache: Path, ranges: bool, left: bytes
) -> None:
    server.ranges = ranges
    part = cache / "assets/danet/DANetPlus.pt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    load_network(find("sidd", "denoiser"), "denoiser")
    assert not part.exists()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(
    server: Server, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    server.failures["DANetPlus.pt"] = Failure(status, times=2, headers={"Retry-After": "7"})
    find("sidd", "denoiser")
    assert waits == [7, 7]


@pytest.mark.parametrize(
    ("failure", "said", "requests"),
    [
        (Failure(401, 99), "the server answered 401 Unauthorized", 1),
        (Failure(404, 99), "404 Not Found, so there is no such file", 1),
        (Failure(429, 99), "429 Too Many Requests, so it is asked too often", 4),
        (Failure(500, 99), "the server answered 500 Internal Server Error", 4),
        (Failure(hang=True, times=99), "the connection failed: timed out", 4),
    ],
)
def test_a_server_that_fails_is_named_in_one_line(
    server: Server,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: Failure,
    said: str,
    requests: int,
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    server.failures["DANetPlus.pt"] = failure
    text = message(lambda: danet.Denoiser.from_pretrained("sidd"))
    assert f"{server.address}/model_states/DANetPlus.pt: " in text
    assert said in text
    assert "at hand are: photo" in text
    assert "danet weights import DANetPlus.pt" in text
    assert server.got("DANetPlus.pt") == requests
    assert leftovers(cache) == []


def test_no_network_is_said_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANET_WEIGHTS_URL", "http://127.0.0.1:1/model_states")
    text = message(lambda: danet.Denoiser.from_pretrained("sidd"))
    assert "the weights 'sidd' cannot be had: http://127.0.0.1:1/model_states/DANetPlus.pt" in text
    assert "cannot be reached: " in text
    assert (
        "at hand are: photo, photo-fast, or bring DANetPlus.pt along: danet weights import" in text
    )
    assert leftovers(cache) == []


def test_nothing_is_fetched_where_that_is_switched_off(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    with pytest.raises(WeightsError, match="fetching is switched off"):
        danet.Denoiser.from_pretrained("sidd", local_files_only=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="fetching is switched off; at hand are: photo"):
        danet.Denoiser.from_pretrained("sidd")
    assert server.requests == []


def test_a_proxy_of_the_environment_is_used(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The name has no address, so only a proxy can reach it.
    monkeypatch.setenv("DANET_WEIGHTS_URL", "http://weights.invalid/model_states")
    monkeypatch.setenv("http_proxy", server.address)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setattr("urllib.request._opener", None)  # which has kept the proxies of before
    find("sidd", "denoiser")
    assert server.got("DANetPlus.pt") == 1


def test_a_folder_may_stand_in_for_the_server(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "DANetPlus.pt").write_bytes(server.files["/model_states/DANetPlus.pt"])
    monkeypatch.setenv("DANET_WEIGHTS_URL", tmp_path.as_uri())
    load_network(find("sidd", "denoiser"), "denoiser")
    assert server.requests == []
    assert "cannot be reached: " in message(lambda: find("general", "denoiser"))
    monkeypatch.setenv("DANET_WEIGHTS_URL", "nonsense")
    assert "unknown url type" in message(lambda: find("general", "denoiser"))


def test_another_file_is_refused_and_removed(server: Server, cache: Path) -> None:
    server.files["/model_states/DANetPlus.pt"] = b"<html>Please log in</html>"
    text = message(lambda: find("sidd", "denoiser"))
    assert "is not the file that the authors published: git blob id " in text
    assert leftovers(cache) == []


@pytest.mark.parametrize("limit", [500, 20_000])
def test_a_full_disk_leaves_no_damage(server: Server, cache: Path, limit: int) -> None:
    """The limit ends the download, or the conversion."""
    size = len(server.files["/model_states/DANetPlus.pt"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        text = message(lambda: find("sidd", "denoiser"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert size > 20_000
    assert "cannot be written: File too large" in text
    assert leftovers(cache) == []
    load_network(find("sidd", "denoiser"), "denoiser")


def test_a_conversion_that_fails_leaves_no_damage(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert "No space left on device" in message(lambda: find("sidd-danet", "denoiser"))
    assert leftovers(cache) == ["assets/danet/DANet.pt.part"]
    load_network(find("sidd-danet", "denoiser"), "denoiser")


def test_a_cache_that_cannot_be_written(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find("sidd-danet", "denoiser")
    # What is there loads without a write; a user that may write everywhere is refused here.
    real_open = os.open

    def refuse(path: str, flags: int, *rest: int, **more: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return real_open(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    danet.Denoiser.from_pretrained("sidd-danet", device="cpu")
    text = message(lambda: find("sidd", "denoiser"))
    assert "DANetPlus.lock: cannot be written: Read-only file system" in text


def fetch_generator(arguments: tuple[str, str, dict[str, str]]) -> bool:
    folder, url, blobs = arguments
    os.environ["DANET_WEIGHTS_URL"] = url
    vars(authors)["AUTHORS_FILES"] = blobs
    options = FetchOptions(cache_dir=folder)
    load_network(find("sidd-danet", "generator", options), "generator")
    return True


def shared_job(server: Server, tmp_path: Path) -> tuple[str, str, dict[str, str]]:
    return (
        str(tmp_path / "shared"),
        os.environ["DANET_WEIGHTS_URL"],
        dict(vars(authors)["AUTHORS_FILES"]),
    )


def test_two_at_once_fetch_once(server: Server, tmp_path: Path) -> None:
    """The lock is the system's, which keeps threads apart as it does processes."""
    job = shared_job(server, tmp_path)
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(fetch_generator, [job] * 4))
    assert server.got("DANet.pt") == 1


@pytest.mark.slow
def test_two_processes_fetch_once(server: Server, tmp_path: Path) -> None:
    job = shared_job(server, tmp_path)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert all(pool.map(fetch_generator, [job] * 2, chunksize=1))
    assert server.got("DANet.pt") == 1


def test_a_file_that_was_brought_along(server: Server, tmp_path: Path) -> None:
    brought = tmp_path / "download (1)"
    brought.write_bytes(server.files["/model_states/DANet.pt"])
    assert authors.import_file(brought, FetchOptions()) in ("DANet.pt", "GDANet.pt")
    assert weights.at_hand("sidd-danet") == ["denoiser", "generator"]
    assert server.requests == []
    brought.write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"is none of the authors' files DANet\.pt, "):
        authors.import_file(brought, FetchOptions())


def test_a_revision_is_of_the_hub_alone(server: Server, tiny_weights: Path) -> None:
    for name in ("photo", "sidd", tiny_weights):
        with pytest.raises(ConfigError, match=r"revision is 'v1', but .* no repository on the Hub"):
            danet.Denoiser.from_pretrained(name, revision="v1")


def test_the_file_is_written_whole_or_refused(tmp_path: Path) -> None:
    """A write that takes less than it is given goes on."""
    with FileIO(tmp_path / "file", "wb") as file:
        fetching._write(file, b"x" * 100_000)
    assert (tmp_path / "file").stat().st_size == 100_000
