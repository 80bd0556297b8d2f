"""Networks applied to pictures of any size, within the memory that there is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from numbers import Integral
from typing import Any, TypedDict, cast

import torch
from numpy.typing import NDArray
from torch import Tensor

from danet.errors import ConfigError, DanetError
from danet.images import ImageForm, Picture, to_tensor
from danet.images.parts import Area, Canvas, part, size_of
from danet.inference.memory import bytes_per_pixel, free_memory, give_back, is_out_of_memory
from danet.inference.pipeline import run_tiled
from danet.inference.runtimes import Network, Predict, Runtime
from danet.inference.sizes import BORDER, crop, pad, padded_length
from danet.inference.tiling import Tile, check_tile, choose_window, cut, window_of
from danet.inference.treatment import Treatment

__all__ = ["Engine"]

# What is drawn for some of the pictures of a tensor, and an area of each, which may reach beyond
# it: N x 1 x h x w.
Latent = Callable[[range, Area], Tensor]

# Of the memory that is free.
_SHARE = 0.5
_PLAIN = Treatment()
# Bytes a pixel of the parts that are read ahead, converted and written behind: eight copies of
# three channels in float32.
_IN_TRANSIT = 8 * 3 * 4
# Joined beyond this, small pictures are no faster.
_BATCH_PIXELS = 2**21


class _Rules(TypedDict):
    """What `danet.inference.tiling` knows of a network."""

    halo: int
    multiple: int
    border: int


@dataclass
class Engine:
    """Applies a network to pictures, tile by tile where memory asks for it.

    Attributes:
        runtime: what computes the network.
        tile: side of square tiles, without their halo; None: as large as memory allows.
        max_memory: bytes that computing may take on a device beside the picture and its
            result; None: half of what the device has free.
        halo: pixels around a tile that are computed with it; None: as many as make the result
            that of the whole picture.
        border: pixels by which a picture is mirrored beyond each side for the network, rounded up
            to its ``size_multiple``; None: `danet.inference.sizes.BORDER`.
        jobs: how many pictures are computed at once, by threads that share what is free;
            ``max_memory`` is for each of them.
    """

    runtime: Runtime
    tile: int | None = None
    max_memory: int | None = None
    halo: int | None = None
    border: int | None = None
    jobs: int = 1

    def check(self, network: Network) -> None:
        """Refuse settings that are of no use.

        Raises:
            ConfigError: they are.
        """
        units = {"tile": "pixels", "max_memory": "bytes", "halo": "pixels", "border": "pixels"}
        for name, unit in units.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, Integral):
                raise ConfigError(f"{name} is {value!r}, and must be a whole number of {unit}")
        if self.tile is not None:
            check_tile(self.tile, network.size_multiple)
        if self.max_memory is not None and self.max_memory <= 0:
            raise ConfigError(f"max_memory is {self.max_memory}, and must be positive")
        for name, pixels in (("halo", self.halo), ("border", self.border)):
            if pixels is not None and pixels < 0:
                raise ConfigError(f"{name} is {pixels}, and must not be negative")

    def apply(
        self,
        network: Network,
        image: Picture,
        latents: Sequence[Latent | None] = (None,),
        out: NDArray[Any] | None = None,
        treatment: Treatment = _PLAIN,
    ) -> list[Picture]:
        """Compute a network for a picture, once for each of ``latents``.

        Args:
            network: in evaluation mode.
            image: as `danet.images.to_tensor` takes it.
            latents: z for the areas of the picture, and for those that reach into the border;
                None for a denoiser.
            out: an array to write the (only) result to.
            treatment: what is done to a picture with a denoiser.

        Returns:
            As many pictures of the kind of ``image``.

        Raises:
            ImageError: the picture cannot be taken.
            DanetError: the memory does not suffice for the smallest tile.
        """
        size = size_of(image)
        if isinstance(image, Tensor) and image.requires_grad:
            if torch.is_grad_enabled():  # the gradient needs all of it at once
                whole = self._tiles(network, size, self._whole(network, size))
                count = _pictures(image) * len(latents)
                return self._compute(
                    network, image, latents, out, treatment, whole, count, alone=True
                )
            image = image.detach()  # gradients are on in the thread that reads the parts
        if isinstance(image, Tensor) and image.device.type == "mps":
            # That device takes no second thread beside the one that computes.
            results = self.apply(network, image.cpu(), latents, treatment=treatment)
            return [cast(Tensor, result).to(image.device) for result in results]
        window, together = self._plan(network, image, len(latents))
        while True:
            tiles = self._tiles(network, size, window)
            count = _pictures(image) * len(tiles) * len(latents)
            together = min(together, -(-count // len(self.runtime.devices(network))))
            try:
                return self._compute(network, image, latents, out, treatment, tiles, together)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                smaller = self._within(network, size, math.prod(window) / 2)
                if together == 1 and math.prod(smaller) >= math.prod(window):
                    raise DanetError(self._too_little(network, image, window)) from error
            # Out here the failed computation's tensors are gone.
            give_back()
            if together > 1:
                together //= 2
            else:
                window = smaller

    def draws_at_once(self, network: Network, image: Picture, n: int) -> int:
        """For how many of n z `apply` computes a picture at once: one if it takes several tiles."""
        window, together = self._plan(network, image, n)
        if window != self._whole(network, size_of(image)):
            return 1
        return max(1, together * len(self.runtime.devices(network)) // _pictures(image))

    def border_of(self, network: Network) -> int:
        """The border as a multiple of what the network needs."""
        border = BORDER if self.border is None else self.border
        return padded_length(border, network.size_multiple)

    def bytes_per_pixel(self, network: Network) -> float:
        """What computing takes for each pixel of a window, the reading and writing included.

        Of several devices it is what the one with the longest type takes.
        """
        devices = self.runtime.devices(network)
        longest = max(self.runtime.resolved_dtype(device).itemsize for device in devices)
        return longest / torch.float32.itemsize * bytes_per_pixel(network) + _IN_TRANSIT

    def _halo(self, network: Network) -> int | None:
        """The halo as a multiple of what the network needs; None: no halo gives the whole."""
        exact = network.halo
        if self.halo is None:
            return exact
        rounded = padded_length(self.halo, network.size_multiple)
        return rounded if exact is None else min(rounded, exact)

    def _plan(self, network: Network, image: Picture, count: int) -> tuple[tuple[int, int], int]:
        """The window to begin with, and how many of them a device computes at once.

        ``count`` is how often each picture is computed.
        """
        size, halo = size_of(image), self._halo(network)
        limit = self._budget(network) / self.bytes_per_pixel(network)
        if halo is not None and self.tile is not None:
            window = window_of(size, self.tile, **self._rules(network))
        else:
            window = self._within(network, size, limit, _pictures(image) * count)
            if math.prod(window) > limit and (self.max_memory is not None or halo is None):
                raise DanetError(self._too_little(network, image, window))
        return window, max(1, int(min(limit, _BATCH_PIXELS) // math.prod(window)))

    def _budget(self, network: Network) -> float:
        """What the device with the least memory has for each network that is on it."""
        # No smaller tile is left to fall back to where the whole is needed.
        share = 1 if self._halo(network) is None else _SHARE
        devices = self.runtime.devices(network)
        budgets = []
        for device in devices:
            free = free_memory(device)
            budget = share * free / self.jobs if self.max_memory is None else self.max_memory
            if device.type == "mps":  # what is above is faulty there
                budget = min(budget, free)
            budgets.append(budget / devices.count(device))
        return min(budgets)

    def _within(
        self, network: Network, size: tuple[int, int], limit: float, pictures: int = 1
    ) -> tuple[int, int]:
        if self._halo(network) is None:
            return self._whole(network, size)
        return choose_window(
            size,
            **self._rules(network),
            limit=limit,
            pictures=pictures,
            devices=len(self.runtime.devices(network)),
        )

    def _tiles(
        self, network: Network, size: tuple[int, int], window: tuple[int, int]
    ) -> list[Tile]:
        return cut(size, window, **self._rules(network))

    def _rules(self, network: Network) -> _Rules:
        return {
            "halo": self._halo(network) or 0,
            "multiple": network.size_multiple,
            "border": self.border_of(network),
        }

    def _whole(self, network: Network, size: tuple[int, int]) -> tuple[int, int]:
        """A window that holds the whole picture."""
        multiple, border = network.size_multiple, self.border_of(network)
        height, width = (padded_length(length, multiple, border) for length in size)
        return height, width

    def _too_little(
        self,
        network: Network,
        image: Picture,
        window: tuple[int, int],
    ) -> str:
        size = size_of(image)
        need = f"{self.bytes_per_pixel(network) * math.prod(window) / 2**20:,.1f} MiB"
        if self._halo(network) is None:
            return (
                f"a picture of {size[1]} x {size[0]} pixels takes about {need} of memory, and "
                f"there is less: a {network.name} sees all of it at once, so that tiles "
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
        treatment: Treatment,
        tiles: list[Tile],
        together: int,
        *,
        alone: bool = False,
    ) -> list[Picture]:
        size, count = size_of(image), _pictures(image)
        at_once = min(together, count)
        groups = [range(first, min(first + at_once, count)) for first in range(0, count, at_once)]
        results: list[Picture | None] = [out for _ in latents]
        if isinstance(image, Tensor) and len(groups) > 1:  # each group writes into its place
            like = cast(Tensor, treatment.picture(*to_tensor(image[:1, :, :1, :1])))
            results = [like.new_empty((count, like.shape[1], *size)) for _ in latents]
        canvases = [[Canvas(size, _some(result, group)) for group in groups] for result in results]
        # Every latent and group of a tile, then the next tile.
        items = list(product(range(len(tiles)), range(len(latents)), range(len(groups))))
        forms: dict[tuple[int, int, int], ImageForm] = {}

        def read(item: tuple[int, int, int]) -> Tensor:
            tile, latent, group = tiles[item[0]], latents[item[1]], groups[item[2]]
            some = _some(image, group)
            whole = tile.seen == (slice(0, size[0]), slice(0, size[1]))
            pixels, forms[item] = to_tensor(some if whole else part(some, tile.seen))
            pixels = pad(pixels, tile.beyond)
            if latent is None:
                return pixels
            return torch.cat([pixels, latent(group, tile.window).to(pixels.device)], dim=1)

        def write(item: tuple[int, int, int], result: Tensor) -> None:
            tile, canvas = tiles[item[0]], canvases[item[1]][item[2]]
            seen = crop(result, tile.beyond)
            canvas.put(treatment.picture(seen, forms.pop(item)), tile.inner, tile.core)

        running = self.runtime.running(network, math.prod(size), alone=alone)
        predictors = [_treating(treatment, one) for one in running]
        run_tiled(
            items,
            read,
            predictors,
            write,
            batch=max(1, together // at_once),
        )
        return [
            parts[0].picture if result is None else result
            for result, parts in zip(results, canvases, strict=True)
        ]


@contextmanager
def _treating(
    treatment: Treatment, predictor: AbstractContextManager[Predict]
) -> Iterator[Predict]:
    with predictor as predict:
        yield partial(treatment.tensor, predict)


def _pictures(image: Picture) -> int:
    return len(image) if isinstance(image, Tensor) and image.ndim == 4 else 1


def _some(picture: Any, group: range) -> Any:
    """Some of the pictures of a tensor; anything else is one picture, or none."""
    if isinstance(picture, Tensor) and picture.ndim == 4:
        return picture[group.start : group.stop]
    return picture
