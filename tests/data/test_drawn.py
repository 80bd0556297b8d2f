"""Pictures that are drawn: their range, their seed, and what they show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from danet.data.drawn import drawn_lines, drawn_pattern, drawn_stars, drawn_text

Draw = Callable[[np.random.Generator, int], NDArray[np.floating]]
SIDE = 48


@pytest.mark.parametrize("draw", [drawn_text, drawn_lines, drawn_pattern, drawn_stars])
def test_every_drawing_is_of_its_seed_and_within_its_range(draw: Draw) -> None:
    pictures = [draw(np.random.default_rng(seed), SIDE) for seed in range(40)]
    assert {picture.shape[:2] for picture in pictures} == {(SIDE, SIDE)}
    assert all(0 <= picture.min() <= picture.max() <= 1 for picture in pictures)
    again = [draw(np.random.default_rng(seed), SIDE) for seed in range(40)]
    assert all(map(np.array_equal, pictures, again))
    assert len({picture.tobytes() for picture in pictures}) > 30


def test_patterns_are_half_light_and_fine() -> None:
    pictures = [drawn_pattern(np.random.default_rng(seed), SIDE) for seed in range(60)]
    assert np.mean([picture.mean() for picture in pictures]) == pytest.approx(0.5, abs=0.05)
    steps = [np.abs(np.diff(picture, axis=axis)).mean() for picture in pictures for axis in (0, 1)]
    assert np.mean(steps) > 0.2


def test_stars_leave_the_sky_dark_and_are_of_many_brightnesses() -> None:
    pictures = [drawn_stars(np.random.default_rng(seed), SIDE) for seed in range(60)]
    assert np.median([np.median(picture) for picture in pictures]) < 0.01
    brightest = [picture.max() for picture in pictures]
    assert np.quantile(brightest, 0.1) < 0.3
    assert np.quantile(brightest, 0.9) > 0.6
