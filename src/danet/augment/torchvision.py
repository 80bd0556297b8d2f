"""Noise as a transform of torchvision's ``transforms.v2``.

Raises:
    ConfigError: torchvision is not installed, or was built for another PyTorch, on import.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from PIL import Image
from torch import Tensor

from danet.augment.adding import Noise, add_noise, check_settings, noise_source
from danet.errors import ImageError, require

# This module is nothing but a subclass of its transform, and is imported only when asked for.
_PURPOSE = "danet.augment.torchvision"
tv_tensors: Any = require("torchvision.tv_tensors", "torchvision", _PURPOSE)
v2: Any = require("torchvision.transforms.v2", "torchvision", _PURPOSE)

__all__ = ["AddNoise"]

_Drawn: TypeAlias = tuple[float, float]


class AddNoise(v2.Transform):
    """Adds noise as a camera does, or as a model of noise, to images and videos.

    Takes PIL images, ``tv_tensors.Image`` and ``Video``, and plain tensors, ... x C x H x W, of
    uint8 or of floats in [0, 1].  C is 1 to 4; a second or fourth channel is transparency, and
    stays.  Masks, boxes and the like are left as they are.

    Every picture of a batch has a chance, a strength and noise of its own.  A video has one
    chance and one strength, and each frame noise of its own.  All random choices come from
    PyTorch's global generator on the CPU: ``torch.manual_seed`` repeats them, and a
    ``DataLoader`` gives each of its processes a seed of its own.

    Args:
        noise: a `danet.NoiseGenerator`, a `danet.noise.NoiseModel`, or the name or path of a
            generator's weights, which are loaded at once and on the CPU.
        p: the share of pictures that get noise.
        strength: the lowest and highest factor of what is added.  It is drawn evenly
            between them; 1 is the noise as it is made.
        level: the lowest and highest level of the noise, as `danet.NoiseGenerator.sample` takes
            it, likewise; None draws it as in the generator's training pictures.

    Raises:
        WeightsError: there are no such weights, or they do not fit.
        ConfigError: a setting is out of its range.

    Example:
        >>> transform = v2.Compose([v2.RandomCrop(32), AddNoise(p=1, strength=(0.5, 1.5))])
        >>> transform(torch.full((3, 45, 70), 0.5)).shape
        torch.Size([3, 32, 32])
    """

    def __init__(
        self,
        noise: Noise = "photo",
        *,
        p: float = 0.5,
        strength: tuple[float, float] = (1.0, 1.0),
        level: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        self.strength, self.level = check_settings(p, strength, level)
        self.p = p
        self.noise = noise
        self._source = noise_source(noise)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """See ``v2.Transform``: one image or video, with the noise that falls to it.

        Raises:
            ImageError: ``inpt`` cannot be taken as a picture; the message says why.
            DanetError: the memory does not suffice.
        """
        if isinstance(inpt, Image.Image):
            (drawn,) = self._draw(1)
            return inpt if drawn is None else self._noisy(inpt, [drawn])
        if not isinstance(inpt, tv_tensors.TVTensor):
            return self._tensor(inpt, frames=1)
        if not isinstance(inpt, tv_tensors.Image | tv_tensors.Video):
            return inpt
        frames = inpt.shape[-4] if isinstance(inpt, tv_tensors.Video) else 1
        return tv_tensors.wrap(self._tensor(inpt.as_subclass(Tensor), frames), like=inpt)

    def _tensor(self, pictures: Tensor, frames: int) -> Tensor:
        """... x C x H x W, of which ``frames`` in a row share a chance and a strength.

        Where there are no pictures at all, as in an empty batch, it is given back as it is.
        """
        if pictures.ndim < 3:
            raise ImageError(
                f"a tensor of shape {tuple(pictures.shape)} is no picture; it must be "
                "... x C x H x W"
            )
        if pictures.numel() == 0:
            return pictures
        batch = pictures.reshape(-1, *pictures.shape[-3:])
        drawn = self._draw(len(batch) // frames)
        settings = [setting for setting in drawn for _ in range(frames)]
        chosen = {index: value for index, value in enumerate(settings) if value is not None}
        if not chosen:
            return pictures
        places = list(chosen)
        noisy = batch.clone()
        noisy[places] = self._noisy(batch[places], list(chosen.values()))
        return noisy.reshape(pictures.shape)

    def _draw(self, count: int) -> list[_Drawn | None]:
        """Strengths and levels, None for what gets no noise."""
        chances, *places = torch.rand(3, count, dtype=torch.float64).tolist()
        ranges = self.strength, self.level or (0, 0)
        strengths, levels = (
            [low + (high - low) * place for place in each]
            for (low, high), each in zip(ranges, places, strict=True)
        )
        drawn = zip(chances, strengths, levels, strict=True)
        return [(strength, level) if chance < self.p else None for chance, strength, level in drawn]

    def _noisy(self, picture: Any, drawn: Sequence[_Drawn]) -> Any:
        strength, level = zip(*drawn, strict=True)
        return add_noise(
            picture,
            self._source,
            seed=int(torch.randint(2**63 - 1, ())),
            strength=strength,
            level=level if self.level else None,
        )
