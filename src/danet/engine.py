"""Networks applied to pictures of any size, within the memory that there is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from danet.errors import ConfigError, DanetError
from danet.images import ImageForm, Picture, from_tensor, to_tensor
from danet.memory import bytes_per_pixel, free_memory, is_out_of_memory
from danet.parts import Area, Canvas, part, size_of
from danet.runtimes import Network, Runtime
from danet.tiling import Tile, check_tile, choose_window, cut, run_tiled, window_of

__all__ = ["Engine"]

# What is drawn for a part of a picture: N x 1 x h x w.
Latent = Callable[[Area], Tensor]

# Of the memory that is free.
_SHARE = 0.5
# Bytes a pixel of the parts that are read ahead, converted and written behind: eight copies of
# three channels in float32.
_IN_TRANSIT = 8 * 3 * 4
# Joined beyond this, small pictures are no faster.
_BATCH_PIXELS = 2**21


@dataclass
class Engine:
    """Applies a network to pictures, tile by tile where memory asks for it.

    Attributes:
        runtime: what computes the network.
        tile: side of square tiles, without their halo; None: as large as memory allows.
        max_memory: bytes that computing may take beside the picture and its result; None:
            half of what the device has free.
        halo: pixels around a tile that are computed with it; None: as many as make the result
            that of the whole picture.
    """

    runtime: Runtime
    tile: int | None = None
    max_memory: int | None = None
    halo: int | None = None

    def check(self, network: Network) -> None:
        """Refuse settings that are of no use.

        Raises:
            ConfigError: they are.
        """
        if self.tile is not None:
            check_tile(self.tile, network.size_multiple)
        if self.max_memory is not None and self.max_memory <= 0:
            raise ConfigError(f"max_memory is {self.max_memory}, and must be positive")
        if self.halo is not None and self.halo < 0:
            raise ConfigError(f"halo is {self.halo}, and must not be negative")

    def apply(
        self,
        network: Network,
        image: Picture,
        latents: Sequence[Latent | None] = (None,),
        out: NDArray[Any] | None = None,
    ) -> list[Picture]:
        """Compute a network for a picture, once for each of ``latents``.

        Args:
            network: in evaluation mode.
            image: as `danet.images.to_tensor` takes it.
            latents: z for the parts of the picture; None for a denoiser.
            out: an array to write the (only) result to.

        Returns:
            As many pictures of the kind of ``image``.

        Raises:
            ImageError: the picture cannot be taken.
            DanetError: the memory does not suffice for the smallest tile.
        """
        size = size_of(image)
        if isinstance(image, Tensor) and image.requires_grad:
            if torch.is_grad_enabled():  # the gradient needs all of it at once
                whole = self._tiles(network, size, _padded(network, size))
                return self._compute(network, image, latents, out, whole, 1)
            image = image.detach()  # gradients are on in the thread that reads the parts
        window, batch = self._plan(network, image)
        while True:
            tiles = self._tiles(network, size, window)
            batch = min(batch, len(tiles) * len(latents))
            try:
                return self._compute(network, image, latents, out, tiles, batch)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                smaller = self._within(network, size, math.prod(window) / 2)
                if batch == 1 and math.prod(smaller) >= math.prod(window):
                    raise DanetError(self._too_little(network, image, window)) from error
            # Out here the failed computation's tensors are gone.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if batch > 1:
                batch //= 2
            else:
                window = smaller

    def draws_at_once(self, network: Network, image: Picture) -> int:
        """For how many z `apply` computes a picture at once: one where it takes several tiles."""
        window, batch = self._plan(network, image)
        return batch if window == _padded(network, size_of(image)) else 1

    def bytes_per_pixel(self, network: Network) -> float:
        """What computing takes for each pixel of a window, the reading and writing included."""
        device = next(network.parameters()).device
        short = self.runtime.resolved_dtype(device).itemsize / torch.float32.itemsize
        return short * bytes_per_pixel(network) + _IN_TRANSIT

    def _halo(self, network: Network) -> int | None:
        """The halo as a multiple of what the network needs; None: no halo gives the whole."""
        exact = network.halo
        if self.halo is None:
            return exact
        rounded = self.halo + -self.halo % network.size_multiple
        return rounded if exact is None else min(rounded, exact)

    def _plan(self, network: Network, image: Picture) -> tuple[tuple[int, int], int]:
        """The window to begin with, and how many of them to compute at once."""
        size, halo, pictures = size_of(image), self._halo(network), _pictures(image)
        # No smaller tile is left to fall back to where the whole is needed.
        share = 1 if halo is None else _SHARE
        device = next(network.parameters()).device
        budget = share * free_memory(device) if self.max_memory is None else self.max_memory
        limit = budget / self.bytes_per_pixel(network) / pictures
        if halo is not None and self.tile is not None:
            window = window_of(size, self.tile, halo=halo, multiple=network.size_multiple)
        else:
            window = self._within(network, size, limit)
            if math.prod(window) > limit and (self.max_memory is not None or halo is None):
                raise DanetError(self._too_little(network, image, window))
        at_once = min(limit, _BATCH_PIXELS / pictures) // math.prod(window)
        return window, max(1, int(at_once))

    def _within(self, network: Network, size: tuple[int, int], limit: float) -> tuple[int, int]:
        halo = self._halo(network)
        if halo is None:
            return _padded(network, size)
        return choose_window(size, halo=halo, multiple=network.size_multiple, limit=limit)

    def _tiles(
        self, network: Network, size: tuple[int, int], window: tuple[int, int]
    ) -> list[Tile]:
        halo = self._halo(network) or 0
        return cut(size, window, halo=halo, multiple=network.size_multiple)

    def _too_little(
        self,
        network: Network,
        image: Picture,
        window: tuple[int, int],
    ) -> str:
        size = size_of(image)
        pixels = _pictures(image) * math.prod(window)
        need = f"{self.bytes_per_pixel(network) * pixels / 2**20:,.1f} MiB"
        if self._halo(network) is None:
            return (
                f"a picture of {size[1]} x {size[0]} pixels takes about {need} of memory, and "
                f"there is less: a {type(network).__name__} sees all of it at once, so that tiles "
                "do not give its exact result; with halo=64, say, tiles come near"
            )
        return (
            f"the smallest tile, {window[1]} x {window[0]} pixels with its halo, takes about "
            f"{need} of memory, and there is less"
        )

    def _compute(
        self,
        network: Network,
        image: Picture,
        latents: Sequence[Latent | None],
        out: NDArray[Any] | None,
        tiles: list[Tile],
        batch: int,
    ) -> list[Picture]:
        size = size_of(image)
        # Every latent of a tile, then the next tile.
        items = range(len(tiles) * len(latents))
        canvases = [Canvas(size, out) for _ in latents]
        forms: dict[int, ImageForm] = {}

        def read(item: int) -> Tensor:
            tile, number = tiles[item // len(latents)], item % len(latents)
            whole = tile.window == (slice(0, size[0]), slice(0, size[1]))
            pixels, forms[item] = to_tensor(image if whole else part(image, tile.window))
            latent = latents[number]
            if latent is None:
                return pixels
            return torch.cat([pixels, latent(tile.window).to(pixels.device)], dim=1)

        def write(item: int, result: Tensor) -> None:
            tile, number = tiles[item // len(latents)], item % len(latents)
            picture = from_tensor(result, forms.pop(item))
            canvases[number].put(picture, tile.inner, tile.core)

        with self.runtime.running(network) as predict:
            run_tiled(items, read, predict, write, multiple=network.size_multiple, batch=batch)
        return [canvas.picture for canvas in canvases]


def _padded(network: Network, size: tuple[int, int]) -> tuple[int, int]:
    """A window that holds the whole picture."""
    height, width = (length + -length % network.size_multiple for length in size)
    return height, width


def _pictures(image: Picture) -> int:
    return len(image) if isinstance(image, Tensor) and image.ndim == 4 else 1
