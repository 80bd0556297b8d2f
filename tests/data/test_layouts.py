"""Small trees of the exact layout of each data set."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from danet import data
from danet.data import Pixels, source_pairs
from danet.data.layouts import LAYOUTS, Part, nam_pairs, renoir_pairs, sidd_pairs
from danet.errors import ConfigError, DanetError, DataError, ImageError


def picture(seed: int, height: int = 12, width: int = 16) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, pixels: Pixels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def save_hdf5(path: Path, **arrays: Any) -> None:
    """A file as MATLAB 7.3 writes it: HDF5 behind a header of 512 bytes, its axes reversed."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, array in arrays.items():
            file[key] = np.asarray(array).T
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + bytes([0, 2]) + b"IM")


def check(pair: Any, name: str, clean: Pixels, noisy: Pixels) -> None:
    assert pair.name == name
    found = pair.read()
    for side, expected in zip(found, (clean, noisy), strict=True):
        assert side.dtype == expected.dtype
        np.testing.assert_array_equal(side, expected)


def test_sidd(tmp_path: Path) -> None:
    scenes = ["0001_001_S6_00100_00060_3200_L", "0002_001_S6_00100_00020_3200_N"]
    for number, scene in enumerate(scenes):
        for shot in ("010", "011"):
            seed = 10 * number + int(shot)
            for side in ("GT", "NOISY"):
                file = tmp_path / "Data" / scene / f"{scene[:4]}_{side}_SRGB_{shot}.PNG"
                save(file, picture(seed + 100 * (side == "NOISY")))
    save(tmp_path / "Data" / scenes[0] / "._0001_NOISY_SRGB_010.PNG", picture(0))
    (tmp_path / "Scene_Instances.txt").write_text("none of ours")
    pairs = source_pairs("sidd", tmp_path)
    assert len(pairs) == 4
    check(pairs[0], f"Data/{scenes[0]}/0001_NOISY_SRGB_010.PNG", picture(10), picture(110))
    check(pairs[3], f"Data/{scenes[1]}/0002_NOISY_SRGB_011.PNG", picture(21), picture(121))
    (tmp_path / "Data" / scenes[1] / "0002_GT_SRGB_011.PNG").unlink()
    with pytest.raises(DataError, match=r"0002_NOISY_SRGB_011.*0002_GT_SRGB_011"):
        sidd_pairs(tmp_path)


def test_renoir(tmp_path: Path) -> None:
    batches = [f"{camera}_Aligned/Batch_{n:03d}" for camera in ("Mi3", "T3i") for n in (1, 2)]
    for number, batch in enumerate(batches):
        for offset, name in enumerate(["1Reference", "4full", "2Noisy", "3Noisy"]):
            save(tmp_path / batch / f"IMG_{name}.bmp", picture(10 * number + offset))
        save(tmp_path / batch / "Mask.bmp", picture(0))
    pairs = source_pairs("renoir", tmp_path)
    assert len(pairs) == 8
    mean = (picture(10).astype(float) + picture(11)) / 2
    found, _ = pairs[2].read()
    assert np.abs(found - mean).max() == 0.5  # rounded, from either side
    assert {*np.unique(found - mean)} == {-0.5, 0, 0.5}
    check(pairs[2], f"{batches[1]}/IMG_2Noisy.bmp", np.rint(mean).astype(np.uint8), picture(12))

    save(tmp_path / batches[3] / "IMG_5full.bmp", picture(0))
    with pytest.raises(DataError, match=r"one \*Reference\.bmp and one \*full\.bmp.*5full"):
        renoir_pairs(tmp_path)
    (tmp_path / batches[3] / "IMG_5full.bmp").unlink()
    (tmp_path / batches[3] / "IMG_1Reference.bmp").unlink()
    with pytest.raises(DataError, match=r"holds no \*Reference\.bmp"):
        renoir_pairs(tmp_path)


def test_a_truth_of_another_size_is_named(tmp_path: Path) -> None:
    save(tmp_path / "1Reference.bmp", picture(0))
    save(tmp_path / "1full.bmp", picture(0, 12, 15))
    save(tmp_path / "1Noisy.bmp", picture(0))
    with pytest.raises(DataError, match=r"1Noisy\.bmp and 1full\.bmp: .*16 x 12 .* 15 x 12"):
        renoir_pairs(tmp_path)[0].read()


@pytest.mark.parametrize("version", ["5", "7.3"])
@pytest.mark.parametrize("scale", [1, 255])
def test_nam(tmp_path: Path, version: str, scale: int) -> None:
    folder = tmp_path / "Canon"
    folder.mkdir()
    noisy, mean = picture(0), np.random.default_rng(1).random((12, 16, 3))
    mean.flat[:2] = 0, 1
    save_mat = savemat if version == "5" else lambda path, arrays: save_hdf5(path, **arrays)
    save_mat(folder / "C_1.mat", {"img_noisy": noisy, "img_mean": mean * scale, "img_cov": 1.0})
    (pair,) = source_pairs("nam", tmp_path)
    check(pair, "Canon/C_1.mat", np.rint(mean * 65535).astype(np.uint16), noisy)


