"""Denoisers that were exported, computed by ONNX Runtime, without PyTorch."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.arrays import is_tensor
from danet.errors import ConfigError, DanetError, ImageError, WeightsError, one_line, require
from danet.images.conversion import Picture, to_array
from danet.images.parts import Area, Canvas, Raster, raster
from danet.inference.memory import IN_TRANSIT, free_memory, is_out_of_memory
from danet.inference.settings import EngineSettings, Rules, too_little
from danet.inference.tiling import Size, Tile, check_tile, choose_window, cut, window_of
from danet.inference.treatment import Treatment

__all__ = ["SessionEngine"]

# Strengths to be joined to an area of a picture.
Latent = Callable[[range, Area], NDArray[np.float32]]

_PLAIN = Treatment()
_ONE = range(1)  # arrays and PIL images are one picture each


class SessionEngine:
    """Applies an exported denoiser to pictures, tile by tile where memory asks for it.

    Args:
        path: a file that `danet.inference.export.export` wrote for a denoiser.
        settings: tiles and memory.  The border is that of the model.

    Raises:
        WeightsError: there is no such file, or it is no such model.
        ConfigError: ONNX Runtime is not installed, another border than the model's is asked for,
            or tiles are smaller than the network's ``size_multiple``.
    """

    def __init__(self, path: str | os.PathLike[str], settings: EngineSettings) -> None:
        self._session = _session(Path(path))
        facts = self._session.get_modelmeta().custom_metadata_map
        try:
            if "residual" not in [output.name for output in self._session.get_outputs()]:
                raise KeyError("residual")
            self._name: str = facts["network"]
            self._halo = None if facts["halo"] == "whole picture" else int(facts["halo"])
            self._multiple, border = int(facts["size_multiple"]), int(facts["border"])
            self._bytes_per_pixel = float(facts["bytes_per_pixel"]) + IN_TRANSIT
            if self._multiple < 1 or min(self._halo or 0, border) < 0 or self._bytes_per_pixel <= 0:
                raise ValueError("its sizes are none")
        except (KeyError, ValueError) as error:
            raise WeightsError(
                f"{path}: not a denoiser as `danet export` writes it ({one_line(error)})"
            ) from error
        if settings.border is not None and settings.border_for(self._multiple) != border:
            raise ConfigError(
                f"border is {settings.border}, and that of {path} is {border}; export the model "
                "with the other"
            )
        if settings.tile is not None:
            check_tile(settings.tile, self._multiple)
        self._border = border
        self.settings = settings

    def run(
        self,
        image: Picture,
        latents: Iterable[Latent | None] = (None,),
        out: NDArray[Any] | None = None,
        treatment: Treatment = _PLAIN,
    ) -> Iterator[Picture]:
        """Denoise a picture, once for each of ``latents``; as `danet.inference.Engine.run`.

        Args:
            image: a PIL image or an array.
            latents: masks of strengths, or None.
            out: an array to write the (only) result to.
            treatment: what is done to the picture.

        Yields:
            Pictures of the kind of ``image``.

        Raises:
            ImageError: the picture cannot be taken.
            ConfigError: the treatment is a self-ensemble: the model continues what it is given
                beyond its sides, and so would see other pixels there in each of the eight views.
            DanetError: ONNX Runtime fails, or the memory does not suffice for the smallest tile.
        """
        if is_tensor(image):
            raise ImageError("a tensor is for PyTorch; ONNX Runtime takes PIL images and arrays")
        if treatment.self_ensemble:
            raise ConfigError("self_ensemble is for PyTorch, and the runtime is 'onnxruntime'")
        given = raster(image)
        rules = self.settings.rules(self._halo, self._multiple, treatment.reach)
        rules["border"] = self._border
        window = self._window(given.size, rules)
        for latent in latents:
            result: Picture | None = None
            while result is None:
                try:
                    tiles = cut(given.size, window, **rules)
                    result = self._result(given, latent, out, treatment, tiles)
                except MemoryError as error:
                    window = self._smaller(given.size, window, rules, error)
            yield result

    def _result(
        self,
        given: Raster[Any],
        latent: Latent | None,
        out: NDArray[Any] | None,
        treatment: Treatment,
        tiles: list[Tile],
    ) -> Picture:
        canvas = Canvas(given.size, 1, out)
        for tile in tiles:
            # What is beyond the picture is added by the model.
            pixels, form = to_array(given.part(tile.seen), treatment.light)
            if latent is not None:
                pixels = np.concatenate([pixels, latent(_ONE, tile.seen)], axis=1)
            result = treatment.finish(treatment.tensor(self._predict, pixels))
            canvas.put(treatment.picture(result, form), _ONE, tile.core, tile.inner)
        return canvas.picture

    def _window(self, size: Size, rules: Rules) -> Size:
        settings, whole = self.settings, self._needs_all
        limit = settings.budget(free_memory(), whole=whole) / self._bytes_per_pixel
        if settings.tile is not None and not whole:
            return window_of(size, settings.tile, **rules)
        window = choose_window(size, **rules, limit=math.inf if whole else limit)
        if math.prod(window) > limit and (settings.max_memory is not None or whole):
            raise DanetError(self._too_little(size, window))
        return window

    def _smaller(self, size: Size, window: Size, rules: Rules, lacking: MemoryError) -> Size:
        """The window after one that memory did not suffice for."""
        smaller = choose_window(size, **rules, limit=math.prod(window) / 2)
        if self._needs_all or math.prod(smaller) >= math.prod(window):
            raise DanetError(self._too_little(size, window)) from lacking
        return smaller

    @property
    def _needs_all(self) -> bool:
        """Whether no tiles give the exact result."""
        return self.settings.halo_within(self._halo, self._multiple) is None

    def _too_little(self, size: Size, window: Size) -> str:
        need, whole = self._bytes_per_pixel, self._needs_all
        return too_little(self._name, size, window, need, whole=whole)

    def _predict(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            (residual,) = self._session.run(["residual"], {"noisy": np.ascontiguousarray(pixels)})
        # It has errors of its own, those for a lack of memory among them.
        except Exception as error:
            message = f"ONNX Runtime failed: {one_line(error)}"
            lacking = is_out_of_memory(RuntimeError(message))
            raise (MemoryError if lacking else DanetError)(message) from error
        cleaned: NDArray[np.float32] = pixels - residual
        return cleaned


def _session(path: Path) -> Any:
    onnxruntime = require("onnxruntime", "light", "the runtime 'onnxruntime'")
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong comes as an error
    options.enable_mem_pattern = False  # which is for pictures of one size, and takes more
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # It raises nearly anything on a damaged file.
    except Exception as error:
        raise WeightsError(f"{path}: no model for ONNX Runtime: {one_line(error)}") from error
