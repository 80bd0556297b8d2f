"""Saving and resuming a training run: one safetensors file, replaced whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from danet.errors import WeightsError, one_line
from danet.files import atomic_write
from danet.train.state import TrainState

__all__ = ["Checkpoint", "read_checkpoint", "resume", "save_checkpoint"]


class Checkpoint(NamedTuple):
    """What `save_checkpoint` wrote: its file, the tensors, and what is known of the run."""

    path: Path
    tensors: dict[str, Tensor]
    record: str


def _tensors(state: TrainState) -> dict[str, Tensor]:
    """Everything to be kept, by name; the tensors are the live ones."""
    kept = {"update": torch.tensor(state.update)}
    for name, learner in state.learners().items():
        for key, value in learner.network.state_dict().items():
            kept[f"{name}/network/{key}"] = value
        if learner.average is not None:
            for key, value in learner.average.state_dict().items():
                kept[f"{name}/average/{key}"] = value
        kept[f"{name}/norms"] = learner.norms
        for index, slots in learner.optimizer.state_dict()["state"].items():
            for key, value in slots.items():
                kept[f"{name}/optimizer/{index}/{key}"] = value
    return kept


def save_checkpoint(state: TrainState, path: Path, record: str = "") -> None:
    """Write networks, optimisers, averages and the update reached; an older file stays until then.

    With them goes a checksum, as a training would go on with damaged weights for hours.

    Random draws depend on seed and update alone, so no random state is kept.

    Args:
        state: what to save.
        path: the ``.safetensors`` file; its folder is made if need be.
        record: what is to be known of the run.

    Raises:
        DanetError: the file cannot be written.
    """
    with atomic_write(path) as temporary:
        tensors = {name: value.detach().contiguous() for name, value in _tensors(state).items()}
        about = {"record": record, "sha256": _checksum(tensors, record)}
        temporary.write_bytes(save(tensors, about))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote, if it still is as it was written.

    Raises:
        WeightsError: the file cannot be read or is damaged.
    """
    try:
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
        record = about.get("record", "")
        if about.get("sha256") != _checksum(tensors, record):
            raise ValueError("it is damaged: its checksum is another")
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsError(f"cannot resume from {path}: {one_line(error)}") from error
    return Checkpoint(path, tensors, record)


def resume(state: TrainState, checkpoint: Checkpoint) -> None:
    """Bring a run to where it was saved.

    Args:
        state: as ``TrainState.start`` made it of the same configuration; changed in place.
        checkpoint: what `read_checkpoint` gave.

    Raises:
        WeightsError: the checkpoint is of another configuration.
    """
    path, saved = checkpoint.path, dict(checkpoint.tensors)
    try:
        _check_shapes(saved, _tensors(state))
        state.update = int(saved.pop("update"))
        for name, learner in state.learners().items():
            learner.network.load_state_dict(_part(saved, f"{name}/network/"))
            if learner.average is not None:
                learner.average.load_state_dict(_part(saved, f"{name}/average/"))
            learner.norms.copy_(saved.pop(f"{name}/norms"))
            # An optimiser counts them in the order of its groups.
            parameters = [p for group in learner.optimizer.param_groups for p in group["params"]]
            slots: dict[int, dict[str, Tensor]] = {}
            for key, value in _part(saved, f"{name}/optimizer/").items():
                index, slot = key.split("/")
                # The fused optimisers take the layout of state and parameter to be one.
                laid = (
                    torch.empty_like(parameters[int(index)]).copy_(value) if value.ndim else value
                )
                slots.setdefault(int(index), {})[slot] = laid
            groups = learner.optimizer.state_dict()["param_groups"]
            learner.optimizer.load_state_dict({"state": slots, "param_groups": groups})
    except (IndexError, ValueError, RuntimeError) as error:
        raise WeightsError(f"cannot resume from {path}: {one_line(error)}") from error
    if saved:
        raise WeightsError(f"cannot resume from {path}: it also holds {sorted(saved)[0]}")


def _checksum(tensors: Mapping[str, Tensor], record: str) -> str:
    digest = hashlib.sha256(record.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _check_shapes(saved: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Name the first tensor that does not fit; torch would list them all.

    Raises:
        ValueError: a tensor is missing or has another shape.
    """
    for name, value in expected.items():
        if name not in saved:
            raise ValueError(f"it lacks {name}")
        shape, right = tuple(saved[name].shape), tuple(value.shape)
        if shape != right:
            raise ValueError(f"{name} has the shape {shape}, and must have {right}")


def _part(saved: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, taken out of ``saved``."""
    return {name[len(prefix) :]: saved.pop(name) for name in list(saved) if name.startswith(prefix)}
