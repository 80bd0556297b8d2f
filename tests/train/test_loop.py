from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import danet
from danet import data
from danet.cli import main
from danet.errors import ConfigError, DanetError, DataError, WeightsError
from danet.networks import UNetDenoiser, UNetGenerator
from danet.train import (
    DataConfig,
    OptimizerConfig,
    TrainConfig,
    TrainState,
    loop,
    train,
    train_step,
)


def logged(config: TrainConfig) -> list[int]:
    lines = (config.output / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["update"] for line in lines]


def same(network: nn.Module, weights: Mapping[str, Tensor]) -> bool:
    own = network.state_dict()
    return own.keys() == weights.keys() and all(torch.equal(own[key], weights[key]) for key in own)


def started(config: TrainConfig, source: Path) -> tuple[UNetDenoiser, UNetGenerator]:
    """The networks of a joint run that starts from ``source`` with random ones of another seed."""
    state = TrainState.start(config)
    loop._load_initial(state, str(source))
    assert state.generator
    return state.denoiser.averaged, state.generator.averaged


def test_a_run_leaves_a_model_that_loads(config: TrainConfig) -> None:
    folder = train(config)
    picture = np.full((20, 30, 3), 90, dtype=np.uint8)
    assert danet.Denoiser.from_pretrained(folder)(picture).shape == picture.shape
    noisy = danet.NoiseGenerator.from_pretrained(folder).sample(picture, n=2, seed=0)
    assert noisy.shape == (2, 20, 30, 3)
    assert logged(config) == [1, 2, 3, 4]
    assert json.loads((config.output / "config.json").read_text())["pairs"] == 3


@pytest.mark.parametrize("mode", ["joint", "denoiser"])
def test_resumed_equals_uninterrupted(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    config = replace(config, mode=mode)  # type: ignore[arg-type]
    whole = replace(config, output=tmp_path / "whole")
    train(whole)

    step = train_step
    done: list[int] = []

    def interrupted(*arguments: object) -> dict[str, float]:
        if len(done) == 3:  # one update after the checkpoint
            raise KeyboardInterrupt
        done.append(1)
        return step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    monkeypatch.undo()
    train(config)
    first, second = (load_file(c.output / "checkpoint.safetensors") for c in (whole, config))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert logged(config) == logged(whole) == [1, 2, 3, 4]


def test_other_settings_are_refused_before_anything_is_written(config: TrainConfig) -> None:
    train(replace(config, updates=2))
    before = {path: path.read_bytes() for path in config.output.glob("*.*")}
    with pytest.raises(ConfigError, match=r"width is 4, but the run in \S+ was begun with 2"):
        train(replace(config, width=4))
    assert {path: path.read_bytes() for path in config.output.glob("*.*")} == before
    (config.output / "config.json").write_text("{")
    train(replace(config, updates=3))
    assert logged(config) == [1, 2, 3]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on fewer cores
def test_the_workers_change_nothing(config: TrainConfig, tmp_path: Path) -> None:
    results = []
    for workers in (0, 2):
        run = replace(config, output=tmp_path / str(workers), workers=workers, mode="denoiser")
        results.append(load_file(train(run) / "denoiser" / "model.safetensors"))
    assert all(torch.equal(results[0][key], results[1][key]) for key in results[0])


@pytest.mark.parametrize("mode", ["joint", "denoiser"])
def test_starting_from_a_model(
    config: TrainConfig, tiny_weights: Path, mode: Literal["joint", "denoiser"]
) -> None:
    still = OptimizerConfig(denoiser=0, generator=0, average=0.9)
    run = replace(config, mode=mode, init_from=str(tiny_weights), updates=2, optimizer=still)
    model = train(run)
    kinds = ["denoiser", "generator"] if mode == "joint" else ["denoiser"]
    assert sorted(path.name for path in model.iterdir()) == kinds
    for kind in kinds:
        first, last = (
            load_file(folder / kind / "model.safetensors") for folder in (tiny_weights, model)
        )
        assert all(torch.equal(first[key], last[key]) for key in first)


def test_a_generator_is_taken_only_from_what_was_named(
    config: TrainConfig, tiny_weights: Path, tmp_path: Path
) -> None:
    r, g = (
        load_file(tiny_weights / kind / "model.safetensors") for kind in ("denoiser", "generator")
    )
    first = TrainState.start(config).generator
    assert first
    at_random = first.network.state_dict()
    torch.save({"D": r, "G": g}, tmp_path / "joint.pt")
    torch.save({"D": r}, tmp_path / "half.pt")
    torch.save(r, tmp_path / "alone.pt")
    save_file(r, tmp_path / "alone.safetensors")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "denoiser").symlink_to(tiny_weights / "denoiser")
    for source, generator in (
        (tiny_weights, g),
        (tmp_path / "joint.pt", g),
        (tmp_path / "half.pt", at_random),
        (tmp_path / "alone.pt", at_random),
        (tmp_path / "alone.safetensors", at_random),
        (tmp_path / "model", at_random),
        (tiny_weights / "denoiser", at_random),
    ):
        networks = started(config, source)
        assert same(networks[0], r), source
        assert same(networks[1], generator), source


