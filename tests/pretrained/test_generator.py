from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from danet.errors import ConfigError
from danet.networks import build
from danet.noise import WhiteGaussian
from danet.pretrained import NoiseGenerator

LEVELS = (0.0, 0.01, 0.02, 0.03, 0.06)
GREY = torch.full((3, 37, 50), 0.5)


@pytest.fixture(scope="module")
def by_level() -> NoiseGenerator:
    """A generator whose noise is in proportion to z."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return NoiseGenerator(build("generator", "modulated", 2, 2, 3, LEVELS), device="cpu")


def noise(generator: NoiseGenerator, clean: torch.Tensor = GREY, **given: Any) -> torch.Tensor:
    return generator.sample(clean, seed=1, **given) - clean


def test_the_same_noise_at_another_level(by_level: NoiseGenerator) -> None:
    typical, twice = (noise(by_level, n=2, level=level) for level in (0.02, 0.04))
    assert typical.std() > 1e-3
    torch.testing.assert_close(twice, 2 * typical, rtol=0, atol=1e-6)
    assert not noise(by_level, level=0).any()


def test_each_picture_of_a_batch_at_its_level(by_level: NoiseGenerator) -> None:
    batch = GREY.expand(2, 3, 37, 50)
    both = noise(by_level, batch, n=1, level=[0.02, 0.04])
    for index, level in enumerate((0.02, 0.04)):
        expected = noise(by_level, batch, n=1, level=level)[:, index]
        torch.testing.assert_close(both[:, index], expected, rtol=0, atol=1e-6)


def test_a_level_is_drawn_for_each_picture(by_level: NoiseGenerator) -> None:
    clean = GREY[:, :8, :8].expand(40, 3, 8, 8)
    drawn, typical = (noise(by_level, clean, n=2, **given) for given in ({}, {"level": 0.02}))
    levels = 0.02 * (drawn.std(dim=(2, 3, 4)) / typical.std(dim=(2, 3, 4))).flatten()
    # As many between two of the quantiles as between the next two.
    shares = np.histogram(levels, [-1e-9, 0.01, 0.02, 0.03, 0.06 + 1e-9])[0] / len(levels)
    assert shares == pytest.approx(0.25, abs=0.15)
    assert torch.equal(noise(by_level, clean[:1], n=1)[0, 0], drawn[0, 0])


def test_tiles_do_not_change_the_level(by_level: NoiseGenerator) -> None:
    tiled = NoiseGenerator(by_level.network, device="cpu", tile=32)
    torch.testing.assert_close(noise(tiled, n=2), noise(by_level, n=2), rtol=0, atol=1e-6)


def test_levels_are_saved(by_level: NoiseGenerator, tmp_path: Path) -> None:
    by_level.save_pretrained(tmp_path)
    loaded = NoiseGenerator(tmp_path, device="cpu")
    assert torch.equal(noise(loaded, n=2), noise(by_level, n=2))


@pytest.mark.parametrize(
    ("level", "match"),
    [
        (2, "level is 2, and must be from 0 to 1; 0.0200 is typical"),
        (-0.01, "level is -0.01"),
        (float("nan"), "level is nan"),
        ("low", "level is 'low'"),
        ([0.01, 0.02], "level has 2 values for 1 pictures"),
    ],
)
def test_levels_of_no_use(by_level: NoiseGenerator, level: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        by_level.stream(GREY, level=level)


def test_a_level_that_cannot_be_had(tiny_weights: Path) -> None:
    with pytest.raises(ConfigError, match=r"level is 0\.01.* not trained by level"):
        NoiseGenerator(tiny_weights, device="cpu").sample(GREY, level=0.01)
    with pytest.raises(ConfigError, match=r"level is 0\.01, and must be None for a WhiteGaussian"):
        WhiteGaussian(0.02).sample(GREY, level=0.01)
