"""The base class of all that draws noisy versions of a picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, TypeVar, cast, overload

from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from danet.errors import check_count
from danet.images import Picture, stack

__all__ = ["Level", "Sampler", "check_draws"]

Level: TypeAlias = float | Sequence[float] | None

_PictureT = TypeVar("_PictureT", Image.Image, NDArray[Any], Tensor)


class Sampler(ABC):
    """Makes noisy versions of clean pictures.

    A subclass says in ``_draw`` how; it refuses bad arguments at once, not when the first
    picture is asked for.
    """

    @overload
    def sample(
        self, clean: Image.Image, n: int = 50, seed: int | None = None, level: Level = None
    ) -> list[Image.Image]: ...

    @overload
    def sample(
        self, clean: NDArray[Any], n: int = 50, seed: int | None = None, level: Level = None
    ) -> NDArray[Any]: ...

    @overload
    def sample(
        self, clean: Tensor, n: int = 50, seed: int | None = None, level: Level = None
    ) -> Tensor: ...

    def sample(
        self, clean: Picture, n: int = 50, seed: int | None = None, level: Level = None
    ) -> list[Image.Image] | NDArray[Any] | Tensor:
        """Make n noisy versions of a clean picture.

        Args:
            clean: a PIL image, array or tensor, as `danet.images.to_tensor` takes it.  It is
                left as it is.
            n: how many.
            seed: not negative; the same one gives the same noise, whatever n, the tiles and the
                device.  None draws a new one.
            level: how strong the noise is, as `danet.metrics.noise_level` measures that of a
                usual picture, in [0, 1]; of a batch, one for all or one for each picture.  The same
                seed gives the same noise at another level.  None draws one for each picture as in
                the training pictures.  Only a `danet.NoiseGenerator` takes a level, if its weights
                were trained by level.

        Returns:
            An array or tensor as the picture with a leading axis n, or a list of n PIL images.
            Integers are rounded; floats are in [0, 1].

        Raises:
            ImageError: the picture cannot be taken; the message says why.
            ConfigError: n or the seed is no whole number, n is not positive, or the seed negative;
                or the level is none or cannot be had.
            DanetError: the memory does not suffice.

        Example:
            >>> import torch
            >>> from danet import NoiseGenerator
            >>> NoiseGenerator().sample(torch.rand(3, 45, 70), n=2, seed=1).shape
            torch.Size([2, 3, 45, 70])
        """
        return stack(list(self._draw(clean, n, seed, level)))

    def stream(
        self, clean: _PictureT, n: int = 50, seed: int | None = None, level: Level = None
    ) -> Iterator[_PictureT]:
        """Make the pictures of `sample` one by one, so that one at a time needs memory.

        Args:
            clean: as for `sample`; it is read before the first picture is asked for.
            n: as for `sample`.
            seed: as for `sample`.
            level: as for `sample`.

        Returns:
            An iterator over n pictures, each of the kind and shape of ``clean``.

        Raises:
            ImageError: as `sample`, at once.
            ConfigError: as `sample`, at once.

        Example:
            >>> import torch
            >>> from danet import NoiseGenerator
            >>> noisy = NoiseGenerator().stream(torch.rand(1, 45, 70), n=2, seed=1)
            >>> [picture.shape for picture in noisy]
            [torch.Size([1, 45, 70]), torch.Size([1, 45, 70])]
        """
        return cast("Iterator[_PictureT]", self._draw(clean, n, seed, level))

    @abstractmethod
    def _draw(self, clean: Picture, n: int, seed: int | None, level: Level) -> Iterator[Picture]:
        """The pictures of `stream`."""


def check_draws(n: int, seed: int | None) -> None:
    """Refuse a number of versions below 1, and a negative seed.

    Raises:
        ConfigError: one of them is no whole number, ``n`` is not positive, or the seed negative.
    """
    check_count("n", n, 1)
    if seed is not None:
        check_count("seed", seed)
