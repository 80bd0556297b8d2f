"""The noise generator, for pictures of every kind and size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Real
from typing import cast

import numpy as np
from PIL import Image

from danet.errors import ConfigError
from danet.images import Picture
from danet.images.parts import check_picture, raster
from danet.networks import GeneratorNetwork
from danet.noise.sampling import Level, Sampler, check_draws
from danet.pretrained.drawing import drawing, side_by_side
from danet.pretrained.latent import latent_of
from danet.pretrained.model import Pretrained

__all__ = ["NoiseGenerator"]


class NoiseGenerator(Pretrained, Sampler):
    """Adds noise as a camera does: G(x, z) of the paper, z ~ N(0, 1).

    "Dual Adversarial Network: Toward Real-world Noise Removal and Noise Generation", ECCV 2020.

    Args:
        weights: as for `Denoiser`; a network is a `danet.networks.GeneratorNetwork`.
        device: as for `Denoiser`.
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
        WeightsError: there are no such weights, or the weights are not those of a generator.
        ConfigError: a setting is out of its range or unknown, settings do not go together, or a
            package that a setting needs is not installed.

    Example:
        >>> generator = NoiseGenerator()
        >>> clean = np.full((45, 70, 3), 128, np.uint8)
        >>> generator.sample(clean, n=4, seed=1).shape
        (4, 45, 70, 3)
    """

    _network_class = GeneratorNetwork

    def example(self) -> Image.Image:
        """A drawing, and with generated noise, side by side, as model cards show it."""
        return side_by_side(drawing(), *self.sample(drawing(), n=1, seed=0))

    def _draw(self, clean: Picture, n: int, seed: int | None, level: Level) -> Iterator[Picture]:
        check_draws(n, seed)
        check_picture(clean)
        network, border = cast(GeneratorNetwork, self.network), self.engine.border
        levels = [] if level is None else self._levels(level, raster(clean).count)
        entropy = np.random.SeedSequence(seed).entropy
        latents = (latent_of(clean, [entropy, k], border, network, levels) for k in range(n))
        return self.engine.run(clean, latents, n)

    def _levels(self, level: float | Sequence[float], pictures: int) -> list[float]:
        """The level of each picture.

        Raises:
            ConfigError: the network knows no levels, one is not in [0, 1], or there are neither one
                nor as many as pictures.
        """
        network = cast(GeneratorNetwork, self.network)
        if not network.levels:
            raise ConfigError(
                f"level is {level!r}, and must be None: this generator was not trained by level"
            )
        levels = list(level) if isinstance(level, Sequence) else [level]
        if not all(_is_share(value) for value in levels):
            raise ConfigError(
                f"level is {level!r}, and must be from 0 to 1; {network.typical_level:.4f} is "
                "typical"
            )
        if len(levels) not in (1, pictures):
            raise ConfigError(
                f"level has {len(levels)} values for {pictures} pictures, and must have one for "
                "all or one for each"
            )
        return levels * (pictures // len(levels))


def _is_share(value: object) -> bool:
    return isinstance(value, Real) and 0 <= float(value) <= 1
