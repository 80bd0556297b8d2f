from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Subset

from danet import data
from danet.errors import DataError
from danet.noise import CameraPipeline

Picture = NDArray[np.uint8]


def texture(seed: int, height: int = 64, width: int = 80) -> Picture:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 200, (height // 4, width // 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def with_noise(clean: Picture, seed: int = 0, deviation: float = 4.0) -> Picture:
    noise = np.random.default_rng(seed).normal(0, deviation, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def save(path: Path, picture: Picture) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Picture, Picture]]:
    return [(texture(i), with_noise(texture(i), i)) for i in range(3)]


def test_polyu_layout(tmp_path: Path) -> None:
    split = {
        "crops": {"train": ["a_1_real.JPG"], "val": ["b_2_real.JPG"]},
        "full": {"train": ["a_Real.JPG"], "val": []},
        "clean_only": {"train": ["a_mean.JPG", "c_mean.JPG"], "val": []},
    }
    (tmp_path / "split.json").write_text(json.dumps(split))
    assert data.polyu_pairs(tmp_path, "val") == [
        data.Pair(tmp_path / "crops/b_2_real.JPG", tmp_path / "crops/b_2_mean.JPG")
    ]
    assert data.polyu_pairs(tmp_path, "train", "full") == [
        data.Pair(tmp_path / "full/a_Real.JPG", tmp_path / "full/a_mean.JPG")
    ]
    assert [p.name for p in data.polyu_clean(tmp_path, "train")] == ["a_mean.JPG", "c_mean.JPG"]
    with pytest.raises(DataError, match="'test'"):
        data.polyu_pairs(tmp_path, "test")
    with pytest.raises(DataError, match=r"split\.json"):
        data.polyu_pairs(tmp_path / "elsewhere", "train")


def test_polyu_as_it_is(data_root: Path) -> None:
    train, val = (data.polyu_pairs(data_root / "polyu", part) for part in ("train", "val"))
    assert (len(train), len(val)) == (72, 28)
    for pair in train[:2] + val[:2]:
        clean, noisy = data.read_pair(pair)
        assert clean.shape == noisy.shape == (512, 512, 3)
        assert 0 < (clean.astype(float) - noisy).std() < 30


@pytest.mark.parametrize(
    ("noisy", "clean"),
    [
        ("noisy/1.png", "clean/1.png"),
        ("noisy/1.png", "clean/1.bmp"),
        ("1_noisy.png", "1_clean.png"),
        ("1_real.png", "1_mean.png"),
        ("1_Real.png", "1_mean.png"),
    ],
)
def test_folder_layouts(tmp_path: Path, noisy: str, clean: str) -> None:
    for name in (noisy, clean):
        save(tmp_path / name, texture(0))
    assert data.folder_pairs(tmp_path) == [data.Pair(tmp_path / noisy, tmp_path / clean)]


def test_a_noisy_picture_without_its_clean_one(tmp_path: Path) -> None:
    save(tmp_path / "1_noisy.png", texture(0))
    with pytest.raises(DataError, match="1_noisy"):
        data.folder_pairs(tmp_path)