def test_a_damaged_generator_is_not_taken_for_none(
    config: TrainConfig, tiny_weights: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_weights, tmp_path / "model")
    (tmp_path / "model" / "generator" / "model.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match="damaged"):
        started(config, tmp_path / "model")


def test_starting_from_a_model_of_another_size(config: TrainConfig, tiny_weights: Path) -> None:
    sizes = "the denoiser has width 2 and depth 5, but the run has width 4 and depth 4"
    with pytest.raises(ConfigError, match=sizes):
        train(replace(config, init_from=str(tiny_weights), width=4, depth=4))


def test_starting_from_nowhere(config: TrainConfig) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        train(replace(config, init_from="nowhere"))


def test_a_loss_that_is_not_finite_stops_the_run(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(replace(config, updates=2))
    checkpoint = config.output / "checkpoint.safetensors"
    before = checkpoint.read_bytes()

    def diverging(*arguments: Any) -> dict[str, float]:
        return train_step(*arguments) | {"denoiser/loss": math.nan}

    monkeypatch.setattr(loop, "train_step", diverging)
    with pytest.raises(DanetError, match="denoiser/loss is no longer finite at update 3"):
        train(config)
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_not_saved(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    train(replace(config, updates=2))
    checkpoint = config.output / "checkpoint.safetensors"
    before = checkpoint.read_bytes()

    def diverging(state: TrainState, *arguments: Any) -> dict[str, float]:
        losses = train_step(state, *arguments)
        assert state.generator
        with torch.no_grad():
            state.generator.network.last.weight[0, 0, 0, 0] = value
        return losses

    monkeypatch.setattr(loop, "train_step", diverging)
    message = "the largest weight of the generator is no longer finite at update 3"
    with pytest.raises(DanetError, match=message):
        train(replace(config, checkpoint_every=1))
    assert checkpoint.read_bytes() == before


def test_pictures_smaller_than_a_patch(config: TrainConfig) -> None:
    with pytest.raises(DataError, match="48 pixels"):
        train(replace(config, patch_size=64))


@pytest.mark.parametrize("strengthened", [0.0, 1.0])
def test_a_part_that_is_never_drawn_asks_nothing(config: TrainConfig, strengthened: float) -> None:
    """Each part has a size that the pictures of 48 pixels lack for the other."""
    wide = replace(config.data, scale=(0.5, 1.0), shrink=1.0)
    large = replace(config.data, scale=(1.0, 1.0), shrink=2.0)
    used, other = (wide, large) if strengthened == 0 else (large, wide)
    _, extra = loop._datasets(
        replace(config, data=replace(used, strengthened=strengthened, clean=()))
    )
    assert isinstance(extra, data.Mixture)
    assert len(extra.parts) == 1
    with pytest.raises(DataError, match="48 pixels"):
        loop._datasets(replace(config, data=replace(other, strengthened=strengthened)))


def texture(seed: int, height: int, width: int) -> data.Pixels:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 200, (height // 4, width // 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def with_noise(clean: data.Pixels) -> data.Pixels:
    noise = np.random.default_rng(9).normal(0, 4, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


@pytest.fixture
def polyu(tmp_path: Path) -> dict[str, data.Pixels]:
    """PolyU in small: two crops, a frame with one tile of two aligned, and a clean picture more."""
    crops = [texture(seed, 64, 64) for seed in range(2)]
    frame = texture(2, 256, 512)
    shifted = np.concatenate([frame[:, :256], np.roll(frame, 1, axis=1)[:, 256:]], axis=1)
    pictures = {
        "crops/a_1_mean": crops[0],
        "crops/a_1_real": with_noise(crops[0]),
        "crops/b_1_mean": crops[1],
        "crops/b_1_real": with_noise(crops[1]),
        "full/a_mean": frame,
        "full/a_Real": with_noise(shifted),
        "full/c_mean": texture(3, 80, 96),
    }
    for name, picture in pictures.items():
        path = tmp_path / "polyu" / f"{name}.JPG"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path, format="PNG")  # which keeps every value
    split = {
        "crops": {"train": ["a_1_real.JPG"], "val": ["b_1_real.JPG"]},
        "full": {"train": ["a_Real.JPG"], "val": []},
        "clean_only": {"train": ["c_mean.JPG"], "val": []},
    }
    (tmp_path / "polyu" / "split.json").write_text(json.dumps(split))
    return pictures


@pytest.mark.parametrize("frames", [True, False])
def test_the_pictures_of_polyu(
    config: TrainConfig, polyu: dict[str, data.Pixels], tmp_path: Path, frames: bool
) -> None:
    more = texture(4, 64, 72)
    (tmp_path / "more").mkdir()
    Image.fromarray(more).save(tmp_path / "more" / "1.png")
    source = DataConfig(
        root=tmp_path / "polyu",
        layout="polyu",
        frames=frames,
        clean=(tmp_path / "more",),
        strengthened=0.25,
        strength=(0.5, 2.0),
        scale=(0.8, 1.5),
        shrink=1.5,
        exposure=(0.4, 0.9),
        saturation=(0.5, 1.2),
    )
    real, extra = loop._datasets(replace(config, data=source))
    assert isinstance(extra, data.Mixture)
    scaled, noised = extra.parts
    assert isinstance(scaled, data.PairPatches)
    assert isinstance(noised, data.NoisedPatches)

    tile = np.s_[:, :256]
    clean, noisy = [polyu["crops/a_1_mean"]], [polyu["crops/a_1_real"]]
    if frames:
        clean.append(polyu["full/a_mean"][tile])
        noisy.append(polyu["full/a_Real"][tile])
    for found, expected in (
        (real.clean, clean),
        (real.noisy, noisy),
        (scaled.clean, clean),
        (scaled.noisy, noisy),
        (noised.pictures, [*clean, polyu["full/c_mean"], more]),
    ):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    assert list(extra.shares) == [0.25, 0.75]
    assert (real.strength, real.scale) == ((1, 1), (1, 1))
    assert (scaled.strength, scaled.scale, noised.shrink) == ((0.5, 2.0), (0.8, 1.5), 1.5)
    assert (noised.exposure, noised.saturation) == ((0.4, 0.9), (0.5, 1.2))
    assert len({real.seed, scaled.seed, noised.seed, extra.seed}) == 4


@pytest.mark.parametrize(
    ("damage", "message"), [("missing", "not a folder"), ("broken", "0.png"), ("sizes", "9 x 5")]
)
def test_the_command_reports_faulty_data_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, message: str
) -> None:
    pairs = tmp_path / "pairs"
    for side in ("noisy", "clean") if damage != "missing" else ():
        (pairs / side).mkdir(parents=True)
        Image.fromarray(texture(0, 128, 128)).save(pairs / side / "0.png")
    if damage == "broken":
        whole = (pairs / "noisy" / "0.png").read_bytes()
        (pairs / "noisy" / "0.png").write_bytes(whole[: len(whole) // 2])
    if damage == "sizes":
        Image.new("RGB", (9, 5)).save(pairs / "noisy" / "0.png")
    file = tmp_path / "config.toml"
    file.write_text(
        f"output = '{tmp_path / 'run'}'\nwidth = 2\ncritic_width = 2\ndevice = 'cpu'\n"
        f"[data]\nroot = '{pairs}'\n"
    )
    assert main(["train", str(file)]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    (line,) = written.err.splitlines()
    assert line.startswith("danet: error: ")
    assert message in line
    assert not (tmp_path / "run").exists()
