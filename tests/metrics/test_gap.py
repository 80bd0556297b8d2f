from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from danet.data import Pixels
from danet.errors import ConfigError, DanetError, DataError, ImageError
from danet.metrics import TrainedDenoiser, pgap
from danet.metrics.gap import PixelPairs
from danet.noise import WhiteGaussian


class LearnsTheNoiseLevel:
    """A training whose denoiser takes away the mean difference that it was shown."""

    about: Mapping[str, Any] = {"network": "a constant"}

    def __init__(self) -> None:
        self.seen: list[tuple[PixelPairs, int]] = []

    def __call__(self, pairs: PixelPairs, test_pairs: PixelPairs, seed: int) -> TrainedDenoiser:
        self.seen.append((pairs, seed))
        offset = np.mean([noisy.astype(float) - clean for clean, noisy in pairs])
        limits = 0, np.iinfo(pairs[0][1].dtype).max

        def denoise(noisy: Pixels) -> Pixels:
            denoised: Pixels = np.clip(np.rint(noisy - offset), *limits).astype(noisy.dtype)
            return denoised

        return TrainedDenoiser(denoise, ((1, 20.0 + seed), (2, 30.0)))


def pairs_with(offset: int, count: int = 2) -> list[tuple[Pixels, Pixels]]:
    rng = np.random.default_rng(offset)
    clean = [rng.integers(60, 180, (16, 20, 3), dtype=np.uint8) for _ in range(count)]
    return [(x, x + np.uint8(offset)) for x in clean]


def brighter(levels: float) -> Any:
    return lambda clean: clean + levels / 255


def test_a_generator_of_the_real_noise_has_no_gap() -> None:
    gap = pgap(brighter(7), pairs_with(7), pairs_with(9), train=LearnsTheNoiseLevel())
    assert gap.value == 0
    assert gap.interval == (0, 0)


def test_the_gap_is_real_less_generated() -> None:
    # The test pairs are of other noise, so that neither denoiser is perfect.
    gap = pgap(brighter(3), pairs_with(7), pairs_with(9), train=LearnsTheNoiseLevel(), seeds=(4,))
    expected = 20 * np.log10(6 / 2)  # errors of 9 - 7 and 9 - 3 levels
    assert gap.value == pytest.approx(expected)
    assert gap.interval is None


def test_both_denoisers_get_the_same_clean_pictures_and_seeds() -> None:
    training = LearnsTheNoiseLevel()
    real = pairs_with(7, count=3)
    pgap(WhiteGaussian(0.02), real, pairs_with(9), train=training, seeds=(3, 8))
    assert [seed for _, seed in training.seen] == [3, 3, 8, 8]
    assert all(
        np.array_equal(taken[0], given[0])
        for pairs, _ in training.seen
        for taken, given in zip(pairs, real, strict=True)
    )
    fakes = [pairs for pairs, _ in training.seen[1::2]]
    noises = [noisy.astype(int) - clean for pairs in fakes for clean, noisy in pairs]
    assert all(noise.std() > 2 for noise in noises)
    assert len({noise.tobytes() for noise in noises}) == 6, "two pictures had the same noise"


def test_the_same_seeds_give_the_same_result() -> None:
    first, second = (
        pgap(WhiteGaussian(0.02), pairs_with(7), pairs_with(9), train=LearnsTheNoiseLevel())
        for _ in range(2)
    )
    assert first == second


def test_the_interval_is_students() -> None:
    training = LearnsTheNoiseLevel()
    gap = pgap(WhiteGaussian(0.05), pairs_with(7), pairs_with(9), train=training, seeds=range(4))
    gaps = np.subtract(gap.real, gap.generated)
    half = 3.182446 * gaps.std(ddof=1) / 2  # Student's t of 3 degrees of freedom, 97.5 %
    assert gap.value == pytest.approx(gaps.mean())
    assert gap.interval == pytest.approx((gap.value - half, gap.value + half))


def test_the_result_names_what_it_depends_on() -> None:
    training = LearnsTheNoiseLevel()
    first, other = (
        pgap(brighter(3), pairs_with(7), pairs_with(tests), train=training) for tests in (8, 9)
    )
    assert first.about["training"] == training.about
    assert first.about["seeds"] == (0, 1, 2)
    prints, others = first.about["fingerprints"], other.about["fingerprints"]
    assert prints["train_pairs"] == others["train_pairs"]
    assert prints["test_pairs"] != others["test_pairs"]


def test_pictures_of_any_kind() -> None:
    training = LearnsTheNoiseLevel()
    (clean, noisy), _ = pairs_with(7)
    as_images = Image.fromarray(clean), Image.fromarray(noisy)
    first_float, second_float = (torch.from_numpy(x).movedim(-1, 0) / 255 for x in (clean, noisy))
    pgap(
        brighter(3),
        [as_images, (first_float, second_float)],
        pairs_with(9),
        train=training,
        seeds=(0,),
    )
    first, second = training.seen[0][0]
    np.testing.assert_array_equal(first[1], noisy)
    np.testing.assert_array_equal(second[1], noisy.astype(np.uint16) * 257)
    assert [noisy.dtype for _, noisy in training.seen[1][0]] == [np.uint8, np.uint16]


def test_the_plot_has_both_curves() -> None:
    pytest.importorskip("matplotlib")
    gap = pgap(brighter(3), pairs_with(7), pairs_with(9), train=LearnsTheNoiseLevel(), seeds=(0, 1))
    (axes,) = gap.plot().axes
    assert [np.asarray(line.get_ydata())[0] for line in axes.lines] == [20, 21, 20, 21]
    assert len(axes.get_legend_handles_labels()[1]) == 2


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"seeds": ()}, ConfigError, "seeds"),
        ({"seeds": (0, -1)}, ConfigError, "-1"),
        ({"train_pairs": []}, DataError, "train_pairs is empty"),
        ({"test_pairs": [(np.zeros((16, 16, 3)), np.zeros((16, 17, 3)))]}, DataError, "17"),
        ({"test_pairs": [(torch.zeros(2, 3, 16, 16),) * 2]}, ImageError, "batch of 2"),
    ],
)
def test_what_is_of_no_use_is_refused(
    changes: dict[str, Any], error: type[DanetError], message: str
) -> None:
    given = {"train_pairs": pairs_with(7), "test_pairs": pairs_with(9), **changes}
    with pytest.raises(error, match=message):
        pgap(brighter(3), train=LearnsTheNoiseLevel(), **given)