def test_nam_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_hdf5(tmp_path / "1.mat", img_noisy=picture(0), img_mean=picture(0))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r"1\.mat: .* needs h5py: pip install"):
        nam_pairs(tmp_path)[0].read()


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"img_noisy": picture(0)}, "no key 'img_mean'"),
        ({"img_noisy": picture(0), "img_mean": picture(0)[..., 0]}, r"img_mean has shape \(12, 16"),
        ({"img_noisy": picture(0), "img_mean": picture(0) * 300.0}, "img_mean is float64"),
        ({"img_noisy": picture(0), "img_mean": picture(0, 12, 15)}, "16 x 12 .* 15 x 12"),
    ],
)
def test_a_wrong_mat_file_is_named(tmp_path: Path, arrays: Any, fault: str) -> None:
    savemat(tmp_path / "1.mat", arrays)
    with pytest.raises(DataError, match=rf"1\.mat: .*{fault}"):
        nam_pairs(tmp_path)[0].read()


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_a_truncated_mat_file_is_named(tmp_path: Path, version: str) -> None:
    path = tmp_path / "1.mat"
    arrays = {"img_noisy": picture(0, 50, 50), "img_mean": picture(0, 50, 50)}
    if version == "5":
        savemat(path, arrays)
    else:
        save_hdf5(path, **arrays)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(ImageError, match=r"1\.mat: cannot be read"):
        nam_pairs(tmp_path)[0].read()


def test_polyu(tmp_path: Path) -> None:
    split = {
        "crops": {"train": ["a_1_real.JPG"], "val": ["b_2_real.JPG"]},
        "full": {"train": ["a_Real.JPG"], "val": []},
    }
    (tmp_path / "split.json").write_text(json.dumps(split))

    def names(**choice: Any) -> list[str]:
        return [pair.name for pair in source_pairs("polyu", tmp_path, **choice)]

    assert names(part="train") == ["crops/a_1_real.JPG", "full/a_Real.JPG"]
    assert names() == ["crops/a_1_real.JPG", "crops/b_2_real.JPG", "full/a_Real.JPG"]
    assert names(part="val", kind="crops") == ["crops/b_2_real.JPG"]
    with pytest.raises(ConfigError, match="'test'"):
        names(part="test")


@pytest.mark.parametrize("layout", ["folder", "renoir"])
def test_a_split_beside_any_layout(tmp_path: Path, layout: str) -> None:
    for number in range(4):
        for name in ("1Reference", "1full", "1Noisy", "a_noisy", "a_clean"):
            scene = "." if layout == "folder" else f"s{number}"
            save(tmp_path / scene / f"{number}{name}.bmp", picture(number))
    whole = [pair.name for pair in source_pairs(layout, tmp_path)]
    assert len(whole) == 4
    for part in get_args(Part):
        found = source_pairs(layout, tmp_path, part=part)  # without a split: the whole
        assert [pair.name for pair in found] == whole
    scenes = whole if layout == "folder" else [f"s{number}" for number in range(4)]
    split = {"train": [scenes[2], scenes[0]], "val": scenes[1:2]}
    (tmp_path / "split.json").write_text(json.dumps(split))
    for part, numbers in (("train", [0, 2]), ("val", [1]), ("all", range(4))):
        found = source_pairs(layout, tmp_path, part=part)  # type: ignore[arg-type]
        assert [pair.name for pair in found] == [whole[number] for number in numbers]
    (tmp_path / "split.json").write_text('{"train": ["attic"]}')
    with pytest.raises(DataError, match=r"split\.json: 'attic' is no noisy file"):
        source_pairs(layout, tmp_path, part="train")
    with pytest.raises(DataError, match=r"split\.json has no list of names for 'val'"):
        source_pairs(layout, tmp_path, part="val")


def test_polyu_without_a_split_is_taken_as_a_whole(tmp_path: Path) -> None:
    for name in ("crops/a_1", "crops/b_1", "full/a"):
        for side in ("real", "mean"):
            save(tmp_path / f"{name}_{side}.png", picture(0))
    found = [pair.name for pair in source_pairs("polyu", tmp_path, part="val")]
    assert found == ["crops/a_1_real.png", "crops/b_1_real.png", "full/a_real.png"]
    assert data.polyu_clean(tmp_path, "train") == [tmp_path / "full" / "a_mean.png"]


def test_polyu_as_it_is(data_root: Path) -> None:
    root = data_root / "polyu"
    found = [len(source_pairs("polyu", root, part=part)) for part in get_args(Part)]
    assert found == [90, 32, 122]


def test_folder(tmp_path: Path) -> None:
    save(tmp_path / "noisy" / "1.png", picture(1))
    save(tmp_path / "clean" / "1.png", picture(0))
    deep = picture(2).astype(np.uint16) * np.uint16(200)
    for side in ("noisy", "clean"):
        np.save(tmp_path / side / "2.npy", deep)
    pairs = source_pairs("folder", tmp_path)
    check(pairs[0], "noisy/1.png", picture(0), picture(1))
    check(pairs[1], "noisy/2.npy", deep, deep)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_without_pairs(tmp_path: Path, layout: str) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match=str(folder)):
            source_pairs(layout, folder)


def test_an_unknown_layout(tmp_path: Path) -> None:
    with pytest.raises(DanetError, match="'attic', and must be one of sidd, renoir"):
        source_pairs("attic", tmp_path)


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
    with pytest.raises(DataError, match="crops"):
        data.polyu_pairs(tmp_path / "elsewhere", "train")
    for damaged in ("[]", "[" * 100_000):
        (tmp_path / "split.json").write_text(damaged)
        with pytest.raises(DataError, match=r"split\.json"):
            data.polyu_pairs(tmp_path, "train")


def test_the_parts_of_polyu_as_it_is(data_root: Path) -> None:
    train, val = (data.polyu_pairs(data_root / "polyu", part) for part in ("train", "val"))
    assert (len(train), len(val)) == (72, 28)
    for pair in train[:2] + val[:2]:
        clean, noisy = data.read_pair(pair)
        assert clean.shape == noisy.shape == (512, 512, 3)
        assert 0 < (clean.astype(float) - noisy).std() < 30
