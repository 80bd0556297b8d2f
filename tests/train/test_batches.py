from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from danet import data
from danet.cli import main
from danet.data import PairPatches
from danet.errors import DanetError
from danet.noise import CameraPipeline, WhiteGaussian
from danet.train import DataConfig, ExtraConfig, FakesConfig, ScaledNoise, TrainConfig
from danet.train.batches import Sources, batches, read_pairs
from danet.train.distribution import Team
from danet.train.made import MadePatches, Variety


@pytest.mark.parametrize("workers", [0, 2])
def test_every_source_gives_its_share(config: TrainConfig, workers: int) -> None:
    """Black pairs, white ones and a noise of its own strength are told apart by their noise."""
    extra = (
        ExtraConfig(share=3, gaussian=WhiteGaussian(0.0)),
        ExtraConfig(real=ScaledNoise(strength=(1.0, 1.0), scale=(1.0, 1.0))),
        ExtraConfig(share=2, gaussian=WhiteGaussian(0.3)),
    )
    source = replace(config.data, extra=extra)
    config = replace(config, data=source, extra_size=240, workers=workers)
    parts = Sources(config).extra
    assert isinstance(parts, data.Mixture)
    assert len({part.seed for part in parts.parts} | {parts.seed}) == 4  # type: ignore[attr-defined]
    drawn = batches(config, Sources(config), Team(), start=0)
    _, pairs = next(drawn)
    drawn.close()
    assert pairs is not None
    for row in (0, 17, 239):
        assert torch.equal(pairs[1][row], parts[row][1])
    deviation = (pairs[1] - pairs[0]).flatten(1).std(dim=1)
    none, strong = (deviation < 0.005).float().mean(), (deviation > 0.08).float().mean()
    assert float(none) == pytest.approx(0.5, abs=0.1)
    assert float(strong) == pytest.approx(1 / 3, abs=0.1)


def texture(seed: int, height: int, width: int) -> data.Pixels:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 200, (height // 4, width // 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def with_noise(clean: data.Pixels) -> data.Pixels:
    noise = np.random.default_rng(9).normal(0, 4, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda: np.zeros(2**50), "Unable to allocate"),
        (
            lambda: os.kill(os.getpid(), signal.SIGKILL),
            r"DataLoader worker .* (Killed|unexpectedly)",
        ),
    ],
)
def test_workers_that_fail_are_one_line_and_end(
    config: TrainConfig, harm: Callable[[], Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: PairPatches, index: int) -> None:
        harm()

    monkeypatch.setattr(PairPatches, "__getitem__", fail)
    config = replace(config, workers=2)
    drawn = batches(config, Sources(config), Team(), start=0)
    with pytest.raises(DanetError, match=message) as caught:
        next(drawn)
    assert "\n" not in str(caught.value) and "workers = 0" in str(caught.value)
    # Though the error, which a program may not catch, is there.
    assert multiprocessing.active_children() == []


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


@pytest.mark.parametrize("layout", ["renoir", "folder"])
def test_every_layout_is_trained_on_by_its_parts(
    config: TrainConfig, tmp_path: Path, layout: Any
) -> None:
    root = tmp_path / layout
    root.mkdir()
    for number in range(3):
        for name in ("Reference", "full", "Noisy") if layout == "renoir" else ("_clean", "_noisy"):
            (root / f"s{number}").mkdir(exist_ok=True)
            folder = root / f"s{number}" if layout == "renoir" else root
            Image.fromarray(texture(number, 64, 64)).save(folder / f"{number}{name}.bmp")
    source = DataConfig(root=root, layout=layout)
    config = replace(config, data=source, extra_size=0)
    assert Sources(config).pairs == len(read_pairs(source, root, "val")) == 3
    names = [pair.name for pair in data.source_pairs(layout, root)]
    (root / "split.json").write_text(json.dumps({"train": names[:2], "val": names[2:]}))
    assert Sources(config).pairs == 2
    ((clean, _),) = read_pairs(source, root, "val")
    np.testing.assert_array_equal(clean, texture(2, 64, 64))


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
        extra=(
            ExtraConfig(share=1, real=ScaledNoise(strength=(0.5, 2.0), scale=(0.8, 1.5))),
            ExtraConfig(share=3, camera=CameraPipeline(), variety=Variety(soft=0.1)),
        ),
    )
    sources = Sources(replace(config, data=source))
    real, extra = sources.real, sources.extra
    assert isinstance(real, data.PairPatches)
    assert isinstance(extra, data.Mixture)
    scaled, noised = extra.parts
    assert isinstance(scaled, data.PairPatches)
    assert isinstance(noised, MadePatches)

    tile = np.s_[:, :256]
    clean, noisy = [polyu["crops/a_1_mean"]], [polyu["crops/a_1_real"]]
    if frames:
        clean.append(polyu["full/a_mean"][tile])
        noisy.append(polyu["full/a_Real"][tile])
    for found, expected in (
        ([x for x, _ in real.pairs], clean),
        ([y for _, y in real.pairs], noisy),
        ([x for x, _ in scaled.pairs], clean),
        ([y for _, y in scaled.pairs], noisy),
        (noised.soft, [*clean, polyu["full/c_mean"]]),
        (noised.sharp, [more]),
    ):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    assert list(extra.shares) == [0.25, 0.75]
    assert (real.strength, real.scale) == ((1, 1), (1, 1))
    assert (scaled.strength, scaled.scale) == ((0.5, 2.0), (0.8, 1.5))
    assert (noised.noise, noised.variety) == (CameraPipeline(), Variety(soft=0.1))
    assert len({real.seed, scaled.seed, noised.seed, extra.seed}) == 4


