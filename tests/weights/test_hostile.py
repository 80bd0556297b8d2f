"""Files that mean harm: each is refused with the reason, and nothing in it runs."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from danet.errors import WeightsError
from danet.networks import Discriminator, build
from danet.weights import find_if_there, load_network, save_network
from danet.weights.manage import verify

CANARY = "DANET_TEST_CANARY"


class Attack:
    """Sets an environment variable when it is unpickled."""

    def __init__(self, call: Any = os.putenv, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call, self.arguments


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that exists once anything of an attack has run."""
    return tmp_path / "canary"


def attacks(canary: Path) -> dict[str, Any]:
    code = f"open({str(canary)!r}, 'w').close()"
    return {
        "builtins.exec": Attack(exec, code),
        "builtins.eval": Attack(eval, code),
        "posix.system": Attack(os.system, f"touch {canary}"),
        "builtins.getattr": Attack(getattr, Attack(os.system, f"touch {canary}"), "x"),
    }


ATTACKS = sorted(attacks(Path("unused")))


def test_the_canary_sings(canary: Path, tmp_path: Path) -> None:
    """Each attack works where nobody refuses it."""
    for name, attack in attacks(canary).items():
        path = tmp_path / "attack.pt"
        torch.save({"D": attack}, path)
        with nullcontext() if name != "builtins.getattr" else pytest.raises(AttributeError):
            torch.load(path, weights_only=False)
        assert canary.exists(), name
        canary.unlink()


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("form", ["zip", "legacy", "plain pickle", "key", "tensor's neighbour"])
def test_a_pickle_that_would_run_code(tmp_path: Path, canary: Path, name: str, form: str) -> None:
    attack, path = attacks(canary)[name], tmp_path / "attack.pt"
    content: Any = {"D": attack}
    if form == "tensor's neighbour":
        tensors = build("denoiser", "unet", 2, 2).backbone.state_dict()
        content = {"D": {**tensors, "extra": attack}, "G": tensors}
    if form == "key":
        content = {attack: torch.zeros(1)}
    if form == "plain pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form != "legacy")
    calls: list[Callable[[], object]] = [
        lambda: load_network(path, "denoiser"),
        lambda: find_if_there(path, "generator"),
        lambda: verify(path, path, "denoiser"),
    ]
    for call in calls:
        with pytest.raises(WeightsError, match=r"attack\.pt: not a file of weights") as error:
            call()
        assert "\n" not in str(error.value)
    assert not canary.exists()


def test_the_reason_names_the_call(tmp_path: Path, canary: Path) -> None:
    torch.save({"D": Attack(exec, "")}, tmp_path / "attack.pt")
    with pytest.raises(WeightsError, match=r"it would call \S*exec when it is loaded, and nothing"):
        load_network(tmp_path / "attack.pt", "denoiser")


def test_a_compressed_archive_is_refused_unread(tmp_path: Path) -> None:
    plain, bomb = tmp_path / "plain.pt", tmp_path / "bomb.pt"
    torch.save(build("denoiser", "unet", 2, 2).backbone.state_dict(), plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as to:
        for entry in source.infolist():
            to.writestr(entry.filename, source.read(entry))
    with pytest.raises(WeightsError, match=r"bomb\.pt: .* in it is compressed"):
        load_network(bomb, "denoiser")


def test_a_program_of_torchscript_is_refused_before_pytorch_speaks_of_it(tmp_path: Path) -> None:
    path = tmp_path / "program.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl"):
            archive.writestr(f"program/{name}", b"")
    with pytest.raises(
        WeightsError, match=r"program\.pt: a program of TorchScript, not a file of w"
    ):
        load_network(path, "denoiser")


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")  # of torch 2.15
@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (
            torch.zeros(1).expand(10**6, 10**6, 10**6),
            r"has the shape \(1000000, 1000000, 1000000\)",
        ),
        (torch.zeros(3).to_sparse(), "is a tensor without values of its own"),
        (torch.zeros(3, device="meta"), "is a tensor without values of its own"),
        (torch.zeros(3, dtype=torch.complex64), r"is torch\.complex64, not a tensor of floats"),
        (torch.zeros(3, dtype=torch.bool), r"is torch\.bool, not a tensor of floats"),
        (torch.zeros(3).to(torch.float8_e5m2), r"is torch\.float8_e5m2, not a tensor of floats"),
        ("text", "is str, not a tensor of floats"),
        ({"last.bias": 1}, "holds no denoiser"),
    ],
)
def test_strange_tensors(tmp_path: Path, tensor: Any, said: str) -> None:
    content = {**build("denoiser", "unet", 2, 2).backbone.state_dict(), "last.bias": tensor}
    torch.save(content, tmp_path / "strange.pt")
    with pytest.raises(WeightsError, match=rf"strange\.pt: .*{said}"):
        load_network(tmp_path / "strange.pt", "denoiser")


