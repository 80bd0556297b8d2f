"""A training run from its configuration to a model folder."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

import danet
from danet import data, weights
from danet.devices import hardware, usable_device
from danet.errors import DanetError
from danet.files import atomic_write
from danet.noise import CameraPipeline
from danet.train.checkpoint import load_checkpoint, save_checkpoint
from danet.train.config import DataConfig, TrainConfig, read_config
from danet.train.step import Pairs, TrainState, train_step

__all__ = ["train", "train_from_file"]

Patches = Dataset[tuple[Tensor, Tensor]]

_NETWORKS: tuple[weights.Kind, ...] = ("denoiser", "generator")
_CARD = """\
---
library_name: danet
---

# A {} trained with `danet train`

``../../config.json`` says how.  Please add here what it was trained on and which licence holds.
"""


def train_from_file(path: Path) -> Path:
    """Run the training that a TOML file describes; see ``train`` and ``TrainConfig``."""
    return train(read_config(path))


def train(config: TrainConfig) -> Path:
    """Train, from the run's checkpoint where there is one, and save the model.

    Args:
        config: what to train, on what and how long.

    Returns:
        The model folder, with ``denoiser/`` and, after joint training, ``generator/``.

    Raises:
        DataError: the pairs cannot be had.
        DanetError: a loss is no longer finite; the last checkpoint stays.
    """
    device = usable_device(config.device)
    state = _start(config, device)
    checkpoint = config.output / "checkpoint.safetensors"
    real, extra = _datasets(config)
    _write_json(
        config.output / "config.json",
        {
            "config": asdict(config),
            "pairs": len(real.clean),
            "hardware": hardware(device),
            "versions": {"danet": danet.__version__, "torch": torch.__version__},
        },
    )
    batches = _batches(config, real, extra, start=state.update)
    started, log = time.monotonic(), config.output / "log.jsonl"
    progress = tqdm(total=config.updates, initial=state.update, unit="update", smoothing=0.05)
    with progress, log.open("a", encoding="utf-8") as lines:
        while state.update < config.updates:
            drawn, more = next(batches)
            losses = train_step(
                state,
                [_to(batch, device) for batch in drawn],
                None if more is None else _to(more, device),
                config,
            )
            _check_finite(losses, state.update, checkpoint)
            progress.update()
            if state.update % config.log_every == 0:
                seconds = round(time.monotonic() - started, 1)
                line = {"update": state.update, "seconds": seconds, **losses}
                lines.write(json.dumps(line) + "\n")
                lines.flush()
            if state.update % config.checkpoint_every == 0 or state.update == config.updates:
                save_checkpoint(state, checkpoint)
    return save_model(state, config.output / "model")


def save_model(state: TrainState, folder: Path) -> Path:
    """Write the averaged networks as a folder that ``from_pretrained`` loads."""
    for name in _NETWORKS:
        learner = state.learners().get(name)
        if learner is not None:
            weights.save_network(learner.best, folder / name, _CARD.format(name))
    return folder


def _start(config: TrainConfig, device: torch.device) -> TrainState:
    state = TrainState.start(config, device)
    checkpoint = config.output / "checkpoint.safetensors"
    if checkpoint.exists():
        load_checkpoint(state, checkpoint)
    elif config.init_from is not None:
        folder = weights.find(config.init_from, "denoiser")
        state.denoiser.load(weights.load_network(folder, "denoiser").state_dict())
        beside = folder.parent / "generator"
        if state.generator is not None and beside.is_dir():
            state.generator.load(weights.load_network(beside, "generator").state_dict())
    return state


def _to(batch: Pairs, device: torch.device) -> Pairs:
    clean, noisy = (
        part.to(device, non_blocking=True, memory_format=torch.channels_last) for part in batch
    )
    return clean, noisy


def _check_finite(losses: dict[str, float], update: int, checkpoint: Path) -> None:
    wrong = [name for name, value in losses.items() if not np.isfinite(value)]
    if wrong:
        raise DanetError(
            f"{wrong[0]} is no longer finite at update {update}; the last good state is "
            f"{checkpoint}; a lower learning rate or optimizer.clip may help"
        )


def _write_json(path: Path, values: dict[str, object]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, default=str) + "\n", encoding="utf-8")


def _batches(
    config: TrainConfig, real: Patches, extra: Patches | None, start: int
) -> Iterator[tuple[list[Pairs], Pairs | None]]:
    """For each update from ``start`` on: the camera's batches, and the extra one or None."""
    per_update = config.critic_updates if config.mode == "joint" else 1
    draw = _loader(real, config, config.batch_size, per_update, start)
    more = _loader(extra, config, config.extra_size, 1, start) if extra is not None else None
    while True:
        yield [next(draw) for _ in range(per_update)], next(more) if more else None


def _loader(
    patches: Patches, config: TrainConfig, batch_size: int, per_update: int, start: int
) -> Iterator[Pairs]:
    # An item is fixed by its index, so where to go on is all that resuming needs.
    first, last = (update * per_update * batch_size for update in (start, config.updates))
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        Subset(patches, range(first, last)), batch_size, num_workers=config.workers
    )
    yield from loader


def _datasets(config: TrainConfig) -> tuple[data.PairPatches, Patches | None]:
    """The camera's pairs, and the pairs that R alone sees."""
    source, size, seed = config.data, config.patch_size, config.seed
    pairs = list(_pairs(source))
    real = data.PairPatches(pairs, size, seed)
    if not config.extra_size:
        return real, None
    clean = [picture for picture, _ in pairs] + list(_clean(source))
    extra = data.Mixture(
        [
            data.PairPatches(pairs, size, seed + 1, strength=source.strength, scale=source.scale),
            data.NoisedPatches(
                clean, size, seed + 2, CameraPipeline().add_noise, shrink=source.shrink
            ),
        ],
        [source.strengthened, 1 - source.strengthened],
        seed + 3,
    )
    return real, extra


def _pairs(source: DataConfig) -> Iterator[tuple[data.Picture, data.Picture]]:
    if source.layout == "folder":
        yield from map(data.read_pair, data.folder_pairs(source.root))
        return
    yield from map(data.read_pair, data.polyu_pairs(source.root, "train"))
    if source.frames:
        for pair in data.polyu_pairs(source.root, "train", "full"):
            yield from data.screened_tiles(*data.read_pair(pair))


def _clean(source: DataConfig) -> Iterator[data.Picture]:
    if source.layout == "polyu":
        yield from map(data.read_picture, data.polyu_clean(source.root, "train"))
    for folder in source.clean:
        yield from map(data.read_picture, data.picture_files(folder))