def test_several_roots_are_drawn_by_weight(config: TrainConfig, tmp_path: Path) -> None:
    """The second root's pictures are black, so that a patch tells where it is from."""
    for side in ("noisy", "clean"):
        (tmp_path / "black" / side).mkdir(parents=True)
        Image.fromarray(np.zeros((48, 48, 3), np.uint8)).save(tmp_path / "black" / side / "0.png")
    roots = (config.data.roots[0], tmp_path / "black")
    source = DataConfig(root=roots, weights=(3, 1))
    sources = Sources(replace(config, data=source, extra_size=0))
    assert sources.pairs == 4
    black = np.mean([bool((sources.real[i][0] == 0).all()) for i in range(300)])
    assert black == pytest.approx(0.25, abs=0.08)


def test_a_container_gives_the_batches_of_its_pairs(config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, data=DataConfig(root=config.data.root, extra=config.data.extra))
    assert main(["data", "prepare", "folder", str(config.data.root), str(tmp_path / "packed")]) == 0
    packed = replace(config, data=replace(config.data, root=tmp_path / "packed", layout="packed"))
    first, second = (next(batches(c, Sources(c), Team(), start=0)) for c in (config, packed))
    for one, other in zip(first[0], second[0], strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_fakes_are_made_of_clean_patches(config: TrainConfig) -> None:
    fakes = FakesConfig("nowhere", ratio=1.0)
    config = replace(config, mode="denoiser", batch_size=4, extra_size=0, fakes=fakes)
    (real,), extra = next(batches(config, Sources(config), Team(), start=0))
    assert extra is not None
    assert (len(real[0]), len(extra[0])) == (2, 2)
    assert torch.equal(*extra)


@pytest.mark.parametrize("size", [2, 4])
def test_a_team_shares_each_batch(config: TrainConfig, size: int) -> None:
    config = replace(config, batch_size=4, extra_size=4)
    sources = Sources(config)

    def third(team: Team) -> list[torch.Tensor]:
        drawn = batches(config, sources, team, start=1)
        next(drawn)
        real, extra = next(drawn)
        assert extra is not None
        return [tensor for pairs in (*real, extra) for tensor in pairs]

    whole = third(Team())
    shares = [third(Team(rank, size)) for rank in range(size)]
    for index, expected in enumerate(whole):
        assert torch.equal(torch.cat([share[index] for share in shares]), expected)


def test_by_level_each_patch_comes_with_that_of_its_picture(
    config: TrainConfig, pairs_folder: Path, tmp_path: Path
) -> None:
    config = replace(config, by_level=True, data=DataConfig(root=tmp_path), extra_size=0)
    for side in ("clean", "noisy"):
        (tmp_path / side).mkdir()
    rng = np.random.default_rng(0)
    for number, deviation in enumerate((2.0, 10.0)):
        clean = np.full((64, 64, 3), 60 + number, np.uint8)
        noisy = np.rint(clean + rng.normal(0, deviation, clean.shape)).astype(np.uint8)
        Image.fromarray(clean).save(tmp_path / "clean" / f"{number}.png")
        Image.fromarray(noisy).save(tmp_path / "noisy" / f"{number}.png")
    sources = Sources(config)
    assert sources.levels[0] * 255 == pytest.approx(2, abs=0.6)
    assert sources.levels[-1] * 255 == pytest.approx(10, abs=0.6)
    drawn = batches(config, sources, Team(), start=0)
    for patches, _, level in next(drawn)[0]:
        assert torch.equal(level > 0.02, patches[:, 0, 0, 0] * 255 > 60.5)


def test_crops_of_one_picture_have_one_level(config: TrainConfig, tmp_path: Path) -> None:
    clean = np.full((64, 64, 3), 60, np.uint8)
    noisy = clean + (np.arange(64)[:, None, None] > 31) * np.random.default_rng(0).integers(
        0, 9, clean.shape, np.uint8
    )
    for side, picture in (("clean", clean), ("noisy", noisy)):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        Image.fromarray(picture).save(tmp_path / "pairs" / side / "0.png")
    command = ["data", "prepare", "folder", str(tmp_path / "pairs"), str(tmp_path / "packed")]
    assert main([*command, "--crop", "32", "--stride", "32"]) == 0
    source = DataConfig(root=tmp_path / "packed", layout="packed")
    sources = Sources(replace(config, by_level=True, data=source, extra_size=0))
    assert sources.pairs == 4
    assert len(set(sources.levels)) == 1
