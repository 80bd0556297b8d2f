"""The generator's random input z for a whole picture, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from danet.images import Picture
from danet.images.parts import Area, raster
from danet.inference.engine import Latent
from danet.inference.sizes import pad
from danet.networks import GeneratorNetwork

__all__ = ["NormalRows", "latent_of"]


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


def latent_of(
    clean: Picture,
    seeds: list[Any],
    border: int,
    network: GeneratorNetwork,
    levels: Sequence[float] = (),
) -> Latent:
    """What draws z for areas of the pictures and of the border around them: N x channels x h x w.

    Each picture and channel has a stream of its own, so that neither the batch nor the tiles change
    it.  In the border, a reflection of z would make stronger noise at the picture's sides.  Without
    levels, one for each picture, they are drawn, if the network has any.
    """
    given = raster(clean)
    height, width = (length + 2 * border for length in given.size)
    sources = []
    shares = []
    for index in range(given.count):
        sequence = np.random.SeedSequence([*seeds, index])
        *states, last = sequence.generate_state(network.latent_channels + 1, np.uint64)
        sources.append([NormalRows(int(state), (height, width)) for state in states])
        shares.append(float(last) / 2**64)
    scales = network.scales(torch.tensor(shares))
    if levels:
        scales = torch.tensor(levels) / network.unit_level

    def latent(group: range, area: Area) -> Tensor:
        rows, columns = (slice(span.start + border, span.stop + border) for span in area)
        bottom = min(rows.stop, height)
        drawn = [
            torch.stack([source.rows(rows.start, bottom) for source in sources[index]])
            for index in group
        ]
        missing = 0, max(rows.stop - height, 0), 0, max(columns.stop - width, 0)
        scaled = scales[list(group)][:, None, None, None] * torch.stack(drawn)[..., columns]
        return pad(scaled, missing)

    return latent
