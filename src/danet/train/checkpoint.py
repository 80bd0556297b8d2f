"""Saving and resuming a training run: one safetensors file, replaced whole."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from danet.errors import WeightsError
from danet.files import atomic_write
from danet.train.step import TrainState

__all__ = ["load_checkpoint", "save_checkpoint"]


def _tensors(state: TrainState) -> dict[str, Tensor]:
    """Everything to be kept, by name; the tensors are the live ones."""
    kept = {"update": torch.tensor(state.update)}
    for name, learner in state.learners().items():
        for key, value in learner.network.state_dict().items():
            kept[f"{name}/network/{key}"] = value
        if learner.average is not None:
            for key, value in learner.average.state_dict().items():
                kept[f"{name}/average/{key}"] = value
        for index, slots in learner.optimizer.state_dict()["state"].items():
            for key, value in slots.items():
                kept[f"{name}/optimizer/{index}/{key}"] = value
    return kept


def save_checkpoint(state: TrainState, path: Path) -> None:
    """Write networks, optimisers, averages and the update reached; an older file stays until then.

    Random draws depend on seed and update alone, so no random state is kept.
    """
    with atomic_write(path) as temporary:
        tensors = {name: value.detach().contiguous() for name, value in _tensors(state).items()}
        temporary.write_bytes(save(tensors))


def load_checkpoint(state: TrainState, path: Path) -> None:
    """Bring ``state``, made by the same configuration, to where ``path`` was saved.

    Raises:
        WeightsError: the file cannot be read or is of another configuration.
    """
    try:
        saved = load_file(path)
        state.update = int(saved.pop("update"))
        for name, learner in state.learners().items():
            learner.network.load_state_dict(_part(saved, f"{name}/network/"))
            if learner.average is not None:
                learner.average.load_state_dict(_part(saved, f"{name}/average/"))
            parameters = list(learner.network.parameters())
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
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"cannot resume from {path}: {error}") from error
    if saved:
        raise WeightsError(f"cannot resume from {path}: it also holds {sorted(saved)[0]}")


def _part(saved: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, taken out of ``saved``."""
    return {name[len(prefix) :]: saved.pop(name) for name in list(saved) if name.startswith(prefix)}
