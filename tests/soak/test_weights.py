"""Damaged weights, and a Hub that fails: each ends in the right weights or in one line."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from danet.errors import WeightsError
from danet.networks import build
from danet.weights import FetchOptions, find, load_network
from tests.test_faults import flipped, overwritten, shifted, truncated
from tests.weights.conftest import cache, server  # noqa: F401  # fixtures
from tests.weights.server import Failure, Server
from tests.weights.test_hostile import Attack
from tests.weights.test_hub import NAME, assert_same, hub  # noqa: F401  # fixture

EACH = 125  # damages of each kind to each file
SECONDS = 5
ROUNDS = 120


def message(call: Callable[[], object]) -> str:
    """What an error of danet's says; empty where there is none."""
    try:
        call()
    except WeightsError as error:
        return str(error)
    return ""


def loaded(options: FetchOptions) -> nn.Module:
    return load_network(find(NAME, "denoiser", options), "denoiser")


def sources(folder: Path, weights: Path, canary: Path) -> dict[str, Path]:
    """Weights of every form that is read, and the file of each that is damaged."""
    state = build("denoiser", "unet", 2, 2).backbone.state_dict()
    content = {"zip.pt": {"D": state}, "attack.pt": {"D": Attack(open, str(canary), "w")}}
    for name, value in content.items():
        torch.save(value, folder / name)
    torch.save(state, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    shutil.copytree(weights / "denoiser", folder / "weights")
    shutil.copytree(weights / "denoiser", folder / "config")
    return {
        "model.safetensors": folder / "weights" / "model.safetensors",
        "config.json": folder / "config" / "config.json",
        **{name: folder / name for name in (*content, "legacy.pt")},
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_damaged_weights_are_loaded_or_refused_in_one_line(
    tiny_weights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(24)
    canary = tmp_path / "canary"
    rows = []
    for name, path in sources(tmp_path, tiny_weights, canary).items():
        whole = path.read_bytes()
        place = path if path.suffix == ".pt" else path.parent
        outcomes: Counter[str] = Counter()
        for damage in (flipped, truncated, overwritten, shifted):
            for _ in range(EACH):
                path.write_bytes(damage(whole, rng))
                started = time.process_time()
                said = message(lambda: load_network(place, "denoiser"))  # noqa: B023
                outcomes["refused" if said else "loaded"] += 1
                assert said.isprintable(), ascii(said)
                assert path.name in said or not said
                assert time.process_time() - started < SECONDS
        rows.append(f"| {name} | {outcomes['loaded']} | {outcomes['refused']} |")
        assert outcomes["refused"] > EACH
    assert not canary.exists()
    assert capfd.readouterr() == ("", "")
    with capfd.disabled():
        print("\n\n| damaged | loaded | refused |\n| --- | --- | --- |", *rows, sep="\n")


def faults(rng: np.random.Generator) -> dict[str, Callable[[], Failure]]:
    """What goes wrong with an answer, a few times or always."""

    def times() -> int:
        return int(rng.choice([1, 2, 99]))

    return {
        "a status that is an error": lambda: Failure(
            int(rng.choice([400, 401, 403, 404, 408, 416, 418, 429, 500, 502, 503])), times()
        ),
        "a redirection to nowhere": lambda: Failure(
            302, times(), headers={"Location": "http://127.0.0.1:1/"}
        ),
        "a circle of redirections": lambda: Failure(302, times(), headers={"Location": "/circle"}),
        "the connection ends": lambda: Failure(cut=int(rng.integers(0, 2000)), times=times()),
        "another status for no reason": lambda: Failure(int(rng.choice([204, 206, 304])), times()),
        "no answer": lambda: Failure(hang=True, times=1),
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_hub_that_fails_leaves_no_damage(
    hub: Server,  # noqa: F811
    tiny_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    right = load_network(tiny_weights / "denoiser", "denoiser")
    again = FetchOptions(force_download=True)
    rng = np.random.default_rng(24)
    kinds = faults(rng)
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in kinds}
    for number in range(ROUNDS):
        kind = list(kinds)[number % len(kinds)]
        path = rng.choice([NAME, "denoiser/config.json", "denoiser/model.safetensors"])
        hub.failures = {
            path: kinds[kind](),
            "/circle": Failure(302, 99, headers={"Location": "/circle"}),
        }

        said = message(lambda: assert_same(right, loaded(again)))
        outcomes[kind]["refused" if said else "loaded"] += 1
        assert said.isprintable(), ascii(said)
        assert NAME in said or not said
        hub.failures.clear()
        assert_same(right, loaded(again))
        assert_same(right, loaded(FetchOptions()))
    with capfd.disabled():
        print("\n\n| the Hub | loaded | refused |\n| --- | --- | --- |")
        for kind, counts in outcomes.items():
            print(f"| {kind} | {counts['loaded']} | {counts['refused']} |")
