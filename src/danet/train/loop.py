"""A training run from its configuration to a model folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from danet import weights
from danet.devices import usable_device
from danet.errors import ConfigError, DanetError
from danet.files import atomic_write, drop_unfinished, locked
from danet.networks import DenoiserNetwork, GeneratorNetwork
from danet.train.batches import Sources, batches, read_pairs
from danet.train.checkpoint import read_checkpoint, resume, save_checkpoint
from danet.train.config import TrainConfig
from danet.train.config_file import read_config
from danet.train.curves import write_curves
from danet.train.distribution import Team, join_team
from danet.train.record import check_same_run, describe
from danet.train.report import Report
from danet.train.signals import stop_requests
from danet.train.state import Learner, Pairs, TrainState
from danet.train.step import train_step
from danet.train.validate import Validation, unit_level

__all__ = ["train", "train_from_file"]

_CHECKPOINT = "checkpoint.safetensors"
_MEASURED = 64  # pictures, for the level of the noise
_CARD = """\
---
library_name: danet
---

# A {} trained with `danet train`

``../../config.json`` says how.  Please add here what it was trained on and which licence holds.
"""


def train_from_file(path: Path, changes: Sequence[str] = ()) -> Path:
    """Run the training that a TOML file describes.

    Args:
        path: the file, as ``read_config`` takes it.
        changes: as ``read_config`` takes them.

    Returns:
        The model folder, as ``train``.

    Raises:
        ConfigError: the file cannot be read or is wrong; and as ``train``.
        DanetError: as ``train``, with the same members of its family.
    """
    return train(read_config(path, changes))


def train(config: TrainConfig) -> Path:
    """Train, from the run's checkpoint where there is one, and save the model.

    Args:
        config: what to train, on what and how long.

    Returns:
        The model folder, with ``denoiser/``, ``generator/`` or both.

    Raises:
        ConfigError: the device cannot be used, the networks of ``init_from`` have another
            width or depth, the run was begun with other settings, or another training runs
            in its folder.
        DataError: the pairs cannot be had.
        ImageError: a picture cannot be read.
        WeightsError: ``init_from`` or the checkpoint cannot be loaded.
        DanetError: a loss or a weight is no longer finite, and the last checkpoint stays; or
            a file cannot be written.
        KeyboardInterrupt: SIGINT came, and the checkpoint was saved; SIGTERM is a SystemExit.
    """
    team, device = join_team(usable_device(config.device))
    _check_shares(config, team)
    sources = Sources(config)
    state = TrainState.start(config, device, team, sources.levels)
    model = config.output / "model"
    with _only_training(config.output, team):
        for folder in (config.output, *(model / name for name in weights.KINDS)):
            drop_unfinished(folder)
        if (config.output / _CHECKPOINT).exists():
            checkpoint = read_checkpoint(config.output / _CHECKPOINT)
            check_same_run(config, checkpoint.record, sources.record())
            resume(state, checkpoint)
        elif config.init_from is not None:
            _load_initial(state, config.init_from)
        _run(config, state, sources, device)
        if team.rank == 0:
            if state.generator and config.by_level:
                generator = state.generator.averaged
                generator.unit_level = unit_level(generator, sources.clean(_MEASURED))
            save_model(state, model)
            write_curves(config.output)
        team.wait()
    return model


@contextmanager
def _only_training(folder: Path, team: Team) -> Iterator[None]:
    """Keep other trainings out of the folder: they would write the same files.

    Raises:
        ConfigError: one runs there.
    """
    lock = locked(folder / "train.lock", wait=False) if team.rank == 0 else nullcontext(True)
    with lock as taken:
        if team.agree(not taken):
            raise ConfigError(
                f"output is {folder}, where another training runs; wait for its end, or take "
                "another folder"
            )
        yield


def _run(config: TrainConfig, state: TrainState, sources: Sources, device: torch.device) -> None:
    """Do the updates that are left, and write down what they bring."""
    team, checkpoint = state.team, config.output / _CHECKPOINT
    validation = _validation(config) if team.rank == 0 else None
    record = describe(config, data=sources.record(), device=device)
    if team.rank == 0:
        with atomic_write(config.output / "config.json") as temporary:
            temporary.write_text(record, encoding="utf-8")
    # No process goes on before every one has read what there was.
    team.wait()
    with ExitStack() as stack:
        # Closed, its workers end; they would not by themselves.
        drawn = stack.enter_context(closing(batches(config, sources, team, start=state.update)))
        report = None
        if team.rank == 0:
            report = stack.enter_context(_reporting(config, state, validation))
        stop = stack.enter_context(stop_requests())
        while state.update < config.updates:
            real, extra = next(drawn)
            losses = train_step(
                state,
                [_to(batch, device, config) for batch in real],
                None if extra is None else _to(extra, device, config),
                config,
            )
            _check_finite(losses, state.update, checkpoint)
            if report is not None:
                report(losses)
            stopping = team.agree(stop.requested)
            due = state.update % config.checkpoint_every == 0 or state.update == config.updates
            if (due or stopping) and team.rank == 0:
                _check_finite(_largest_weights(state), state.update, checkpoint)
                save_checkpoint(state, checkpoint, record)
            if stopping:
                stop.obey()


@contextmanager
def _reporting(
    config: TrainConfig, state: TrainState, validation: Validation | None
) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Progress, log and validation: what writes down what an update brought, where it is time."""

    def write(losses: Mapping[str, float]) -> None:
        progress.update()
        last = state.update == config.updates
        if last or state.update % config.log_every == 0:
            report.write_numbers(state.update, losses)
        wanted = config.validation
        if validation and wanted and (last or state.update % wanted.every == 0):
            denoiser = state.denoiser.averaged if state.denoiser else None
            generator = state.generator.averaged if state.generator else None
            report.write_numbers(state.update, validation.measure(denoiser, generator))
            picture = validation.grid(denoiser, generator)
            report.write_picture(state.update, "validation/pictures", picture)

    # disable=None: no bar where standard error is not a terminal.
    bar = tqdm(
        total=config.updates, initial=state.update, unit="update", smoothing=0.05, disable=None
    )
    with (
        bar as progress,
        Report(config.output, update=state.update, tensorboard=config.tensorboard) as report,
    ):
        yield write


