from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from danet import data, images
from danet.data import PackedPairs, PairWriter, Pixels
from danet.errors import DataError, ImageError


def texture(seed: int, height: int = 64, width: int = 80) -> Pixels:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 200, (height // 4, width // 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def with_noise(clean: Pixels, seed: int = 0, deviation: float = 4.0) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, deviation, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def save(path: Path, picture: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def orientations(patch: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The eight flips and rotations of a patch, C x H x W."""
    for turns in range(4):
        turned = np.rot90(patch, turns, (1, 2))
        yield from (turned, turned[..., ::-1])


def is_piece(patch: tuple[Tensor, ...], whole: tuple[NDArray[Any], ...]) -> bool:
    """Whether the pictures of a patch are, all turned alike, one window of those of a whole.

    Args:
        patch: tensors, C x h x w.
        whole: as many arrays, H x W x C, uint8, uint16 or float in [0, 1].
    """
    joined = np.concatenate([part.numpy() for part in patch])
    scaled = [
        x.astype(np.float32) / np.iinfo(x.dtype).max if x.dtype.kind == "u" else x for x in whole
    ]
    windows = sliding_window_view(np.concatenate(scaled, axis=-1), joined.shape[1:], axis=(0, 1))
    for turned in orientations(joined):
        # Few windows have the right corner, so that few are compared as a whole.
        likely = windows[(windows[..., 0, 0] == turned[:, 0, 0]).all(axis=-1)]
        if (likely == turned).all(axis=(1, 2, 3)).any():
            return True
    return False


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Pixels, Pixels]]:
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
    (tmp_path / "split.json").write_text("[]")
    with pytest.raises(DataError, match=r"split\.json"):
        data.polyu_pairs(tmp_path, "train")


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


def test_two_clean_pictures_of_one_name(tmp_path: Path) -> None:
    names = ["clean/1.bmp", "clean/1.png", "clean/2.png", "noisy/2.png"]
    for name in names:
        save(tmp_path / name, texture(0))
    # Only what is wanted must be there once.
    assert [pair.clean.name for pair in data.folder_pairs(tmp_path)] == ["2.png"]
    save(tmp_path / "noisy/1.png", texture(0))
    with pytest.raises(DataError, match=r"1\.bmp and .*1\.png"):
        data.folder_pairs(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_pictures_of_16_bits_keep_them(tmp_path: Path, suffix: str) -> None:
    grey = np.arange(0, 65536, 13, dtype=np.uint16)[:5000].reshape(50, 100)
    Image.fromarray(grey).save(tmp_path / f"grey{suffix}")
    found = data.read_picture(tmp_path / f"grey{suffix}")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, grey[..., None].repeat(3, axis=-1))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colours_of_16_bits_keep_them(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("imagecodecs")
    wide = np.random.default_rng(0).integers(0, 65536, (5, 7, 4)).astype(np.uint16)
    np.save(tmp_path / "1.npy", wide)
    images.process_file(tmp_path / "1.npy", tmp_path / f"1{suffix}", lambda pixels: pixels)
    found = data.read_picture(tmp_path / f"1{suffix}")
    np.testing.assert_array_equal(found, wide[..., :3], strict=True)


def test_floats_are_taken_from_0_to_1(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 0.5, 1]], np.float32)).save(tmp_path / "1.tif")
    found = data.read_picture(tmp_path / "1.tif")
    assert found.dtype == np.uint16
    assert found[0, :, 2].tolist() == [0, 32768, 65535]
    Image.fromarray(np.array([[0, 2]], np.float32)).save(tmp_path / "1.tif")
    with pytest.raises(ImageError, match=r"1\.tif: the picture holds 2"):
        data.read_picture(tmp_path / "1.tif")


def test_arrays_are_pictures_too(tmp_path: Path) -> None:
    wide = texture(0).astype(np.uint16) * np.uint16(200)
    for side, array in (("noisy", wide), ("clean", wide + np.uint16(1))):
        np.save(tmp_path / f"1_{side}.npy", array)
    (pair,) = data.folder_pairs(tmp_path)
    clean, noisy = data.read_pair(pair)
    np.testing.assert_array_equal(noisy, wide)
    np.testing.assert_array_equal(clean, wide + np.uint16(1))


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
)
def test_an_array_that_is_no_picture_is_named(tmp_path: Path, array: NDArray[Any]) -> None:
    np.save(tmp_path / "1.npy", array)
    with pytest.raises(DataError, match=r"1\.npy: an array must be H x W x 3"):
        data.read_picture(tmp_path / "1.npy")
    content = (tmp_path / "1.npy").read_bytes()
    for damage in (b"", b"not an array", content[:-1]):
        (tmp_path / "1.npy").write_bytes(damage)
        with pytest.raises(ImageError, match=r"1\.npy: cannot be read"):
            data.read_picture(tmp_path / "1.npy")
    with pytest.raises(ImageError, match=r"2\.npy: no such file"):
        data.read_picture(tmp_path / "2.npy")


def test_folders_and_hidden_files_are_no_pictures(tmp_path: Path) -> None:
    for name in ("1.png", "2.JPG", "._2.jpg", ".danet-0123.png", "folder.png/3.png"):
        save(tmp_path / name, texture(0))
    assert data.picture_files(tmp_path) == [tmp_path / "1.png", tmp_path / "2.JPG"]


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


def test_a_patch_is_an_unchanged_piece_of_its_pair(pairs: list[tuple[Pixels, Pixels]]) -> None:
    patches = data.PairPatches(pairs, 16, seed=0)
    found = [[is_piece(patches[index], pair) for pair in pairs] for index in range(20)]
    assert {sum(row) for row in found} == {1}
    assert np.any(found, axis=0).all()  # every pair was drawn


