from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from danet.data import Mixture
from danet.errors import ConfigError, DataError
from danet.noise import DevelopedNoise, WhiteGaussian
from danet.train.made import MadePatches, Variety

SHARP = [np.random.default_rng(1).integers(0, 256, (80, 90, 3), dtype=np.uint8)]
SOFT = [np.full((40, 50, 3), 77, np.uint8)]
# Nothing but the patches themselves.
PLAIN = Variety(soft=0, enlarged=0, tinted=0, flat=0, drawn=0, dark=0, untouched=0)


def many(variety: Variety, count: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    items = MadePatches(SHARP, SOFT, 32, 3, variety=variety).__getitems__(list(range(count)))
    clean, noisy = (torch.stack(side) for side in zip(*items, strict=True))
    return clean, noisy


def test_an_item_is_the_same_alone_and_in_a_batch() -> None:
    patches = MadePatches(SHARP, SOFT, 32, 3)
    mixture = Mixture([patches, MadePatches(SOFT, [], 32, 4)], [1, 1], 5)
    for made in (patches, mixture):
        batch = made.__getitems__([9, 2, 30, 4])
        for index, pair in zip([9, 2, 30, 4], batch, strict=True):
            for alone, together in zip(made[index], pair, strict=True):
                torch.testing.assert_close(alone, together, atol=1.1 / 255, rtol=0)


def test_all_values_are_floats_from_0_to_1() -> None:
    for side in many(Variety()):
        assert side.dtype == torch.float32
        assert side.shape == (60, 3, 32, 32)
        assert 0 <= side.min() <= side.max() <= 1


def test_every_kind_is_drawn_by_its_share() -> None:
    clean, noisy = many(Variety(soft=0, flat=0.5, drawn=0, tinted=0, dark=0, untouched=0.25), 200)
    colours = [len(torch.unique(patch.flatten(1), dim=1).T) for patch in clean]
    assert 0.35 < np.mean(np.array(colours) <= 2) < 0.65
    same = (clean == noisy).flatten(1).all(dim=1).float().mean()
    assert 0.15 < same < 0.4


def test_dark_pairs_are_dark_on_both_sides() -> None:
    clean, noisy = many(Variety(soft=0, flat=0, drawn=0, dark=1, darkness=(0.05, 0.05)))
    assert clean.max() <= 0.05 + 1e-6
    assert noisy.max() <= 0.05 + 1e-6


def test_soft_pictures_are_taken_as_they_are() -> None:
    clean, _ = many(Variety(soft=1, flat=0, drawn=0, tinted=0, dark=0))
    torch.testing.assert_close(clean, torch.full_like(clean, 77 / 255))


def test_sharp_pictures_are_enlarged() -> None:
    def steps(variety: Variety) -> float:
        return float(many(variety)[0].diff(dim=-1).abs().mean())

    assert steps(Variety(**{**vars(PLAIN), "enlarged": 1.0})) < 0.8 * steps(PLAIN)


def test_exposure_and_saturation() -> None:
    def colours(**ranges: tuple[float, float]) -> tuple[float, float]:
        clean = many(replace(PLAIN, shrunk=0, **ranges))[0]  # type: ignore[arg-type]
        return float(clean.mean()), float(clean.std(dim=1).mean())

    brightness, colour = colours()
    assert colours(exposure=(0.5, 0.5)) == pytest.approx((brightness / 2, colour / 2), rel=0.1)
    assert colours(saturation=(0.5, 0.5)) == pytest.approx((brightness, colour / 2), rel=0.1)


def test_any_model_makes_the_noise() -> None:
    patches = MadePatches(SHARP, [], 32, 3, WhiteGaussian(0.01), PLAIN)
    clean, noisy = patches.__getitems__([0, 1])[1]
    assert 0.005 < float((noisy - clean).std()) < 0.011
    assert torch.equal(noisy, patches[1][1])


def test_drawn_patches_are_of_two_colours_and_their_blends_or_dark_skies() -> None:
    clean, _ = many(Variety(drawn=1, flat=0, tinted=0, dark=0))
    spread = [
        torch.linalg.svdvals(p.flatten(1) - p.flatten(1).mean(1, keepdim=True)) for p in clean
    ]
    blends = [float(values[1]) < 1e-3 * max(1, float(values[0])) for values in spread]
    assert 0.4 < np.mean(blends) < 0.9
    skies = [patch for patch, blend in zip(clean, blends, strict=True) if not blend]
    assert all(float(sky.median()) < 0.4 for sky in skies)
    seen = [float(values[0]) > 0.5 for values, blend in zip(spread, blends, strict=True) if blend]
    assert np.mean(seen) > 0.6


def test_the_noise_is_the_one_that_was_given() -> None:
    patches = MadePatches(SHARP, [], 32, 3, DevelopedNoise((2, 2), phones=0), PLAIN)
    clean, noisy = patches[0]
    assert 0 < float((noisy - clean).std()) * 255 < 6


def test_settings_of_no_use_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.extra\.variety\.flat is 2"):
        Variety(flat=2)
    with pytest.raises(ConfigError, match=r"data\.extra\.variety\.darkness is \(0\.5, 1\.5\)"):
        Variety(darkness=(0.5, 1.5))
    with pytest.raises(DataError, match="only 80 pixels"):
        MadePatches(SHARP, [], 96, 0)
