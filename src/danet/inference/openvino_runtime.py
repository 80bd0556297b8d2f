"""Networks computed by OpenVINO, from files of converted ones; nothing here needs PyTorch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, TypeAlias
from xml.etree import ElementTree
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from danet.errors import DanetError
from danet.files import atomic_write, cache_folder

__all__ = ["Residual", "kept", "load"]

Residual: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]

# Weights that are still trained leave one at every turn.
_MOST_KEPT = 8


def kept(
    name: str | None,
    convert: Callable[[], Any],
    in_full: Collection[str],
    threads: int,
    precision: str,
) -> Residual:
    """Load what an earlier process converted, or convert it and keep it for later ones.

    Args:
        name: of the converted network in `danet.files.cache_folder`, another one for other
            weights; None: it is not kept.
        convert: gives an ``openvino.Model``.
        in_full: as for `write`.
        threads: as for `load`.
        precision: as for `load`.
    """
    path = cache_folder() / "openvino" / f"{name}.zip"
    # Whatever is wrong with it, it is made again.
    with suppress(Exception):
        if name is not None:
            return load(path, threads, precision)
    with TemporaryDirectory() as folder:
        made = Path(folder) / "network.zip"
        write(convert(), made, in_full)
        if name is not None:
            with suppress(DanetError):  # without a place to keep it, it is used once
                _keep(made, path)
        return load(made, threads, precision)


def _keep(made: Path, path: Path) -> None:
    with atomic_write(path) as temporary:
        shutil.copyfile(made, temporary)
    with suppress(OSError):  # another process does so too
        found = sorted(path.parent.glob("*.zip"), key=lambda file: file.stat().st_mtime)
        for old in found[:-_MOST_KEPT]:
            old.unlink()


def write(model: Any, path: Path, in_full: Collection[str]) -> None:
    """Write a converted network as one file: a zip file of OpenVINO's two.

    Args:
        model: an ``openvino.Model`` that was converted from a PyTorch module.
        path: the file to write.
        in_full: the names of the module's convolutions that are computed in float32, whatever
            the precision of the others is.
    """
    with TemporaryDirectory() as folder:
        graph, weights = Path(folder) / "network.xml", Path(folder) / "network.bin"
        import_module("openvino").serialize(model, graph, weights)
        tree = ElementTree.parse(graph)
        for layer in tree.iter("layer"):
            place = layer.get("name", "")
            module, _, operation = place.removeprefix("__module.").partition("/")
            convolves = module in in_full and operation.startswith("aten::_convolution/Convolution")
            # What the backbone itself does: it rearranges pixels before its first layer.
            if convolves or place.startswith("aten::pixel_"):
                # Python has no call for it, and the CPU's plugin heeds what files say.
                about = ElementTree.SubElement(layer, "rt_info")
                ElementTree.SubElement(about, "attribute", name="precise", version="0")
        tree.write(graph)
        with ZipFile(path, "w") as archive:
            for file in (graph, weights):
                archive.write(file, file.name)


def load(path: Path, threads: int, precision: str) -> Residual:
    """A converted network as a function of arrays.

    Args:
        path: what `write` wrote; reading compares its check sums.
        threads: how many compute.
        precision: "f32", "bf16" or "f16".

    Returns:
        A function of N x C x H x W in float32, which gives N x 3 x H x W.  One thread at a time
        computes.
    """
    openvino = import_module("openvino")
    with ZipFile(path) as archive:
        graph, weights = (archive.read(f"network.{suffix}") for suffix in ("xml", "bin"))
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = _core().read_model(graph, openvino.Tensor(np.frombuffer(weights, np.uint8)))
    compiled = _core().compile_model(model, "CPU", settings)

    computing = Lock()  # it has one place for its results

    def residual(pixels: NDArray[Any]) -> NDArray[Any]:
        with computing:
            return np.array(compiled(pixels)[0])

    return residual


@cache
def _core() -> Any:
    """OpenVINO's core, one for the whole process.

    With its first network it gives the thread a stack for signals, and frees it with the last,
    in whatever thread that happens: the next signal to the first thread then ends the process.
    """
    return import_module("openvino").Core()
