"""Noise as a transform of Albumentations.

Raises:
    ConfigError: Albumentations is not installed, or has another interface, on import.
"""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import get_worker_info

from danet.augment.adding import Noise, add_noise, check_settings, noise_source
from danet.errors import ConfigError, require

# This module is nothing but a subclass of its transform, and is imported only when asked for.
ImageOnlyTransform: Any = require(
    "albumentations", "albumentations", "danet.augment.albumentations"
).ImageOnlyTransform

# AlbumentationsX has the same name, and asks its transforms for something else.
if not hasattr(ImageOnlyTransform, "get_params"):
    raise ConfigError(
        "danet.augment.albumentations needs Albumentations 2.0.8, and what is installed under its "
        "name has another interface: pip install 'danet[albumentations]' in another environment"
    )

__all__ = ["AddNoise"]


class AddNoise(ImageOnlyTransform):
    """Adds noise as a camera does, or as a model of noise, to images.

    Takes ``image``, H x W or H x W x C of uint8, or of float32 in [0, 1], and the collections
    ``images``, ``volume`` and ``volumes``, each picture of which has noise of its own, of one
    strength.  Masks, boxes and keypoints are left as they are.

    All random choices come from the transform's generators, which ``A.Compose(seed=...)`` seeds.
    Albumentations 2.0.8 gives each process of a ``DataLoader`` a copy of them, in one and
    the same state in every process and epoch; here the process's own seed is mixed in.  So the
    noise repeats with the seeds of both, ``A.Compose`` and ``DataLoader``.

    Args:
        noise: a `danet.NoiseGenerator`, a `danet.noise.NoiseModel`, or the name or path of a
            generator's weights, which are loaded at once and on the CPU.  Given by name, the
            transform can be saved by ``A.save``.
        p: the share of pictures that get noise.
        strength: the lowest and highest factor of what is added.  It is drawn evenly
            between them; 1 is the noise as it is made.
        level: the lowest and highest level of the noise, as `danet.NoiseGenerator.sample` takes
            it, likewise; None draws it as in the generator's training pictures.

    Raises:
        WeightsError: there are no such weights, or they do not fit.
        ConfigError: a setting is out of its range.

    Example:
        >>> import albumentations as A
        >>> transform = A.Compose([A.RandomCrop(32, 32), AddNoise(p=1)], seed=1)
        >>> transform(image=np.full((45, 70, 3), 128, np.uint8))["image"].shape
        (32, 32, 3)
    """

    def __init__(
        self,
        noise: Noise = "photo",
        p: float = 0.5,
        strength: tuple[float, float] = (1.0, 1.0),
        level: tuple[float, float] | None = None,
    ) -> None:
        self.strength, self.level = check_settings(p, strength, level)
        self.noise = os.fspath(noise) if isinstance(noise, os.PathLike) else noise
        self._source = noise_source(noise)
        super().__init__(p=p)

    def set_random_seed(self, seed: int | None) -> None:
        """See ``A.BasicTransform``."""
        super().set_random_seed(seed)
        self._seeded_in = _worker_seed()

    def set_random_state(
        self, random_generator: np.random.Generator, py_random: random.Random
    ) -> None:
        """See ``A.BasicTransform``."""
        super().set_random_state(random_generator, py_random)
        self._seeded_in = _worker_seed()

    def should_apply(self, force_apply: bool = False) -> bool:
        """See ``A.BasicTransform``: the first thing that a call asks, and where it draws first."""
        worker = _worker_seed()
        if worker is not None and worker != self._seeded_in:
            # Seeded before this process began: every other one begins with the same generators.
            words = self.random_generator.integers(2**32, size=4).tolist()
            mixed = np.random.default_rng([*words, worker])
            self.set_random_state(mixed, random.Random(int(mixed.integers(2**63))))
        return bool(super().should_apply(force_apply))

    def get_params(self) -> dict[str, Any]:
        """See ``A.BasicTransform``: strength, level and seed of the noise of one call."""
        rng = self.random_generator
        return {
            "strength": float(rng.uniform(*self.strength)),
            "level": None if self.level is None else float(rng.uniform(*self.level)),
            "seed": int(rng.integers(2**63)),
        }

    def apply(
        self, img: NDArray[Any], seed: int, strength: float, level: float | None, **params: Any
    ) -> NDArray[Any]:
        """See ``A.BasicTransform``: one picture with noise.

        Raises:
            ImageError: the image cannot be taken as a picture; the message says why.
            DanetError: the memory does not suffice.
        """
        return add_noise(img, self._source, seed=seed, strength=strength, level=level)

    def apply_to_images(self, images: NDArray[Any], seed: int, **params: Any) -> NDArray[Any]:
        """See ``A.BasicTransform``: pictures along the first axis."""
        words = np.random.SeedSequence(seed).generate_state(len(images), np.uint64)
        seeds = [int(word) for word in words]
        return np.stack(
            [self.apply(image, seed, **params) for image, seed in zip(images, seeds, strict=True)]
        )

    def apply_to_volumes(self, volumes: NDArray[Any], **params: Any) -> NDArray[Any]:
        """See ``A.BasicTransform``: pictures along the first two axes."""
        pictures = volumes.reshape(-1, *volumes.shape[2:])
        return self.apply_to_images(pictures, **params).reshape(volumes.shape)


def _worker_seed() -> int | None:
    """The seed of the process of a data loader that this is; None in any other."""
    worker = get_worker_info()
    return None if worker is None else worker.seed
