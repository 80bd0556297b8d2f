from __future__ import annotations

import importlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from danet.augment import add_noise
from danet.errors import ConfigError, ImageError
from danet.networks import build
from danet.noise import WhiteGaussian
from danet.pretrained import NoiseGenerator

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # for the processes that are started here
A = pytest.importorskip("albumentations")
AddNoise = importlib.import_module("danet.augment.albumentations").AddNoise

WHITE = WhiteGaussian(0.02)
GREY = np.full((24, 32, 3), 0.5, np.float32)


class Noisy(Dataset[NDArray[np.float32]]):
    """Four equal pictures with noise, seeded by their number where that is asked for."""

    def __init__(self, transform: Any, *, by_number: bool = False) -> None:
        self.transform = transform
        self.by_number = by_number

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        if self.by_number:
            self.transform.set_random_seed(index)
        noisy: NDArray[np.float32] = self.transform(image=GREY)["image"]
        return noisy


@pytest.mark.parametrize("shape", [(24, 32), (24, 32, 1), (24, 32, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_kind_of_a_picture_stays(shape: tuple[int, ...], dtype: type) -> None:
    clean: NDArray[Any] = np.full(shape, 128 if dtype is np.uint8 else 0.5, dtype)
    noisy = A.Compose([AddNoise(WHITE, p=1)])(image=clean)["image"]
    assert (noisy.dtype, noisy.shape) == (clean.dtype, clean.shape)
    assert noisy.std() > 0
    assert clean.std() == 0


def test_the_seed_of_compose_decides() -> None:
    first, again, other = (
        A.Compose([AddNoise(WHITE, p=1, strength=(0, 2))], seed=seed)(image=GREY)["image"]
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_successive_pictures_differ() -> None:
    transform = AddNoise(WHITE, p=1)
    assert not np.array_equal(transform(image=GREY)["image"], transform(image=GREY)["image"])


def test_p_is_the_share_of_pictures() -> None:
    clean = GREY[:2, :2]
    for p in (0, 0.25, 1):
        transform = A.Compose([AddNoise(WHITE, p=p)], seed=1)
        changed = [not np.array_equal(transform(image=clean)["image"], clean) for _ in range(800)]
        assert np.mean(changed) == pytest.approx(p, abs=0.05 if p == 0.25 else 0)


def test_strength_is_drawn_from_the_range() -> None:
    transform = A.Compose([AddNoise(WHITE, p=1, strength=(0.5, 2))], seed=1)
    clean = np.full((64, 64, 3), 0.5, np.float32)
    deviations = [transform(image=clean)["image"].std() / 0.02 for _ in range(40)]
    assert min(deviations) > 0.5 * 0.95
    assert max(deviations) < 2 * 1.05
    assert max(deviations) > 1.5 * min(deviations)


def test_masks_and_boxes_are_left_alone() -> None:
    mask = np.random.default_rng(0).integers(0, 5, (24, 32), np.uint8)
    boxes = np.array([[1.0, 2.0, 10.0, 12.0, 7.0]])
    # Without a transform that takes boxes, Compose warns.
    steps = [A.HorizontalFlip(p=0), AddNoise(WHITE, p=1)]
    transform = A.Compose(steps, bbox_params=A.BboxParams("pascal_voc"))
    made = transform(image=GREY, mask=mask, bboxes=boxes)
    assert np.array_equal(made["mask"], mask)
    np.testing.assert_allclose(made["bboxes"], boxes, atol=1e-4)
    assert not np.array_equal(made["image"], GREY)


@pytest.mark.parametrize(("target", "axes"), [("images", 1), ("volume", 1), ("volumes", 2)])
def test_each_picture_of_a_collection_has_its_own_noise(target: str, axes: int) -> None:
    clean = np.full((2,) * axes + GREY.shape, 0.5, np.float32)
    made = A.Compose([AddNoise(WHITE, p=1)])(**{target: clean})[target]
    assert (made.shape, made.dtype) == (clean.shape, clean.dtype)
    assert len(np.unique(made.reshape(2**axes, -1), axis=0)) == 2**axes


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ImageError, match="from 0 to 1"):
        AddNoise(WHITE, p=1)(image=GREY * 255)
    with pytest.raises(ConfigError, match="p is 2"):
        AddNoise(WHITE, p=2)
    with pytest.raises(ConfigError, match=r"strength is \(2, 1\)"):
        AddNoise(WHITE, strength=(2, 1))


def test_named_weights_are_saved_by_their_name(tiny_weights: Path) -> None:
    transform = A.Compose([AddNoise(tiny_weights, p=0.75, strength=(0.5, 2))])
    text = json.dumps(A.to_dict(transform))
    (restored,) = A.from_dict(json.loads(text)).transforms
    assert (restored.noise, restored.p, restored.strength) == (str(tiny_weights), 0.75, (0.5, 2))


def test_a_replay_makes_the_same_noise() -> None:
    made = A.ReplayCompose([AddNoise(WHITE, p=1, strength=(0, 2))])(image=GREY)
    replayed = A.ReplayCompose.replay(made["replay"], image=GREY)
    assert np.array_equal(replayed["image"], made["image"])


def test_what_was_drawn_makes_the_same_noise_elsewhere() -> None:
    transform = AddNoise(WHITE, p=1, strength=(0, 2))
    made = transform(image=GREY)["image"]
    drawn = {name: transform.params[name] for name in ("seed", "strength")}
    assert np.array_equal(add_noise(GREY, WHITE, **drawn), made)


def test_pickled_it_makes_the_same_noise(tiny_weights: Path) -> None:
    transform = A.Compose([AddNoise(tiny_weights, p=1)], seed=1)
    copy = pickle.loads(pickle.dumps(transform))
    made = [each(image=GREY)["image"] for each in (transform, copy)]
    assert np.array_equal(*made)
    assert not np.array_equal(made[0], GREY)


def loaded(dataset: Noisy, context: str, loader_seed: int, epochs: int = 1) -> torch.Tensor:
    """The pictures of all epochs, as two processes make them."""
    loader = DataLoader(
        dataset,
        num_workers=2,
        multiprocessing_context=context,
        generator=torch.Generator().manual_seed(loader_seed),
        timeout=300,  # a process that hangs is an error
    )
    return torch.cat([batch for _ in range(epochs) for batch in loader])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("seed", [None, 1])
def test_forked_processes_and_epochs_differ(seed: int | None) -> None:
    dataset = Noisy(A.Compose([AddNoise(WHITE, p=1)], seed=seed))
    first, again, other = (loaded(dataset, "fork", each, epochs=2) for each in (1, 1, 2))
    assert len(torch.cat([first, other]).unique(dim=0)) == 16
    assert torch.equal(first, again)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_the_seed_of_compose_decides_in_processes_too() -> None:
    first, again, other = (
        loaded(Noisy(A.Compose([AddNoise(WHITE, p=1)], seed=seed)), "fork", loader_seed=1)
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_whether_to_add_noise_differs_between_processes() -> None:
    dataset = Noisy(A.Compose([AddNoise(WHITE, p=0.5)], seed=1))
    made = loaded(dataset, "fork", loader_seed=1, epochs=8)
    changed = (made != 0.5).flatten(1).any(dim=1)
    # The pictures of an epoch come from the two processes in turn.
    assert not torch.equal(changed[::2], changed[1::2])


def test_spawned_processes_end_and_differ(tiny_weights: Path) -> None:
    made = loaded(Noisy(A.Compose([AddNoise(tiny_weights, p=1)], seed=1)), "spawn", loader_seed=1)
    assert len(made.unique(dim=0)) == 4


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_seeded_by_picture_the_number_of_processes_does_not_matter() -> None:
    transform = A.Compose([AddNoise(WHITE, p=0.5, strength=(0.5, 2))])
    dataset = Noisy(transform, by_number=True)
    alone = torch.cat(list(DataLoader(dataset)))
    assert torch.equal(alone, loaded(dataset, "fork", loader_seed=1))
    assert len(alone.unique(dim=0)) > 1


def test_a_level_is_drawn_from_the_range() -> None:
    source = NoiseGenerator(build("generator", "modulated", 2, 2, levels=(0.01, 0.02, 0.03)))
    clean = np.full((32, 32, 3), 0.5, np.float32)
    typical = np.mean([version.std() for version in source.sample(clean, 20, 1, level=0.02)])
    transform = A.Compose([AddNoise(source, p=1, level=(0.01, 0.04))], seed=1)
    levels = [0.02 * transform(image=clean)["image"].std() / typical for _ in range(40)]
    assert min(levels) > 0.01 * 0.8
    assert max(levels) < 0.04 * 1.2
    assert max(levels) > 2 * min(levels)
