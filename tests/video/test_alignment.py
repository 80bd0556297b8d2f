"""Pictures of one scene, laid over each other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

pytest.importorskip("cv2")

from danet.video.alignment import Shot, aligned, steadied

NOISE = 0.05
# Of what is left of the noise in denoised pictures.
REST = 0.01


def texture(seed: int, height: int = 120, width: int = 160) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).normal(0, 1, (height, width, 3))
    smooth = ndimage.gaussian_filter(values, (4, 4, 0))
    scene: NDArray[np.float32] = 0.5 + 0.15 * (smooth / smooth.std()).astype(np.float32)
    return scene.clip(0, 1)


def shot(
    scene: NDArray[np.float32], seed: int, deviation: float = NOISE, rest: float = REST
) -> Shot:
    """A scene with noise, and with what a denoiser leaves of it."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, deviation, scene.shape).astype(np.float32)
    coarse = ndimage.gaussian_filter(rng.normal(0, 1, scene.shape), (1, 1, 0))
    left = (rest * coarse / coarse.std()).astype(np.float32)
    return Shot(scene + noise + left, scene + left)


def rms(difference: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(difference))))


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, -5), (8, 10)])
def test_a_shifted_picture_is_laid_over_the_first(down: int, right: int) -> None:
    whole = texture(0)
    first, second = whole[20:-20, 20:-20], np.roll(whole, (down, right), (0, 1))[20:-20, 20:-20]
    lay, weights = aligned(shot(first, 1), shot(second, 2))
    inner = np.s_[16:-16, 16:-16]
    assert rms((lay(second) - first)[inner]) < REST
    assert weights[inner].mean() > 0.5
    assert weights.min() >= 0 and weights.max() <= 1


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 30), (2, 400), (11, 11), (12, 40), (13, 40), (40, 13)]
)
def test_small_pictures_are_laid_over_each_other(size: tuple[int, int]) -> None:
    scene = texture(0, *size)
    lay, weights = aligned(shot(scene, 1), shot(scene, 2))
    assert lay(scene).shape == scene.shape and np.isfinite(lay(scene)).all()
    assert weights.shape == size and weights.min() >= 0 and weights.max() <= 1


def test_what_is_not_in_the_other_picture_does_not_count() -> None:
    scene = texture(0)
    other = scene.copy()
    other[40:80, 60:100] = 1 - texture(5)[40:80, 60:100]
    _, weights = aligned(shot(scene, 1), shot(other, 2))
    assert weights[45:75, 65:95].mean() < 0.1
    assert weights[:30].mean() > 0.5


def test_nothing_counts_of_another_scene() -> None:
    for noise in (0, 0.02, 0.05):
        shots = [shot(texture(seed), seed, noise) for seed in (0, 7)]
        assert aligned(*shots)[1].max() == 0


def test_what_a_denoiser_leaves_is_averaged_even_where_it_left_much() -> None:
    scene = texture(0)
    _, weights = aligned(shot(scene, 1, rest=0.04), shot(scene, 2, rest=0.04))
    assert weights.mean() > 0.5


def test_beyond_the_border_nothing_counts() -> None:
    whole = texture(0)
    _, weights = aligned(shot(whole[:, :120], 1), shot(whole[:, 20:140], 2))
    assert weights[:, :10].max() == 0
    assert weights[:, 40:].mean() > 0.5


def test_a_still_scene_flickers_less() -> None:
    shots = [shot(texture(0), seed) for seed in range(7)]
    before = np.std([each.clean for each in shots], axis=0).mean()
    after = np.std(list(steadied(shots, 2))[2:-2], axis=0).mean()
    assert after < 0.6 * before


def test_what_moves_is_not_smeared() -> None:
    scene, thing = texture(0), 1 - texture(9)
    scenes = []
    for time in range(5):
        moved = scene.copy()
        left = 20 + 14 * time
        moved[40:80, left : left + 30] = thing[40:80, 50:80]
        scenes.append(moved)
    shots = [shot(moved, seed) for seed, moved in enumerate(scenes)]
    for moved, each, result in zip(scenes, shots, steadied(shots, 1), strict=True):
        assert rms(result - moved) < rms(each.clean - moved)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize("reach", [0, 1, 3])
def test_every_picture_has_its_result(count: int, reach: int) -> None:
    scenes = [np.full((32, 40), level, np.float32) for level in np.linspace(0.2, 0.8, count)]
    results = list(steadied((Shot(scene, scene) for scene in scenes), reach))
    # They differ by more than any noise, so nothing is averaged.
    assert len(results) == count
    for scene, result in zip(scenes, results, strict=True):
        np.testing.assert_allclose(result, scene, atol=1e-4)
