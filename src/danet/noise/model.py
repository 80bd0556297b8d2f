"""The base class of the noise models."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from danet import images
from danet.errors import ConfigError
from danet.noise.sampling import Level, Sampler, check_draws

__all__ = ["Array", "NoiseModel", "log_uniform"]

Array: TypeAlias = NDArray[np.floating]


class NoiseModel(Sampler):
    """A model that makes noisy versions of a clean picture; it is sampled as a `NoiseGenerator`.

    A subclass says in ``add_noise`` how one version is made.
    """

    @abstractmethod
    def add_noise(self, clean: Array, rng: np.random.Generator) -> Array:
        """One noisy version of one picture, for use in data loaders.

        Args:
            clean: H x W x 3, float32 in [0, 1].  It is left as it is.
            rng: where every random choice comes from.

        Returns:
            H x W x 3, float32 in [0, 1].
        """

    def add_to_batch(self, clean: Tensor, sources: Sequence[np.random.Generator]) -> Tensor:
        """One noisy version of each picture; the same, whatever else is in the batch.

        Args:
            clean: N x 3 x H x W, float32 in [0, 1].
            sources: N, where every random choice for a picture comes from.

        Returns:
            N x 3 x H x W, float32 in [0, 1].
        """
        pictures = clean.movedim(1, -1).numpy()
        noisy = [self.add_noise(*each) for each in zip(pictures, sources, strict=True)]
        return torch.from_numpy(np.stack(noisy)).movedim(-1, 1).contiguous()

    def _draw(
        self, clean: images.Picture, n: int, seed: int | None, level: Level
    ) -> Iterator[images.Picture]:
        check_draws(n, seed)
        if level is not None:
            raise ConfigError(
                f"level is {level!r}, and must be None for a {type(self).__name__}: how strong its "
                "noise is, is fixed by its settings"
            )
        tensor, form = images.to_tensor(clean)
        pictures = tensor.detach().cpu().movedim(1, -1).numpy()

        def version(child: np.random.SeedSequence) -> images.Picture:
            rng = np.random.default_rng(child)
            noisy = np.stack([self.add_noise(picture, rng) for picture in pictures])
            return images.from_tensor(tensor.new_tensor(noisy).movedim(-1, 1), form)

        return (version(child) for child in np.random.SeedSequence(seed).spawn(n))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two positive ones, uniform in its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
