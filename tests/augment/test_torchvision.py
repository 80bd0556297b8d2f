from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from danet import NoiseGenerator
from danet.errors import ConfigError, ImageError
from danet.networks import build
from danet.noise import WhiteGaussian

try:
    module = importlib.import_module("danet.augment.torchvision")
except ConfigError as error:
    pytest.skip(str(error), allow_module_level=True)
AddNoise = module.AddNoise
tv_tensors, v2 = module.tv_tensors, module.v2

WHITE = WhiteGaussian(0.02)
GREY = torch.full((3, 24, 32), 0.5)


class Seeded(Dataset[Tensor]):
    """Seeds the noise of a picture by its number, as docs/augmentation.md tells."""

    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Tensor:
        torch.manual_seed(index)
        noisy: Tensor = self.transform(GREY)
        return noisy


def pictures() -> dict[str, Any]:
    array = np.full((24, 32, 3), 128, np.uint8)
    tensor = torch.from_numpy(array).movedim(-1, 0)
    return {
        "PIL": Image.fromarray(array),
        "grey PIL": Image.fromarray(array[..., 0]),
        "Image of uint8": tv_tensors.Image(tensor),
        "Image of float": tv_tensors.Image(tensor / 255),
        "grey Image": tv_tensors.Image(tensor[:1]),
        "batch of Images": tv_tensors.Image(tensor.expand(2, 3, 24, 32)),
        "Video": tv_tensors.Video(tensor.expand(2, 4, 3, 24, 32) / 255),
        "tensor of uint8": tensor,
        "tensor of float": tensor / 255,
        "batch of float16": tensor.expand(2, 3, 24, 32).half() / 255,
    }


@pytest.mark.parametrize("kind", pictures())
def test_the_kind_of_a_picture_stays(kind: str) -> None:
    clean = pictures()[kind]
    noisy = AddNoise(WHITE, p=1)(clean)
    assert type(noisy) is type(clean)
    if isinstance(clean, Image.Image):
        assert (noisy.mode, noisy.size) == (clean.mode, clean.size)
    else:
        assert (noisy.dtype, noisy.shape) == (clean.dtype, clean.shape)
    assert np.asarray(noisy).std() > 0
    assert np.asarray(clean).std() == 0


def test_the_seed_of_torch_decides() -> None:
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(AddNoise(WHITE, p=1, strength=(0, 2))(GREY))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_successive_pictures_differ() -> None:
    transform = AddNoise(WHITE, p=1)
    assert not torch.equal(transform(GREY), transform(GREY))


@pytest.mark.parametrize("kind", pictures())
def test_p_0_gives_the_picture_itself(kind: str) -> None:
    clean = pictures()[kind]
    assert np.array_equal(np.asarray(AddNoise(WHITE, p=0)(clean)), np.asarray(clean))


def test_p_is_the_share_within_a_batch() -> None:
    clean = torch.full((2000, 1, 2, 2), 0.5)
    changed = (AddNoise(WHITE, p=0.25)(clean) != clean).flatten(1).any(dim=1)
    assert changed.float().mean().item() == pytest.approx(0.25, abs=0.05)


def test_strength_is_drawn_for_each_picture_of_a_batch() -> None:
    clean = torch.full((40, 3, 64, 64), 0.5)
    noisy = AddNoise(WHITE, p=1, strength=(0.5, 2))(clean)
    deviations = noisy.std(dim=(1, 2, 3)) / 0.02
    assert deviations.min() > 0.5 * 0.95
    assert deviations.max() < 2 * 1.05
    assert deviations.max() > 1.5 * deviations.min()


def test_frames_of_a_video_share_the_strength_and_not_the_noise() -> None:
    clean = tv_tensors.Video(torch.full((2, 3, 3, 64, 64), 0.5))
    noise = AddNoise(WHITE, p=1, strength=(0, 4))(clean) - clean
    deviations = noise.std(dim=(2, 3, 4))
    torch.testing.assert_close(deviations[:, 0], deviations[:, 1], rtol=0.05, atol=0)
    assert not torch.isclose(deviations[0, 0], deviations[1, 0], rtol=0.05)
    assert not torch.equal(noise[0, 0], noise[0, 1])