def with_header(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the header of a safetensors file, and leave its data."""
    path = folder / "model.safetensors"
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    change(header)
    changed = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(changed)) + changed + raw[8 + size :])


def overlap(header: dict[str, Any]) -> None:
    header["last.bias"]["data_offsets"] = header["last.weight"]["data_offsets"][:1] * 2
    header["last.bias"]["data_offsets"][1] += 12


HEADERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "overlap": overlap,
    "out of range": lambda h: h["last.bias"].update(data_offsets=[10**9, 10**9 + 12]),
    "negative": lambda h: h["last.bias"].update(data_offsets=[-12, 0]),
    "reversed": lambda h: h["last.bias"]["data_offsets"].reverse(),
    "absurd size": lambda h: h["last.bias"].update(shape=[2**40, 2**20]),
    "overflowing size": lambda h: h["last.bias"].update(shape=[2**62, 2**62]),
    "other type": lambda h: h["last.bias"].update(dtype="F64"),
    "unknown type": lambda h: h["last.bias"].update(dtype="F7"),
    "no offsets": lambda h: h["last.bias"].pop("data_offsets"),
    "a hole": lambda h: h.pop("last.bias"),
    "text": lambda h: h.update({"last.bias": "text"}),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_lying_header(folder: Path, name: str) -> None:
    load_network(folder, "denoiser")
    with_header(folder, HEADERS[name])
    with pytest.raises(
        WeightsError, match=r"model\.safetensors: not a file of weights, or"
    ) as error:
        load_network(folder, "denoiser")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "start", [2**64 - 1, 2**63, 10**9, 0, 7], ids=["most", "half", "beyond", "none", "short"]
)
def test_a_header_of_the_wrong_length(folder: Path, start: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", start) + path.read_bytes()[8:])
    with pytest.raises(WeightsError, match="not a file of weights, or damaged: "):
        load_network(folder, "denoiser")


def test_an_absurd_but_true_header_costs_nothing(folder: Path) -> None:
    """A sparse file of 2^40 bytes: its shape is refused before a value is read."""
    path = folder / "model.safetensors"
    header = {"last.bias": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}}
    raw = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        try:
            file.truncate(8 + len(raw) + 2**40)
        except OSError:
            pytest.skip("no such file can be made here")
    with pytest.raises(WeightsError, match=r"model\.safetensors: "):
        load_network(folder, "denoiser")


@pytest.mark.parametrize("cut", [1, 100, 1000])
def test_a_file_cut_short(folder: Path, cut: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(WeightsError, match="not a file of weights, or damaged: "):
        load_network(folder, "denoiser")


def test_another_networks_weights(folder: Path) -> None:
    for network in (Discriminator(2), build("denoiser", "ridnet", 2, 2)):
        save_file(network.state_dict(), folder / "model.safetensors")
        with pytest.raises(WeightsError, match="does not fit a unet denoiser of width 2 and depth"):
            load_network(folder, "denoiser")


def test_not_finite_weights_do_not_verify(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["last.bias"][1] = torch.nan
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"last\.bias holds NaN or infinity"):
        verify(folder, folder, "denoiser")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 60_000, "cannot be read as JSON"),
        ('{"width": ' + "9" * 5000 + "}", "cannot be read as JSON|width"),
        (" " * 10**5 + "{}", "has more than 65536 bytes"),
        ('{"__class__": "os.system"}', "unknown key '__class__'"),
        ("null", "must hold an object"),
    ],
)
def test_a_hostile_configuration(folder: Path, text: str, said: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(WeightsError, match=rf"config\.json: .*({said})"):
        load_network(folder, "denoiser")


def test_a_width_beyond_memory_takes_none(tmp_path: Path) -> None:
    save_network(build("denoiser", "unet", 2, 2), tmp_path, "")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "width": 1024, "depth": 12}))
    with pytest.raises(WeightsError, match="of width 1024 and depth 12: "):
        load_network(tmp_path, "denoiser")
