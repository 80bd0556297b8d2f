"""``danet weights``, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from danet.cli import main
from danet.weights import CATALOGUE, load_network
from danet.weights.sums import sha256_of
from tests.weights.server import Server

Run = Callable[..., list[str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command that must succeed, and gives the lines that it prints."""

    def command(*arguments: object) -> list[str]:
        capsys.readouterr()
        assert main(["weights", *map(str, arguments)]) == 0
        return capsys.readouterr().out.splitlines()

    return command


@pytest.fixture
def fail(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must fail, and gives the one line of its error."""

    def command(*arguments: object) -> str:
        capsys.readouterr()
        assert main(["weights", *map(str, arguments)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix("danet: error: ")

    return command


def test_list_has_every_name_and_says_what_is_here(server: Server, run: Run) -> None:
    lines = run("list")
    assert [line.split(":")[0] for line in lines if not line.startswith(" ")] == list(CATALOGUE)
    text = "\n".join(lines)
    for part in ("not stated by the authors", "DANetPlus.pt", "SIDD val PSNR 39.47", "73 MB"):
        assert part in text
    here = [line for line in lines if "on this machine" in line]
    assert here[0].endswith(": denoiser, generator")
    assert here[1].endswith(": denoiser")
    assert all(line.endswith(": no") for line in here[2:])
    assert server.requests == []


def test_import_info_verify_and_remove(
    server: Server, run: Run, fail: Callable[..., str], tmp_path: Path
) -> None:
    brought = tmp_path / "DANetPlus.pt"
    brought.write_bytes(server.files["/model_states/DANetPlus.pt"])
    (line,) = run("import", brought)
    assert line.startswith(f"{brought}: DANetPlus.pt, for sidd")
    first, *rest = run("info", "sidd")
    assert first.startswith("denoiser: ")
    assert "UNet denoiser, width 2, depth 5" in rest[0]
    folder = Path(first.removeprefix("denoiser: "))
    assert sha256_of(folder / "model.safetensors") in rest[-1]
    assert "sidd: the denoiser is as published" in run("verify")
    assert run("remove", "sidd") == ["removed the denoiser of DANetPlus.pt"]
    assert not folder.exists()
    assert fail("remove", "sidd") == "sidd: nothing of it was fetched to this machine"
    assert fail("info", "sidd") == "sidd: none is on this machine"
    assert "ships with danet" in fail("remove", "photo")
    assert server.requests == []


def test_verify_names_what_is_wrong(
    server: Server, run: Run, fail: Callable[..., str], tmp_path: Path
) -> None:
    brought = tmp_path / "DANetPlus.pt"
    brought.write_bytes(server.files["/model_states/DANetPlus.pt"])
    run("import", brought)
    path = Path(run("info", "sidd")[0].removeprefix("denoiser: ")) / "model.safetensors"
    tensors = load_file(path)
    tensors["last.bias"] += 1
    save_file(tensors, path)
    assert "model.safetensors: is damaged or another file: SHA-256 " in fail("verify", "sidd")
    tensors["last.bias"] += torch.nan
    save_file(tensors, tmp_path / "nan.safetensors")
    assert "last.bias holds NaN or infinity" in fail("verify", tmp_path / "nan.safetensors")


def test_verify_takes_paths(run: Run, tiny_weights: Path) -> None:
    assert run("verify", tiny_weights) == [
        f"{tiny_weights}: the denoiser is sound",
        f"{tiny_weights}: the generator is sound",
    ]


@pytest.mark.parametrize("half", [True, False])
def test_convert(run: Run, golden_folder: Path, tmp_path: Path, half: bool) -> None:
    joint = golden_folder / "joint_checkpoint.pt"
    options = ["--half"] if half else []
    printed = run("convert", joint, tmp_path / "both", *options)
    assert printed == [str(tmp_path / "both" / kind) for kind in ("denoiser", "generator")]
    alone = golden_folder / "denoiser_checkpoint.pt"
    assert run("convert", alone, tmp_path / "alone") == [str(tmp_path / "alone")]
    expected = load_network(joint, "generator").state_dict()
    loaded = load_network(tmp_path / "both/generator", "generator").state_dict()
    for name, value in expected.items():
        assert torch.equal(loaded[name], value.half().float() if half else value)


def test_push_and_load(server: Server, run: Run, tiny_weights: Path, cache: Path) -> None:
    (address,) = run(
        "push", tiny_weights, "my-org/tiny", "--licence", "mit", "--data", "PolyU",
        "--metric", "nam25", "PSNR", "41.5",
    )  # fmt: skip
    assert address.endswith(f"/my-org/tiny/commit/{server.commit('my-org/tiny')}")
    files = server.repositories["my-org/tiny"]
    for kind in ("denoiser", "generator"):
        content = (tiny_weights / kind / "model.safetensors").read_bytes()
        assert files[f"{kind}/model.safetensors"] == content
    card = files["README.md"].decode()
    for part in ("license: mit", "PolyU", "value: 41.5", "picture.png", "NoiseGenerator.from_"):
        assert part in card
    run("convert", "my-org/tiny", cache / "copy")
    run("verify", "my-org/tiny")
    assert run("remove", "my-org/tiny") == ["removed my-org/tiny from the Hub's cache"]


def test_a_metric_that_is_no_number(server: Server, fail: Callable[..., str]) -> None:
    said = fail("push", "photo", "my-org/x", "--metric", "nam25", "psnr", "high")
    assert "the value of --metric is 'high', and must be a number" in said
    assert server.requests == []


def test_mirror(server: Server, run: Run) -> None:
    lines = run("mirror", "my-org", "sidd-danet")
    assert lines[0].startswith("sidd-danet: ")
    assert server.repositories.keys() == {"my-org/danet-sidd-danet"}
    assert all("SHA-256" in line for line in lines[1:])
    assert len(lines) == 3


def test_a_mirror_of_an_unknown_name(server: Server, fail: Callable[..., str]) -> None:
    assert "no weights called 'other'" in fail("mirror", "my-org", "other")
    assert server.repositories == {}