def test_folders_without_pairs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no pairs"):
        data.folder_pairs(tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        data.folder_pairs(tmp_path / "missing")


def test_pictures_of_a_pair_must_agree_in_size(tmp_path: Path) -> None:
    pair = data.Pair(tmp_path / "y.png", tmp_path / "x.png")
    save(pair.noisy, texture(0))
    save(pair.clean, texture(0, 64, 84))
    with pytest.raises(DataError, match="80 x 64"):
        data.read_pair(pair)


def test_screening_keeps_aligned_tiles_and_drops_shifted_ones() -> None:
    clean = texture(0, 256, 512)
    aligned, shifted = with_noise(clean), with_noise(np.roll(clean, 1, axis=1))
    brighter = with_noise((clean + 2).astype(np.uint8))
    assert len(list(data.screened_tiles(clean, aligned))) == 2
    assert not list(data.screened_tiles(clean, shifted))
    assert not list(data.screened_tiles(clean, brighter))
    # Only the shifted half is dropped.
    half = np.concatenate([aligned[:, :256], shifted[:, 256:]], axis=1)
    (kept,) = data.screened_tiles(clean, half)
    np.testing.assert_array_equal(kept[1], half[:, :256])


def test_a_patch_is_an_unchanged_piece_of_its_pair(pairs: list[tuple[Picture, Picture]]) -> None:
    patches = data.PairPatches(pairs, 16, seed=0)
    noises = {tuple(np.sort(y.astype(int) - x, axis=None)[:3]) for x, y in pairs}
    assert len(noises) == 3
    for index in range(20):
        clean, noisy = patches[index]
        assert clean.shape == noisy.shape == (3, 16, 16)
        noise = (noisy - clean) * 255
        assert float((noise - noise.round()).abs().max()) < 1e-3
        assert 2 < float(noise.std()) < 6


def test_all_eight_orientations_are_drawn() -> None:
    square = np.arange(16 * 16 * 3, dtype=np.uint32).reshape(16, 16, 3).astype(np.uint8)
    patches = data.PairPatches([(square, square)], 16, seed=0)
    assert len({patches[i][0].numpy().tobytes() for i in range(100)}) == 8


def test_strength_scales_the_noise(pairs: list[tuple[Picture, Picture]]) -> None:
    plain = data.PairPatches(pairs, 32, seed=0)
    double = data.PairPatches(pairs, 32, seed=0, strength=(2, 2))
    spread = [sum(float((p[i][1] - p[i][0]).std()) for i in range(10)) for p in (plain, double)]
    assert spread[1] / spread[0] == pytest.approx(2, rel=0.02)


def test_scale_makes_noise_coarser(pairs: list[tuple[Picture, Picture]]) -> None:
    def neighbours(patches: data.PairPatches) -> float:
        noise = torch.stack([patches[i][1] - patches[i][0] for i in range(10)])
        return float((noise[..., 1:] * noise[..., :-1]).mean() / noise.var())

    assert abs(neighbours(data.PairPatches(pairs, 32, seed=0))) < 0.05
    assert neighbours(data.PairPatches(pairs, 32, seed=0, scale=(2, 2))) > 0.4


def test_noised_patches(pairs: list[tuple[Picture, Picture]]) -> None:
    patches = data.NoisedPatches(
        [clean for clean, _ in pairs], 32, 0, CameraPipeline().add_noise, shrink=2.0
    )
    clean, noisy = patches[0]
    assert clean.shape == noisy.shape == (3, 32, 32)
    assert not torch.equal(clean, noisy)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on fewer cores
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_seed_fixes_batches_whatever_the_workers(
    pairs: list[tuple[Picture, Picture]], workers: int
) -> None:
    mixture = data.Mixture(
        [
            data.PairPatches(pairs, 16, 1, strength=(0.5, 3), scale=(0.7, 1.5)),
            data.NoisedPatches([pairs[0][0]], 16, 2, CameraPipeline().add_noise),
        ],
        [1, 2],
        seed=3,
    )
    loader: DataLoader[Any] = DataLoader(Subset(mixture, range(8, 20)), 4, num_workers=workers)
    batches = list(loader)
    for start, (clean, noisy) in enumerate(batches):
        for row in range(4):
            expected = mixture[8 + 4 * start + row]
            assert torch.equal(clean[row], expected[0])
            assert torch.equal(noisy[row], expected[1])


def test_mixture_draws_by_weight(pairs: list[tuple[Picture, Picture]]) -> None:
    flat = np.full((16, 16, 3), 255, dtype=np.uint8)
    mixture = data.Mixture(
        [data.PairPatches(pairs, 16, 0), data.PairPatches([(flat, flat)], 16, 0)], [3, 1], seed=0
    )
    share = np.mean([bool((mixture[i][0] == 1).all()) for i in range(400)])
    assert share == pytest.approx(0.25, abs=0.07)


def test_pictures_smaller_than_a_patch() -> None:
    small = texture(0)
    with pytest.raises(DataError, match="64 pixels"):
        data.PairPatches([(small, small)], 96, seed=0)
    with pytest.raises(DataError, match="no pictures"):
        data.PairPatches([], 16, seed=0)