def _validation(config: TrainConfig) -> Validation | None:
    wanted = config.validation
    if wanted is None:
        return None
    pairs = read_pairs(config.data, wanted.root, "val")
    return Validation(pairs, crop=wanted.crop, limit=wanted.pictures, fakes=wanted.fakes)


def _check_shares(config: TrainConfig, team: Team) -> None:
    """Refuse batches that a team cannot share equally.

    Raises:
        ConfigError: the number of processes and parts does not divide a batch.
    """
    for name, size in (("batch_size", config.real_size), ("extra_size", config.more_size)):
        if size % (team.size * config.accumulate):
            raise ConfigError(
                f"{name} gives {size} pairs in a batch, and must give a multiple of "
                f"{team.size} processes x {config.accumulate} parts (accumulate)"
            )


def save_model(state: TrainState, folder: Path) -> None:
    """Write the averaged networks as a folder that ``from_pretrained`` loads.

    Args:
        state: what to save; the discriminator is left out.
        folder: made if need be.

    Raises:
        DanetError: a file cannot be written.
    """
    for name in weights.KINDS:
        learner = state.learners().get(name)
        if learner is not None:
            weights.save_network(learner.averaged, folder / name, _CARD.format(name))


def _load_initial(state: TrainState, name: str) -> None:
    """Start from the denoiser of a name, and from its generator if it has one.

    Raises:
        ConfigError: a network has another width or depth.
        WeightsError: there is no such denoiser where one learns, or a file is damaged.
    """
    if state.denoiser is not None:
        _load(state.denoiser, name, "denoiser")
    if state.generator is not None and (
        state.denoiser is None or weights.find_if_there(name, "generator")
    ):
        _load(state.generator, name, "generator")


def _load(learner: Learner[Any], name: str, kind: weights.Kind) -> None:
    own, loaded = learner.network, weights.load(name, kind)
    found, right = map(_shape, (loaded, own))
    if found != right:
        raise ConfigError(
            f"{name}: its network is a {found}, but the run has a {right}: see the settings {kind}"
        )
    learner.load(loaded.state_dict())


def _shape(network: DenoiserNetwork | GeneratorNetwork) -> str:
    shape = f"{network.name} of width {network.width} and depth {network.depth}"
    if isinstance(network, GeneratorNetwork) and network.latent_channels > 1:
        shape += f" with {network.latent_channels} channels of z"
    return shape


def _to(batch: Pairs, device: torch.device, config: TrainConfig) -> Pairs:
    layout = torch.channels_last if config.channels_last else torch.preserve_format
    clean, noisy, *levels = (part.to(device, non_blocking=True) for part in batch)
    return clean.to(memory_format=layout), noisy.to(memory_format=layout), *levels


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
