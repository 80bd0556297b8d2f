"""Denoisers that were exported, which start without PyTorch."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from danet.errors import ConfigError, WeightsError
from danet.files import locked
from danet.inference.session import SessionEngine
from danet.inference.settings import EngineSettings
from danet.inference.sizes import BORDER
from danet.inference.treatment import Treatment
from danet.pretrained.pictures import PictureDenoiser
from danet.weights.fetching import FetchOptions
from danet.weights.find import find
from danet.weights.sums import check_sum, read_sums, sha256_of, write_sums

__all__ = ["ExportedDenoiser", "model_of"]

# To be raised when `danet.inference.export` writes other models.
_FORMAT = 1
_MODEL = "denoiser.onnx"


class ExportedDenoiser(PictureDenoiser):
    """A denoiser that `danet export` wrote, computed by ONNX Runtime without PyTorch.

    It gives what `danet.Denoiser` gives with ``dtype="float32"`` on the CPU, but for rounding.  It
    takes PIL images and arrays, and no self-ensemble.

    Args:
        weights: a ``.onnx`` file; or as for `danet.Denoiser.from_pretrained`, of which PyTorch
            makes one when it is first asked for, see `model_of`.
        tile: as for `danet.Denoiser`.
        max_memory: as for `danet.Denoiser`.
        halo: as for `danet.Denoiser`.
        border: as for `danet.Denoiser`; a ``.onnx`` file has that which it was exported with.
        options: what may be fetched, and where it is kept.

    Raises:
        WeightsError: there are no such weights, or the file is no such model.
        ConfigError: a setting is out of its range, or a package is not installed.
        DanetError: the model cannot be made or written.

    Example:
        >>> import tempfile
        >>> from danet import Denoiser
        >>> from danet.networks import build
        >>> path = Path(tempfile.mkdtemp()) / "denoiser.onnx"
        >>> exported = Denoiser(build("denoiser", width=2, depth=2)).export(path)
        >>> ExportedDenoiser(path)(np.zeros((45, 70, 3), np.uint8)).shape
        (45, 70, 3)
    """

    engine: SessionEngine

    def __init__(
        self,
        weights: str | os.PathLike[str] = "photo",
        *,
        tile: int | None = None,
        max_memory: int | None = None,
        halo: int | None = None,
        border: int | None = None,
        options: FetchOptions | None = None,
    ) -> None:
        settings = EngineSettings(tile, max_memory, halo, border)
        self.engine = SessionEngine(model_of(weights, border, options), settings)

    def _taken(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        residual = Treatment(residual=True)
        pictures = pixels.transpose(0, 2, 3, 1)
        taken = [next(self.engine.run(one, treatment=residual)) for one in pictures]
        stacked: NDArray[np.float32] = np.stack(cast("list[Any]", taken)).transpose(0, 3, 1, 2)
        return stacked


def model_of(
    name: str | os.PathLike[str],
    border: int | None = None,
    options: FetchOptions | None = None,
) -> Path:
    """The ONNX model of a denoiser by the name of its weights, made when it is first asked for.

    Making it imports PyTorch.  It is kept by the content of the weights in the folder ``danet`` of
    the Hub's cache for assets, beside a sum that tells whether it is whole.

    Args:
        name: as for `danet.Denoiser.from_pretrained`; a ``.onnx`` file is the model itself.
        border: as for `danet.Denoiser`.
        options: what may be fetched, and where it is kept.

    Raises:
        WeightsError: there are no such weights, or they cannot be fetched.
        ConfigError: the model is not there, and a package that makes it is not installed.
        DanetError: the model cannot be made or written.
    """
    if Path(name).suffix.lower() == ".onnx":
        return Path(name)
    options = options or FetchOptions()
    weights = find(name, "denoiser", options)
    border = BORDER if border is None else border
    folder = options.converted / "exported" / _key(weights, border)
    path = folder / _MODEL
    if _is_whole(path):
        return path
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not _is_whole(path):  # of several processes, one makes it
            _make(name, weights, border, path)
    return path


def _key(weights: Path, border: int) -> str:
    """What differs whenever the model does."""
    names = ("config.json", "model.safetensors")
    files = [weights] if weights.is_file() else [weights / name for name in names]
    try:
        sums = [sha256_of(file) for file in files]
    except OSError as error:
        raise WeightsError(f"{error.filename}: cannot be read: {error.strerror}") from error
    return hashlib.sha256(repr((_FORMAT, border, sums)).encode()).hexdigest()[:32]


def _is_whole(path: Path) -> bool:
    with suppress(WeightsError, OSError):
        check_sum(path, read_sums(path.parent).get(path.name))
        return True
    return False


def _make(name: str | os.PathLike[str], weights: Path, border: int, path: Path) -> None:
    try:
        from danet.pretrained.denoiser import Denoiser
    except ImportError as error:
        raise ConfigError(
            f"{name}: PyTorch makes its model for ONNX Runtime, once, and is not installed; take a "
            "model that `danet export` wrote elsewhere, such as --weights denoiser.onnx"
        ) from error
    Denoiser(weights, device="cpu", border=border).export(path)
    write_sums(path.parent, _MODEL)
