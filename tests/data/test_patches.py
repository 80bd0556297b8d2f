from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from danet import data
from danet.data import PackedPairs, PairWriter, Pixels
from danet.errors import DataError
from tests.data.samples import texture, with_noise


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


def test_without_turning_sideways_rows_stay_rows() -> None:
    pixels = np.arange(3, dtype=np.uint8).reshape(3, 1, 1) * np.ones((3, 3, 3), np.uint8)
    patches = data.PairPatches([(pixels, pixels)], size=3, seed=1, sideways=False)
    found = {tuple((patches[item][0][0] * 255).int().flatten().tolist()) for item in range(30)}
    assert found == {(0, 0, 0, 1, 1, 1, 2, 2, 2), (2, 2, 2, 1, 1, 1, 0, 0, 0)}


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
