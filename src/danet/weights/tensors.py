"""Files of tensors, read without running anything that they hold."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from danet.errors import WeightsError, one_line
from danet.networks import Backbone

__all__ = ["check_ordinary", "fill", "listed", "read_tensors"]

_MOST_LISTED = 10
_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}


def read_tensors(path: Path) -> dict[str, Any]:
    """Read a file of tensors.

    The tensors are mapped from the file, so that nothing of their values is read before it is used.

    Args:
        path: a ``.safetensors`` file, or one of PyTorch with any other ending.

    Returns:
        What the file holds; that of PyTorch may hold anything under its keys.

    Raises:
        WeightsError: there is no such file, it is damaged, or it would run code.
    """
    check_ordinary(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = _read_pickle(path)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except WeightsError:
        raise
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a file of weights, or damaged: {error}") from error
    except pickle.UnpicklingError as error:
        if found := re.search(r"GLOBAL (\S+)", str(error)):
            raise WeightsError(
                f"{path}: not a file of weights: it would call {found[1]} when it is loaded, and "
                "nothing in it was run"
            ) from error
        raise WeightsError(f"{path}: not a file of weights, or damaged") from error
    # The readers raise nearly anything on a damaged file.
    except Exception as error:
        reason = one_line(error).split(". ")[0]
        raise WeightsError(f"{path}: not a file of weights, or damaged: {reason}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: holds a {type(content).__name__} where weights are expected")
    return content


def check_ordinary(path: Path) -> None:
    """Refuse what is there and no file, such as a pipe, whose reading may never end.

    Raises:
        WeightsError: it is that.
    """
    if path.exists() and not path.is_file():
        raise WeightsError(f"{path}: not an ordinary file")


def _read_pickle(path: Path) -> Any:
    mapped = zipfile.is_zipfile(path)  # files of before PyTorch 1.6 are none, and cannot be mapped
    if mapped:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                # PyTorch compresses nothing; a compressed entry may grow beyond any memory.
                if entry.compress_type != zipfile.ZIP_STORED:
                    raise WeightsError(f"{path}: {entry.filename} in it is compressed")
                if entry.filename.endswith("/constants.pkl"):
                    raise WeightsError(f"{path}: a program of TorchScript, not a file of weights")
    return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


def fill(
    network: Backbone,
    description: str,
    tensors: Mapping[str, Any],
    source: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = torch.float32,
) -> None:
    """Give a network its weights, after every tensor was found to be right.

    Args:
        network: without storage, on the device "meta".
        description: what it is, for errors.
        tensors: what a file holds.
        source: the file, for errors.
        device: where the weights shall be.
        dtype: of the weights; None leaves each as it is in the file.

    Raises:
        WeightsError: a tensor is missing, superfluous, of the wrong shape or kind, or not finite.
    """
    expected = network.state_dict()
    problems = [f"{name} is missing" for name in expected if name not in tensors]
    problems += [f"{name} is not part of it" for name in tensors if name not in expected]
    # Before any value is read or copied: a file may claim any shape.
    for name, right in expected.items():
        if name in tensors and (problem := _problem(tensors[name], right)):
            problems.append(f"{name} {problem}")
    if not problems:
        own = {name: _copied(tensors[name], device, dtype) for name in expected}
        problems = [f"{name} holds NaN or infinity" for name in own if not _is_finite(own[name])]
    if problems:
        raise WeightsError(
            f"{source}: does not fit a {description} of width {network.width} and depth "
            f"{network.depth}: {listed(problems)}"
        )
    network.load_state_dict(own, assign=True)


def _copied(tensor: Tensor, device: torch.device | str, dtype: torch.dtype | None) -> Tensor:
    """A copy that does not change with the file."""
    wanted = dtype if tensor.is_floating_point() else torch.int64
    return tensor.detach().to(device, wanted or tensor.dtype, copy=True).contiguous()


def _is_finite(tensor: Tensor) -> bool:
    # Several times as fast as looking at every value's own isfinite, least so in half precision.
    return not tensor.is_floating_point() or all(
        bool(torch.isfinite(extreme)) for extreme in torch.aminmax(tensor)
    )


def _problem(tensor: object, right: Tensor) -> str:
    found = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
    # Floats of any precision will do; the counters of batch normalisation are integers.
    if (
        not isinstance(tensor, Tensor)
        or tensor.is_floating_point() != right.is_floating_point()
        or (tensor.is_floating_point() and tensor.dtype not in _FLOATS)
    ):
        kind = "floats" if right.is_floating_point() else "integers"
        return f"is {found}, not a tensor of {kind}"
    if tensor.shape != right.shape:
        return f"has the shape {tuple(tensor.shape)}, not {tuple(right.shape)}"
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return f"is a tensor without values of its own ({tensor.layout}, {tensor.device})"
    return ""


def listed(entries: Iterable[object]) -> str:
    """Entries with commas, cut where they are many."""
    words = [str(entry) for entry in entries]
    more = len(words) - _MOST_LISTED
    return ", ".join(words[:_MOST_LISTED]) + (f", and {more} more" if more > 0 else "")
