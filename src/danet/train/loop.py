"""A training run from its configuration to a model folder."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from danet import data, weights
from danet.devices import usable_device
from danet.errors import ConfigError, DanetError, WeightsError
from danet.noise import CameraPipeline
from danet.train.checkpoint import resume, save_checkpoint
from danet.train.config import DataConfig, TrainConfig, read_config
from danet.train.record import check_same_run, trim_log, write_config
from danet.train.step import Learner, Pairs, TrainState, train_step

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
    """Run the training that a TOML file describes.

    Args:
        path: the file, as ``read_config`` takes it.

    Returns:
        The model folder, as ``train``.

    Raises:
        ConfigError: the file cannot be read or is wrong; and as ``train``.
        DanetError: as ``train``, with the same members of its family.
    """
    return train(read_config(path))


def train(config: TrainConfig) -> Path:
    """Train, from the run's checkpoint where there is one, and save the model.

    Args:
        config: what to train, on what and how long.

    Returns:
        The model folder, with ``denoiser/`` and, after joint training, ``generator/``.

    Raises:
        ConfigError: the device cannot be used, the networks of ``init_from`` have another
            width or depth, or the run was begun with other settings.
        DataError: the pairs cannot be had.
        ImageError: a picture cannot be read.
        WeightsError: ``init_from`` or the checkpoint cannot be loaded.
        DanetError: a loss or a weight is no longer finite, and the last checkpoint stays; or
            a file cannot be written.
    """
    device = usable_device(config.device)
    checkpoint = config.output / "checkpoint.safetensors"
    settings, log = config.output / "config.json", config.output / "log.jsonl"
    state = TrainState.start(config, device)
    if checkpoint.exists():
        check_same_run(config, settings)
        resume(state, checkpoint)
    elif config.init_from is not None:
        _load_initial(state, config.init_from)
    real, extra = _datasets(config)
    write_config(config, settings, pairs=len(real.clean), device=device)
    trim_log(log, state.update)
    batches = _batches(config, real, extra, start=state.update)
    started = time.monotonic()
    # disable=None: no bar where standard error is not a terminal.
    progress = tqdm(
        total=config.updates, initial=state.update, unit="update", smoothing=0.05, disable=None
    )
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
                _check_finite(_largest_weights(state), state.update, checkpoint)
                save_checkpoint(state, checkpoint)
    return save_model(state, config.output / "model")


def save_model(state: TrainState, folder: Path) -> Path:
    """Write the averaged networks as a folder that ``from_pretrained`` loads.

    Args:
        state: what to save; the discriminator is left out.
        folder: made if need be.

    Returns:
        The folder.

    Raises:
        DanetError: a file cannot be written.
    """
    for name in _NETWORKS:
        learner = state.learners().get(name)
        if learner is not None:
            weights.save_network(learner.averaged, folder / name, _CARD.format(name))
    return folder


def _load_initial(state: TrainState, name: str) -> None:
    """Start from the denoiser of a name and, in joint training, from its generator if it has one.

    Raises:
        ConfigError: a network has another width or depth.
        WeightsError: there is no such denoiser, or a file is damaged.
    """
    path = weights.find(name, "denoiser")
    _load(state.denoiser, path, "denoiser")
    if state.generator is not None and (beside := _generator_of(name, path)) is not None:
        _load(state.generator, beside, "generator")


def _generator_of(name: str, denoiser: Path) -> Path | None:
    """Where the generator of a name is; None where the name has none."""
    try:
        path = weights.find(name, "generator")
    except WeightsError:
        return None
    if path != denoiser:
        return path
    # One path for both: the folder or the file of a denoiser alone, or a joint file.
    if path.is_dir() or path.suffix == ".safetensors":
        return None
    return path if "G" in torch.load(path, map_location="cpu", weights_only=True) else None


def _load(learner: Learner[Any], path: Path, kind: weights.Kind) -> None:
    own, loaded = learner.network, weights.load_network(path, kind)
    if (loaded.width, loaded.depth) != (own.width, own.depth):
        raise ConfigError(
            f"{path}: the {kind} has width {loaded.width} and depth {loaded.depth}, "
            f"but the run has width {own.width} and depth {own.depth}"
        )
    learner.load(loaded.state_dict())


def _to(batch: Pairs, device: torch.device) -> Pairs:
    clean, noisy = (
        part.to(device, non_blocking=True, memory_format=torch.channels_last) for part in batch
    )
    return clean, noisy


def _check_finite(values: Mapping[str, float], update: int, checkpoint: Path) -> None:
    wrong = [name for name, value in values.items() if not math.isfinite(value)]
    if wrong:
        raise DanetError(
            f"{wrong[0]} is no longer finite at update {update}; the last good state, if one was "
            f"saved, is {checkpoint}; a lower learning rate or optimizer.clip may help"
        )


def _largest_weights(state: TrainState) -> dict[str, float]:
    """The largest absolute weight of each network: not finite if any of them is not."""
    return {
        f"the largest weight of the {name}": float(
            torch.stack([p.detach().abs().max() for p in learner.network.parameters()]).max()
        )
        for name, learner in state.learners().items()
    }


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
    # A part that is never drawn is left out, so that its size limits are not imposed.
    parts: list[Patches] = []
    shares: list[float] = []
    if source.strengthened > 0:
        parts.append(
            data.PairPatches(pairs, size, seed + 1, strength=source.strength, scale=source.scale)
        )
        shares.append(source.strengthened)
    if source.strengthened < 1:
        clean = [picture for picture, _ in pairs] + list(_clean(source))
        add_noise = CameraPipeline().add_noise
        parts.append(
            data.NoisedPatches(
                clean,
                size,
                seed + 2,
                add_noise,
                shrink=source.shrink,
                exposure=source.exposure,
                saturation=source.saturation,
            )
        )
        shares.append(1 - source.strengthened)
    return real, data.Mixture(parts, shares, seed + 3)


def _pairs(source: DataConfig) -> Iterator[tuple[data.Pixels, data.Pixels]]:
    if source.layout == "folder":
        yield from map(data.read_pair, data.folder_pairs(source.root))
        return
    yield from map(data.read_pair, data.polyu_pairs(source.root, "train"))
    if source.frames:
        for pair in data.polyu_pairs(source.root, "train", "full"):
            yield from data.screened_tiles(*data.read_pair(pair))


def _clean(source: DataConfig) -> Iterator[data.Pixels]:
    if source.layout == "polyu":
        yield from map(data.read_picture, data.polyu_clean(source.root, "train"))
    for folder in source.clean:
        yield from map(data.read_picture, data.picture_files(folder))