def test_a_piece_that_was_changed_is_seen(pairs: list[tuple[Pixels, Pixels]]) -> None:
    clean, noisy = data.PairPatches(pairs[:1], 16, seed=0)[0]
    assert is_piece((clean, noisy), pairs[0])
    assert not is_piece((clean, noisy.flip(2)), pairs[0])
    assert not is_piece((clean, noisy * 1.01), pairs[0])


def test_all_eight_orientations_are_drawn() -> None:
    square = np.arange(16 * 16 * 3, dtype=np.uint32).reshape(16, 16, 3).astype(np.uint8)
    patches = data.PairPatches([(square, square)], 16, seed=0)
    assert len({patches[i][0].numpy().tobytes() for i in range(100)}) == 8


def test_strength_scales_the_noise(pairs: list[tuple[Pixels, Pixels]]) -> None:
    plain = data.PairPatches(pairs, 32, seed=0)
    double = data.PairPatches(pairs, 32, seed=0, strength=(2, 2))
    spread = [sum(float((p[i][1] - p[i][0]).std()) for i in range(10)) for p in (plain, double)]
    assert spread[1] / spread[0] == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_patches_keep_the_steps_of_their_type(
    pairs: list[tuple[Pixels, Pixels]], dtype: type[Any]
) -> None:
    largest = np.iinfo(dtype).max
    wide = [tuple((side * (largest / 255)).astype(dtype) for side in pair) for pair in pairs]
    patches = data.PairPatches(wide, 16, seed=0, strength=(1.3, 1.3), scale=(0.8, 1.2))  # type: ignore[arg-type]
    for index in range(5):
        for side in patches[index]:
            steps = side.double().numpy() * largest
            assert np.abs(steps - np.rint(steps)).max() < 0.01
            # With more bits, they are finer than those of 8.
            coarse = side.double().numpy() * 255
            assert (np.abs(coarse - np.rint(coarse)).max() < 0.01) == (dtype == np.uint8)


def test_patches_of_16_bits_are_those_of_8(pairs: list[tuple[Pixels, Pixels]]) -> None:
    wide = [(x.astype(np.uint16) * 257, y.astype(np.uint16) * 257) for x, y in pairs]
    for scale in ((1.0, 1.0), (0.7, 1.5)):
        narrow = data.PairPatches(pairs, 16, 0, scale=scale)
        other = data.PairPatches(wide, 16, 0, scale=scale)
        for index in range(5):
            for side in (0, 1):
                # Each of the two passes of resizing rounds to the steps of the type.
                torch.testing.assert_close(
                    other[index][side], narrow[index][side], rtol=0, atol=1.1 / 255
                )
    assert any(is_piece(data.PairPatches(wide, 16, 0)[3], pair) for pair in wide)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on fewer cores
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_packed_pairs_give_the_patches_of_their_pictures(
    pairs: list[tuple[Pixels, Pixels]], tmp_path: Path, start: str
) -> None:
    writer = PairWriter(tmp_path, ["1", "2", "3"], {}, "uint8")
    with writer.writing():
        for pair in pairs:
            writer.add([pair])
    expected = data.PairPatches(pairs, 16, 0, strength=(0.5, 3), scale=(0.7, 1.5))
    patches = data.PairPatches(PackedPairs(tmp_path), 16, 0, strength=(0.5, 3), scale=(0.7, 1.5))
    loader: DataLoader[Any] = DataLoader(
        Subset(patches, range(6)), 3, num_workers=1, multiprocessing_context=start
    )
    for number, batch in enumerate(loader):
        for row in range(3):
            for side in (0, 1):
                assert torch.equal(batch[side][row], expected[3 * number + row][side])


def test_scale_makes_noise_coarser(pairs: list[tuple[Pixels, Pixels]]) -> None:
    def neighbours(patches: data.PairPatches) -> float:
        noise = torch.stack([patches[i][1] - patches[i][0] for i in range(10)])
        return float((noise[..., 1:] * noise[..., :-1]).mean() / noise.var())

    assert abs(neighbours(data.PairPatches(pairs, 32, seed=0))) < 0.05
    assert neighbours(data.PairPatches(pairs, 32, seed=0, scale=(2, 2))) > 0.4


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on fewer cores
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_seed_fixes_batches_whatever_the_workers(
    pairs: list[tuple[Pixels, Pixels]], workers: int
) -> None:
    mixture = data.Mixture(
        [
            data.PairPatches(pairs, 16, 1, strength=(0.5, 3), scale=(0.7, 1.5)),
            data.PairPatches(pairs[:1], 16, 2),
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


def test_mixture_draws_by_weight(pairs: list[tuple[Pixels, Pixels]]) -> None:
    flat = np.full((16, 16, 3), 255, dtype=np.uint8)
    mixture = data.Mixture(
        [data.PairPatches(pairs, 16, 0), data.PairPatches([(flat, flat)], 16, 0)], [3, 1], seed=0
    )
    share = np.mean([bool((mixture[i][0] == 1).all()) for i in range(400)])
    assert share == pytest.approx(0.25, abs=0.07)


def test_pictures_smaller_than_a_patch() -> None:
    small = texture(0)
    with pytest.raises(DataError, match=r"64 pixels .* size of 48 with a scale from 0\.5 needs 96"):
        data.PairPatches([(small, small)], 48, seed=0, scale=(0.5, 1))
    with pytest.raises(DataError, match="no pictures"):
        data.PairPatches([], 16, seed=0)
