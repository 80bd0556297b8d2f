"""The record of a run, by which it is resumed: its settings and its data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import torch

import danet
from danet.devices import hardware
from danet.errors import ConfigError
from danet.train.config import TrainConfig

__all__ = ["check_same_run", "describe"]

# What may change when a run is resumed.  The pairs are told by their fingerprint, not their folder.
_FREE = (
    "data.root",
    "updates",
    "device",
    "workers",
    "checkpoint_every",
    "log_every",
    "output",
    "tensorboard",
    "validation",
)


def describe(config: TrainConfig, *, data: Mapping[str, Any], device: torch.device) -> str:
    """The configuration of a run and what it ran on, as JSON.

    Args:
        config: the run.
        data: what is to be known of the pairs.
        device: where.
    """
    record = {
        "config": asdict(config),
        **data,
        "hardware": hardware(device),
        "versions": {"danet": danet.__version__, "torch": torch.__version__},
    }
    return _as_json(record)


def check_same_run(config: TrainConfig, described: str, data: Mapping[str, Any]) -> None:
    """Refuse to resume a run with other settings or other pairs than it was begun with.

    Args:
        config: the settings now.
        described: what ``describe`` gave when it was saved.
        data: what is known of the pairs now.

    Raises:
        ConfigError: a setting or a picture differs that changes the result.
    """
    record = json.loads(described)
    now = json.loads(_as_json(asdict(config)))
    for name, before, value in (
        *_differences(record["config"], now),
        *_differences(record, data),
    ):
        if name not in _FREE and name.split(".")[0] not in _FREE:
            raise ConfigError(
                f"{name} is {value}, but the run in {config.output} was begun with {before}; "
                "a new run needs another output"
            )


def _as_json(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=1, default=str) + "\n"


def _differences(
    before: object, now: object, name: str = ""
) -> Iterator[tuple[str, object, object]]:
    """What differs of the settings that both have: the dotted names, and both values."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in now:
            if key in before:
                yield from _differences(before[key], now[key], f"{name}.{key}" if name else key)
    elif before != now:
        yield name, before, now
