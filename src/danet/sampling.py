"""What everything that draws noisy versions of a picture shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, TypeVar, cast, overload

import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from danet.errors import ConfigError
from danet.images import Picture, stack

__all__ = ["NormalRows", "Sampler", "check_draws"]

_PictureT = TypeVar("_PictureT", Image.Image, NDArray[Any], Tensor)


class Sampler(ABC):
    """Makes noisy versions of clean pictures.

    A subclass says in ``_draw`` how; it refuses bad arguments at once, not when the first
    picture is asked for.
    """

    @overload
    def sample(
        self, clean: Image.Image, n: int = 50, seed: int | None = None
    ) -> list[Image.Image]: ...

    @overload
    def sample(self, clean: NDArray[Any], n: int = 50, seed: int | None = None) -> NDArray[Any]: ...

    @overload
    def sample(self, clean: Tensor, n: int = 50, seed: int | None = None) -> Tensor: ...

    def sample(
        self, clean: Picture, n: int = 50, seed: int | None = None
    ) -> list[Image.Image] | NDArray[Any] | Tensor:
        """Make n noisy versions of a clean picture.

        Args:
            clean: a PIL image, array or tensor, as `danet.images.to_tensor` takes it.  It is
                left as it is.
            n: how many.
            seed: not negative; the same one gives the same noise, whatever n, the tiles and the
                device.  None draws a new one.

        Returns:
            An array or tensor as the picture with a leading axis n, or a list of n PIL images.
            Integers are rounded; floats are in [0, 1].

        Raises:
            ImageError: the picture cannot be taken; the message says why.
            ConfigError: n is not positive, or the seed is negative.
            DanetError: the memory does not suffice.

        Example:
            >>> from danet import NoiseGenerator
            >>> NoiseGenerator().sample(torch.rand(3, 45, 70), n=2, seed=1).shape
            torch.Size([2, 3, 45, 70])
        """
        return stack(list(self._draw(clean, n, seed)))

    def stream(self, clean: _PictureT, n: int = 50, seed: int | None = None) -> Iterator[_PictureT]:
        """Make the pictures of `sample` one by one, so that one at a time needs memory.

        Args:
            clean: as for `sample`; it is read before the first picture is asked for.
            n: as for `sample`.
            seed: as for `sample`.

        Returns:
            An iterator over n pictures, each of the kind and shape of ``clean``.

        Raises:
            ImageError: as `sample`, at once.
            ConfigError: as `sample`, at once.

        Example:
            >>> from danet import NoiseGenerator
            >>> noisy = NoiseGenerator().stream(torch.rand(1, 45, 70), n=2, seed=1)
            >>> [picture.shape for picture in noisy]
            [torch.Size([1, 45, 70]), torch.Size([1, 45, 70])]
        """
        return cast("Iterator[_PictureT]", self._draw(clean, n, seed))

    @abstractmethod
    def _draw(self, clean: Picture, n: int, seed: int | None) -> Iterator[Picture]:
        """The pictures of `stream`."""


def check_draws(n: int, seed: int | None) -> None:
    """Refuse a number of versions or a seed that is of no use.

    Raises:
        ConfigError: ``n`` is not positive, or the seed is negative.
    """
    if n < 1:
        raise ConfigError(f"n is {n}, and must be at least 1")
    if seed is not None and seed < 0:
        raise ConfigError(f"seed is {seed}, and must not be negative")


class NormalRows:
    """Rows of the numbers that ``torch.randn((height, width))`` draws, without holding them all.

    They are drawn on the CPU, whose numbers are the same everywhere.

    Args:
        seed: of the numbers, from 0 to 2^64 - 1.
        size: height and width of the whole.

    Example:
        >>> source = torch.Generator().manual_seed(7)
        >>> whole = torch.randn((45, 70), generator=source)
        >>> torch.equal(NormalRows(7, (45, 70)).rows(20, 30), whole[20:30])
        True
    """

    # Torch turns uniform numbers into normal ones in blocks of this many.  Where the last block
    # is not full, the last 16 numbers are drawn again, after all the others.
    _BLOCK = 16
    _PART = 2**20

    def __init__(self, seed: int, size: tuple[int, int]) -> None:
        self._seed = seed
        self._width = size[1]
        self._total = size[0] * size[1]
        self._restart()

    def _restart(self) -> None:
        self._source = torch.Generator().manual_seed(self._seed)
        self._first = 0  # where the numbers that are held begin
        self._held = torch.empty(0)

    def rows(self, start: int, stop: int) -> Tensor:
        """The rows from ``start`` to ``stop``, (stop - start) x width.

        Rows before ``start`` are forgotten: to ask for them again draws all anew.
        """
        first, last = start * self._width, stop * self._width
        if first < self._first:
            self._restart()
        wanted = self._end_of_block(last)
        while (end := self._first + len(self._held)) < wanted:
            self._forget(first)
            # In parts, so that the rows on the way to the first ones are not held.
            drawn = self._draw(end, min(wanted, self._end_of_block(end + self._PART)))
            self._held = torch.cat([self._held, drawn])
        self._forget(first)
        values = self._held[first - self._first : last - self._first]
        return values.reshape(stop - start, self._width)

    def _end_of_block(self, number: int) -> int:
        """The next end of a block, or of the whole where no full block is left after it."""
        end = number + -number % self._BLOCK
        return self._total if end + self._BLOCK > self._total else end

    def _draw(self, start: int, stop: int) -> Tensor:
        rest = self._total % self._BLOCK
        if stop < self._total or not rest or self._total < self._BLOCK:
            return torch.randn(stop - start, generator=self._source)
        drawn = torch.randn(stop - start - rest, generator=self._source)
        torch.rand(rest, generator=self._source)
        last = torch.randn(self._BLOCK, generator=self._source)
        return torch.cat([drawn[: stop - start - self._BLOCK], last])

    def _forget(self, first: int) -> None:
        useless = min(first - self._first, len(self._held))
        if useless > 0:
            self._held = self._held[useless:]
            self._first += useless