def test_masks_boxes_and_labels_are_left_alone() -> None:
    sample = {
        "image": tv_tensors.Image(GREY),
        "mask": tv_tensors.Mask(torch.randint(0, 5, (24, 32))),
        "boxes": tv_tensors.BoundingBoxes(
            [[1, 2, 10, 12]], format="XYXY", canvas_size=(24, 32), dtype=torch.float32
        ),
        "label": torch.tensor(3),
        "features": torch.rand(3, 4, 4),
    }
    made = v2.Compose([v2.Identity(), AddNoise(WHITE, p=1)])(sample)
    assert not torch.equal(made.pop("image"), sample["image"])
    assert set(made) == {"mask", "boxes", "label", "features"}
    for name, value in made.items():
        assert torch.equal(value, sample[name]), name


@pytest.mark.parametrize("p", [0, 1])
def test_where_there_are_no_pictures_there_is_nothing_to_do(p: float) -> None:
    for empty in (
        tv_tensors.Video(torch.empty(0, 3, 24, 32)),
        tv_tensors.Video(torch.empty(2, 0, 3, 24, 32)),
        tv_tensors.Image(torch.empty(0, 3, 24, 32, dtype=torch.uint8)),
        torch.empty(0, 3, 24, 32),
    ):
        made = AddNoise(WHITE, p=p)(empty)
        assert type(made) is type(empty)
        assert (made.shape, made.dtype) == (empty.shape, empty.dtype)


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ImageError, match="no picture"):
        AddNoise(WHITE, p=0)(torch.rand(8, 8))
    with pytest.raises(ImageError, match="int64"):
        AddNoise(WHITE, p=1)(torch.ones(3, 8, 8, dtype=torch.int64))


def test_settings_are_checked_and_shown(tiny_weights: Path) -> None:
    with pytest.raises(ConfigError, match="p is 2"):
        AddNoise(WHITE, p=2)
    shown = repr(AddNoise(str(tiny_weights), p=0.25, strength=(0.5, 2)))
    assert "p=0.25" in shown
    assert "strength=(0.5, 2)" in shown
    assert str(tiny_weights) in shown


@pytest.mark.parametrize("named", [True, False])
def test_pickled_it_makes_the_same_noise(named: bool, tiny_weights: Path) -> None:
    transform = AddNoise(tiny_weights if named else NoiseGenerator(tiny_weights), p=1)
    made = []
    for copy in (transform, pickle.loads(pickle.dumps(transform))):
        torch.manual_seed(1)
        made.append(copy(GREY))
    assert torch.equal(*made)
    assert not torch.equal(made[0], GREY)


def loaded(transform: Any, context: str, seed: int) -> list[Tensor]:
    """Four equal pictures, with the noise that two processes add."""
    loader: DataLoader[Tensor] = DataLoader(
        [GREY] * 4,  # type: ignore[arg-type]
        batch_size=None,
        num_workers=2,
        collate_fn=transform,
        multiprocessing_context=context,
        generator=torch.Generator().manual_seed(seed),
        timeout=300,  # a process that hangs is an error
    )
    return list(loader)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_processes_end_and_differ() -> None:
    transform = AddNoise(NoiseGenerator(build("generator", "unet", width=2), device="cpu"), p=1)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        transform(torch.rand(3, 256, 256))  # starts the threads that a fork does not copy
        first, again, other = (loaded(transform, "fork", seed) for seed in (1, 1, 2))
    finally:
        torch.set_num_threads(threads)
    assert len(torch.stack(first + other).unique(dim=0)) == 8
    assert torch.equal(torch.stack(first), torch.stack(again))


def test_spawned_processes_end_and_differ(tiny_weights: Path) -> None:
    made = loaded(AddNoise(tiny_weights, p=1), "spawn", seed=1)
    assert len(torch.stack(made).unique(dim=0)) == 4


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_seeded_by_picture_the_number_of_processes_does_not_matter() -> None:
    dataset = Seeded(AddNoise(WHITE, p=0.5, strength=(0.5, 2)))
    made = [torch.cat(list(DataLoader(dataset, num_workers=count))) for count in (0, 2)]
    assert torch.equal(*made)
    assert len(made[0].unique(dim=0)) > 1


def test_a_level_is_drawn_for_each_picture() -> None:
    source = NoiseGenerator(build("generator", "modulated", 2, 2, levels=(0.01, 0.02, 0.03)))
    clean = torch.full((40, 3, 32, 32), 0.5)
    typical = source.sample(clean, n=1, seed=1, level=0.02).std(dim=(0, 2, 3, 4)).mean()
    noisy = AddNoise(source, p=1, level=(0.01, 0.04))(clean)
    levels = 0.02 * noisy.std(dim=(1, 2, 3)) / typical
    assert levels.min() > 0.01 * 0.8
    assert levels.max() < 0.04 * 1.2
    assert levels.max() > 2 * levels.min()
