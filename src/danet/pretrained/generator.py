"""The noise generator, for pictures of every kind and size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from danet.engine import Latent
from danet.images import Picture
from danet.networks import GeneratorNetwork
from danet.parts import Area, check_picture, size_of
from danet.pretrained.drawing import drawing, side_by_side
from danet.pretrained.model import Pretrained
from danet.sampling import NormalRows, Sampler, check_draws
from danet.sizes import pad

__all__ = ["NoiseGenerator"]


class NoiseGenerator(Pretrained, Sampler):
    """Adds noise as a camera does: G(x, z) of the paper, z ~ N(0, 1).

    "Dual Adversarial Network: Toward Real-world Noise Removal and Noise Generation", ECCV 2020.

    Args:
        weights: as for `Denoiser`; a network is a `danet.networks.GeneratorNetwork`.
        device: as for `Denoiser`, and so are all that follow.
        devices: as for `Denoiser`.
        tile: as for `Denoiser`.
        max_memory: as for `Denoiser`.
        halo: as for `Denoiser`.
        border: as for `Denoiser`; z is drawn for the border too.
        dtype: as for `Denoiser`.
        compile: as for `Denoiser`.
        runtime: as for `Denoiser`.

    Attributes:
        network: the network, an ordinary module.  Train it by calling it directly.
        engine: as for `Denoiser`.

    Raises:
        WeightsError: there are no such weights, or they do not fit.
        ConfigError: a setting is of no use, or what it needs is not installed.

    Example:
        >>> generator = NoiseGenerator()
        >>> clean = np.full((45, 70, 3), 128, np.uint8)
        >>> generator.sample(clean, n=4, seed=1).shape
        (4, 45, 70, 3)
    """

    _kind = "generator"
    _network_class = GeneratorNetwork

    def example(self) -> Image.Image:
        """A drawing, and with generated noise, side by side, as model cards show it."""
        return side_by_side(drawing(), *self.sample(drawing(), n=1, seed=0))

    def _draw(self, clean: Picture, n: int, seed: int | None) -> Iterator[Picture]:
        check_draws(n, seed)
        check_picture(clean)
        entropy = np.random.SeedSequence(seed).entropy
        border = self.engine.border_of(self.network)

        def noisy() -> Iterator[Picture]:
            at_once = self.engine.draws_at_once(self.network, clean, n)
            for first in range(0, n, at_once):
                samples = range(first, min(first + at_once, n))
                yield from self._run(clean, [_latent(clean, [entropy, k], border) for k in samples])

        return noisy()


def _latent(clean: Picture, seeds: list[Any], border: int) -> Latent:
    """What draws z for areas of the pictures and of the border around them: N x 1 x h x w.

    Each picture has a stream of its own, so that neither the batch nor the tiles change it.  In
    the border, a reflection of z would make stronger noise at the picture's sides.
    """
    height, width = (length + 2 * border for length in size_of(clean))
    pictures = clean.shape[0] if isinstance(clean, Tensor) and clean.ndim == 4 else 1
    sources = []
    for index in range(pictures):
        state = np.random.SeedSequence([*seeds, index]).generate_state(1, np.uint64)
        sources.append(NormalRows(int(state[0]), (height, width)))

    def latent(group: range, area: Area) -> Tensor:
        rows, columns = (slice(span.start + border, span.stop + border) for span in area)
        drawn = [sources[index].rows(rows.start, min(rows.stop, height)) for index in group]
        missing = 0, max(rows.stop - height, 0), 0, max(columns.stop - width, 0)
        return pad(torch.stack(drawn)[:, None, :, columns], missing)

    return latent
