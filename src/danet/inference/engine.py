"""Networks applied to pictures of any size, within the memory that there is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import islice, product
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from danet.errors import DanetError
from danet.images import ImageForm, Picture, to_tensor
from danet.images.parts import Area, Canvas, Raster, raster
from danet.inference.footprint import bytes_per_pixel
from danet.inference.memory import IN_TRANSIT, free_memory, give_back, is_out_of_memory
from danet.inference.pipeline import run_tiled
from danet.inference.runtimes import Network, Predict, Runtime
from danet.inference.settings import EngineSettings, Rules, too_little
from danet.inference.sizes import crop, pad, padded_length
from danet.inference.tiling import Size, Tile, check_tile, choose_window, cut, window_of
from danet.inference.treatment import Treatment

__all__ = ["Engine", "Latent"]

# What is joined to some of the pictures of a tensor, for an area of each, which may reach beyond
# it: N x C x h x w.
Latent = Callable[[range, Area], Tensor | NDArray[np.float32]]

_PLAIN = Treatment()
# Joined beyond this, small pictures are no faster.
_BATCH_PIXELS = 2**21
# On a CPU, getting memory for larger windows takes longer than their smaller halos save.
_CPU_PIXELS = 2**22


class _Plan(NamedTuple):
    """What tiles must obey, their windows' size, and how many a device computes at once."""

    rules: Rules
    window: Size
    together: int


