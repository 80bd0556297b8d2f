"""The pairs that each protocol takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

import danet.data.layouts
from danet.bench.datasets import DATASETS, benchmark_pairs, dnd_crops, dnd_images, sidd_blocks
from danet.data import Pixels
from danet.errors import ConfigError, DataError, ImageError

Write = Callable[..., None]


def random_blocks(seed: int, shape: Sequence[int] = (2, 3, 16, 12, 3)) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save_pairs(root: Path, count: int) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        for side in ("real", "mean"):
            Image.fromarray(random_blocks(index, (12, 12, 3))).save(root / f"{index}_{side}.png")


def test_sidd_validation_is_block_by_block(sidd_root: Path) -> None:
    pairs = benchmark_pairs("sidd-val", sidd_root)
    assert [pair.name for pair in pairs] == ["00_00", "00_01", "00_02", "01_00", "01_01", "01_02"]
    clean, noisy = pairs[4].read()
    np.testing.assert_array_equal(clean, random_blocks(0)[1, 1])
    np.testing.assert_array_equal(noisy, random_blocks(1)[1, 1])


def test_sidd_of_matlab_73(tmp_path: Path, write_matlab_73: Write) -> None:
    path, blocks = tmp_path / "BenchmarkNoisyBlocksSrgb.mat", random_blocks(0)
    write_matlab_73(path, lambda file: file.update({path.stem: blocks.T}))
    np.testing.assert_array_equal(sidd_blocks(path), blocks)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"x": random_blocks(0)}, "no key 'BenchmarkNoisyBlocksSrgb'"),
        (random_blocks(0)[0], "uint8 of shape .3, 16, 12, 3.*must be uint8, N x M x H x W x 3"),
        (random_blocks(0) / 255, "is float64"),
    ],
)
def test_other_blocks_are_refused(tmp_path: Path, content: Any, fault: str) -> None:
    path = tmp_path / "BenchmarkNoisyBlocksSrgb.mat"
    with pytest.raises(DataError, match="no such file"):
        sidd_blocks(path)
    savemat(path, content if isinstance(content, dict) else {path.stem: content})
    with pytest.raises(DataError, match=fault):
        sidd_blocks(path)


def test_sidd_sides_of_two_shapes_are_refused(sidd_root: Path) -> None:
    key = "ValidationGtBlocksSrgb"
    savemat(sidd_root / f"{key}.mat", {key: random_blocks(0, (2, 2, 16, 12, 3))})
    with pytest.raises(DataError, match=r"\(2, 3, 16, 12, 3\), the true ones \(2, 2, 16"):
        benchmark_pairs("sidd-val", sidd_root)


def corner_of(crop: Pixels, scene: Pixels) -> tuple[int, int]:
    """Where in a scene a crop of 512 px was taken."""
    for top, left in np.ndindex(scene.shape[0] - 511, scene.shape[1] - 511):
        if np.array_equal(scene[top, left : left + 512], crop[0]):
            np.testing.assert_array_equal(scene[top : top + 512, left : left + 512], crop)
            return top, left
    raise AssertionError("the crop is not of the scene")


def test_nam_gives_100_crops_and_reads_each_scene_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = [random_blocks(seed, (515 + seed, 540, 3)) for seed in range(3)]
    for index, scene in enumerate(scenes):
        savemat(tmp_path / f"{index}.mat", {"img_noisy": scene, "img_mean": 255 - scene})
    reads = []
    real_read = danet.data.layouts.read_mat

    def read(path: Path, keys: Sequence[str]) -> Any:
        reads.append(path)
        return real_read(path, keys)

    monkeypatch.setattr(danet.data.layouts, "read_mat", read)
    pairs = benchmark_pairs("nam", tmp_path, seed=1)
    assert len({pair.name for pair in pairs}) == 100
    counts = [sum(pair.name.startswith(f"{index}.mat#") for pair in pairs) for index in range(3)]
    assert counts == [34, 33, 33]
    corners = set()
    for pair in pairs:
        clean, noisy = pair.read()
        scene = scenes[int(pair.name[0])]
        assert clean.shape == noisy.shape == (512, 512, 3)
        np.testing.assert_array_equal(clean[:2], 255 - noisy[:2])
        corners.add((pair.name[0], *corner_of(noisy, scene)))
    assert len(reads) == 3
    assert len(corners) > 50

    def place_of(seed: int) -> bytes:
        return benchmark_pairs("nam", tmp_path, seed=seed)[0].read()[1].tobytes()

    assert place_of(1) == pairs[0].read()[1].tobytes() != place_of(2)


def test_a_scene_smaller_than_a_crop_is_named(tmp_path: Path) -> None:
    scene = random_blocks(0, (511, 600, 3))
    savemat(tmp_path / "small.mat", {"img_noisy": scene, "img_mean": scene})
    with pytest.raises(DataError, match=r"small\.mat#00: 600 x 511 pixels, and a crop has 512"):
        benchmark_pairs("nam", tmp_path)[0].read()


@pytest.mark.parametrize(("dataset", "count"), [("cc15", 15), ("nam25", 25)])
def test_sets_of_a_fixed_number(tmp_path: Path, dataset: str, count: int) -> None:
    save_pairs(tmp_path, count - 1)
    with pytest.raises(DataError, match=f"holds {count - 1} pairs, and {dataset} has {count}"):
        benchmark_pairs(dataset, tmp_path)
    assert len(benchmark_pairs("folder", tmp_path)) == count - 1
    save_pairs(tmp_path, count)
    assert len(benchmark_pairs(dataset, tmp_path)) == count


def test_polyu_gives_the_crops_of_val(tmp_path: Path) -> None:
    split = {"crops": {"train": ["a_real.JPG"], "val": ["b_real.JPG"]}, "full": {"val": ["c"]}}
    (tmp_path / "split.json").write_text(json.dumps(split))
    assert [pair.name for pair in benchmark_pairs("polyu", tmp_path)] == ["crops/b_real.JPG"]


def test_a_folder_with_a_split_gives_its_val_part(tmp_path: Path) -> None:
    save_pairs(tmp_path, 3)
    pairs = benchmark_pairs("folder", tmp_path)
    (tmp_path / "split.json").write_text(json.dumps({"val": [pairs[1].name]}))
    assert [pair.name for pair in benchmark_pairs("folder", tmp_path)] == [pairs[1].name]


def test_real_sets(data_root: Path) -> None:
    assert len(benchmark_pairs("nam25", data_root / "nam25")) == 25
    assert len(benchmark_pairs("polyu", data_root / "polyu")) == 28


@pytest.mark.parametrize("dataset", DATASETS)
def test_an_empty_folder_is_refused(tmp_path: Path, dataset: str) -> None:
    with pytest.raises(DataError, match=str(tmp_path)):
        benchmark_pairs(dataset, tmp_path)


def test_an_unknown_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'attic', and must be one of sidd-val, nam"):
        benchmark_pairs("attic", tmp_path)


def test_dnd_boxes_count_from_one_and_include_their_ends(
    dnd_root: Path, dnd_pictures: list[Any]
) -> None:
    images = dnd_images(dnd_root)
    assert [image.path.name for image in images] == ["0001.mat", "0002.mat"]
    assert images[0].shapes == [(16, 12, 3)] * 3
    crops = list(dnd_crops(images[1]))
    expected = dnd_pictures[1].astype(np.float32)
    windows = [np.s_[0:16, 0:12], np.s_[4:20, 2:14], np.s_[8:24, 12:24]]
    for crop, window in zip(crops, windows, strict=True):
        assert crop.dtype == np.float32
        np.testing.assert_array_equal(crop, expected[window])


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ([0, 1, 8, 8], "counted from 1"),
        ([9, 1, 8, 8], "counted from 1"),
        ([1, 1, 8.5, 8], "whole numbers"),
        ([1, 1, 8], "not K x 4"),
    ],
)
def test_wrong_boxes_are_refused(
    tmp_path: Path, write_dnd: Write, dnd_pictures: list[Any], box: list[float], fault: str
) -> None:
    write_dnd(tmp_path, dnd_pictures, [box])
    with pytest.raises(DataError, match=rf"info\.mat: boundingboxes 1 .*{fault}"):
        dnd_images(tmp_path)


@pytest.mark.parametrize("box", [[1, 1, 25, 8], [1, 1, 8, 31]])
def test_a_box_beyond_the_picture_is_refused(
    tmp_path: Path, write_dnd: Write, dnd_pictures: list[Any], box: list[int]
) -> None:
    write_dnd(tmp_path, dnd_pictures, [box])
    with pytest.raises(DataError, match="beyond 24 rows and 30 columns"):
        list(dnd_crops(dnd_images(tmp_path)[0]))


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("damage info", ImageError, r"info\.mat: cannot be read"),
        ("empty info", DataError, r"info\.mat: it has no key 'info/boundingboxes'"),
        ("info.mat", DataError, r"info\.mat: no such file"),
        ("images_srgb/0002.mat", DataError, r"0002\.mat: no such file"),
    ],
)
def test_a_damaged_dnd_is_named(
    dnd_root: Path, write_matlab_73: Write, fault: str, error: type[Exception], message: str
) -> None:
    if fault == "damage info":
        (dnd_root / "info.mat").write_bytes(b"no HDF5")
    elif fault == "empty info":
        write_matlab_73(dnd_root / "info.mat", lambda file: file.update({"other": 1}))
    else:
        (dnd_root / fault).unlink()
    with pytest.raises(error, match=message):
        dnd_images(dnd_root)


def test_the_real_crop_of_dnd(data_root: Path, tmp_path: Path, write_dnd: Write) -> None:
    crop = loadmat(data_root / "samples" / "dnd_1.mat")["im_noisy"] / np.float32(255)
    picture = np.zeros((520, 530, 3), np.float32)
    picture[4:516, 8:520] = crop
    write_dnd(tmp_path, [picture], [[5, 9, 516, 520]])
    (image,) = dnd_images(tmp_path)
    (found,) = dnd_crops(image)
    np.testing.assert_array_equal(found, crop)