class Engine:
    """Applies a network to pictures, tile by tile where memory asks for it.

    Args:
        network: a denoiser or a generator.
        runtime: what computes it.
        settings: tiles and memory; they may be changed between pictures.

    Raises:
        ConfigError: tiles are smaller than the network's ``size_multiple``.
    """

    def __init__(self, network: Network, runtime: Runtime, settings: EngineSettings) -> None:
        if settings.tile is not None:
            check_tile(settings.tile, network.size_multiple)
        self.network = network
        self.runtime = runtime
        self.settings = settings

    def run(
        self,
        image: Picture,
        latents: Iterable[Latent | None] = (None,),
        draws: int = 1,
        out: NDArray[Any] | None = None,
        treatment: Treatment = _PLAIN,
    ) -> Iterator[Picture]:
        """Compute the network for a picture, once for each of ``latents``.

        Args:
            image: as `danet.images.to_tensor` takes it.
            latents: what is joined to areas of the picture, and to those that reach into the
                border: z for a generator, a mask of strengths or None for a denoiser.  They are
                taken as they are needed.
            draws: how many latents there are.
            out: an array to write the (only) result to.
            treatment: what is done to a picture with a denoiser.

        Yields:
            Pictures of the kind of ``image``, one for each latent.

        Raises:
            ImageError: the picture cannot be taken.
            DanetError: the memory does not suffice for the smallest tile.
        """
        if isinstance(image, Tensor) and image.device.type == "mps" and not _needs_gradient(image):
            # That device takes no second thread beside the one that computes.
            for result in self.run(image.cpu(), latents, draws, treatment=treatment):
                yield cast(Tensor, result).to(image.device)
            return
        if isinstance(image, Tensor) and not _needs_gradient(image):
            image = image.detach()  # gradients are on in the thread that reads the parts
        given = raster(image)
        plan = self._plan(given, draws, treatment.reach)
        waiting = iter(latents)
        while some := list(islice(waiting, self._draws_at_once(given, plan))):
            results, plan = self._results(given, some, out, treatment, plan)
            yield from results

    @property
    def border(self) -> int:
        """By how many pixels pictures are mirrored: a multiple of what the network needs."""
        return self.settings.border_for(self.network.size_multiple)

    @property
    def bytes_per_pixel(self) -> float:
        """What computing takes for each pixel of a window, the reading and writing included.

        Of several devices it is what the one with the longest type takes.
        """
        devices = self.runtime.devices(self.network)
        longest = max(self.runtime.resolved_dtype(device).itemsize for device in devices)
        return longest / torch.float32.itemsize * bytes_per_pixel(self.network) + IN_TRANSIT

    @property
    def _halo(self) -> int | None:
        """The halo as a multiple of what the network needs; None: no halo gives the whole."""
        return self.settings.halo_within(self.network.halo, self.network.size_multiple)

    @property
    def _devices(self) -> int:
        return len(self.runtime.devices(self.network))

    def _plan(self, given: Raster[Any], draws: int, reach: int) -> _Plan:
        """What to begin with."""
        rules = self.settings.rules(self.network.halo, self.network.size_multiple, reach)
        if _needs_gradient(given.picture):  # the gradient needs all of it at once
            return _Plan(rules, self._whole(given.size), given.count)
        settings, halo = self.settings, self._halo
        limit = self._budget() / self.bytes_per_pixel
        if halo is not None and settings.tile is not None:
            window = window_of(given.size, settings.tile, **rules)
        else:
            window = self._within(given.size, rules, limit, given.count * draws)
            if math.prod(window) > limit and (settings.max_memory is not None or halo is None):
                raise DanetError(self._too_little(given.size, window))
        return _Plan(rules, window, max(1, int(min(limit, _BATCH_PIXELS) // math.prod(window))))

    def _budget(self) -> float:
        """What the device with the least memory has for each network that is on it."""
        devices = self.runtime.devices(self.network)
        budgets = []
        for device in devices:
            free = free_memory(device)
            budget = self.settings.budget(free, whole=self._halo is None)
            if device.type == "mps":  # what is above is faulty there
                budget = min(budget, free)
            budgets.append(budget / devices.count(device))
        return min(budgets)

    def _within(self, size: Size, rules: Rules, limit: float, pictures: int = 1) -> Size:
        """The window to choose for a number of pixels."""
        if self._halo is None:
            return self._whole(size)
        if all(device.type == "cpu" for device in self.runtime.devices(self.network)):
            limit = min(limit, _CPU_PIXELS)
        return choose_window(size, **rules, limit=limit, pictures=pictures, devices=self._devices)

    def _whole(self, size: Size) -> Size:
        """A window that holds the whole picture."""
        multiple = self.network.size_multiple
        height, width = (padded_length(length, multiple, self.border) for length in size)
        return height, width

    def _draws_at_once(self, given: Raster[Any], plan: _Plan) -> int:
        """How many latents to compute at once: one if the picture takes several tiles."""
        if plan.window != self._whole(given.size):
            return 1
        return max(1, plan.together * self._devices // given.count)

    def _too_little(self, size: Size, window: Size) -> str:
        need, whole = self.bytes_per_pixel, self._halo is None
        return too_little(self.network.name, size, window, need, whole=whole)

    def _results(
        self,
        given: Raster[Any],
        latents: Sequence[Latent | None],
        out: NDArray[Any] | None,
        treatment: Treatment,
        plan: _Plan,
    ) -> tuple[list[Picture], _Plan]:
        """The results for some latents, and the plan that memory sufficed for."""
        while True:
            tiles = cut(given.size, plan.window, **plan.rules)
            if not _needs_gradient(given.picture):  # each device has its share of the windows
                windows = given.count * len(tiles) * len(latents)
                plan = plan._replace(together=min(plan.together, -(-windows // self._devices)))
            try:
                with _evaluating(self.network):
                    return self._compute(given, latents, out, treatment, tiles, plan), plan
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or _needs_gradient(given.picture):
                    raise
                smaller = self._within(given.size, plan.rules, math.prod(plan.window) / 2)
                if plan.together == 1 and math.prod(smaller) >= math.prod(plan.window):
                    raise DanetError(self._too_little(given.size, plan.window)) from error
            # Out here the failed computation's tensors are gone.
            give_back()
            if plan.together > 1:
                plan = plan._replace(together=plan.together // 2)
            else:
                plan = plan._replace(window=smaller)

    def _compute(
        self,
        given: Raster[Any],
        latents: Sequence[Latent | None],
        out: NDArray[Any] | None,
        treatment: Treatment,
        tiles: list[Tile],
        plan: _Plan,
    ) -> list[Picture]:
        size, count = given.size, given.count
        at_once = min(plan.together, count)
        groups = [range(first, min(first + at_once, count)) for first in range(0, count, at_once)]
        canvases = [Canvas(size, count, out) for _ in latents]
        # Every latent and group of a tile, then the next tile.
        items = list(product(range(len(tiles)), range(len(latents)), range(len(groups))))
        forms: dict[tuple[int, int, int], ImageForm] = {}

        def read(item: tuple[int, int, int]) -> Tensor:
            tile, latent, group = tiles[item[0]], latents[item[1]], groups[item[2]]
            some = given.some(group)
            whole = tile.seen == (slice(0, size[0]), slice(0, size[1]))
            part = some.picture if whole else some.part(tile.seen)
            pixels, forms[item] = to_tensor(part, treatment.light)
            pixels = pad(pixels, tile.beyond)
            if latent is None:
                return pixels
            joined = torch.as_tensor(latent(group, tile.window), device=pixels.device)
            return torch.cat([pixels, joined], dim=1)

        def write(item: tuple[int, int, int], result: Tensor) -> None:
            tile, canvas, group = tiles[item[0]], canvases[item[1]], groups[item[2]]
            finished = treatment.finish(crop(result, tile.beyond))
            seen = treatment.picture(finished, forms.pop(item))
            canvas.put(seen, group, tile.core, tile.inner)

        alone = _needs_gradient(given.picture)
        running = self.runtime.running(self.network, math.prod(size), alone=alone)
        predictors = [_treating(treatment, one) for one in running]
        run_tiled(items, read, predictors, write, batch=max(1, plan.together // at_once))
        return [canvas.picture for canvas in canvases]


def _needs_gradient(image: Picture) -> bool:
    return isinstance(image, Tensor) and image.requires_grad and torch.is_grad_enabled()


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode for the block."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


@contextmanager
def _treating(
    treatment: Treatment, predictor: AbstractContextManager[Predict]
) -> Iterator[Predict]:
    with predictor as predict:
        yield partial(treatment.tensor, predict)
