"""Settings of a run from a recipe, a TOML file, the command line or Python."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from danet.errors import ConfigError, did_you_mean, require
from danet.train.config import TrainConfig
from danet.train.recipes import RECIPES

__all__ = ["make_config", "read_config"]

_LARGEST = 1 << 20  # bytes of a configuration


def make_config(recipe: str = "danet", **settings: Any) -> TrainConfig:
    """A recipe of the paper, with one's own settings over it.

    Args:
        recipe: a name of ``danet.train.recipes.RECIPES``.
        **settings: fields of ``TrainConfig``; dictionaries for those of its parts, of which the
            recipe's other settings stay.

    Returns:
        The configuration, every value checked.

    Raises:
        ConfigError: a name is unknown, a value is missing or wrong, or pydantic is not installed.

    Example:
        >>> config = make_config("base-d", output="run", data={"root": "pairs"}, updates=100)
        >>> config.mode, config.loss.alpha, config.updates
        ('base-d', 0.0, 100)
    """
    pydantic = require("pydantic", "train", "checking a configuration")
    if recipe not in RECIPES:
        raise ConfigError(f"there is no recipe {recipe!r}{did_you_mean(recipe, RECIPES)}")
    try:
        values = _merged(RECIPES[recipe], settings)
        config: TrainConfig = pydantic.TypeAdapter(TrainConfig).validate_python(values)
    except pydantic.ValidationError as error:
        raise ConfigError("; ".join(map(_described, error.errors()))) from error
    _refuse_bools(values, config)
    return config


def _refuse_bools(values: Mapping[str, Any], config: object, section: str = "") -> None:
    """Refuse true and false where numbers are expected: pydantic takes them for 1 and 0."""
    for key, value in values.items():
        kept = getattr(config, key)
        if isinstance(value, Mapping):
            _refuse_bools(value, kept, f"{section}{key}.")
        elif isinstance(value, bool) and not isinstance(kept, bool):
            raise ConfigError(f"{section}{key} is {value}, and must be a number")


def read_config(path: Path, changes: Sequence[str] = ()) -> TrainConfig:
    """Read a configuration from a TOML file.

    ``$NAME`` and ``${NAME}`` in any string are replaced by that variable of the environment.
    Relative paths are relative to the working directory.

    Args:
        path: the TOML file, with the fields of ``TrainConfig`` as its keys, and ``recipe``, the
            name of a recipe whose settings are changed by the others.
        changes: ``"KEY=VALUE"``, such as ``"optimizer.denoiser=2e-4"``, which come before the file.

    Returns:
        The configuration, every value checked.

    Raises:
        ConfigError: the file cannot be read, a key is unknown, missing or wrong, an
            environment variable is not set, or pydantic is not installed.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        with path.open("rb") as file:  # pipes too, of which some never end
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise ConfigError(f"{path} is no configuration: it has more than {_LARGEST} bytes")
    try:
        values = tomllib.loads(content.decode())
    # TOML's errors are ValueErrors, and brackets can be nested deeper than the parser goes.
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    for change in changes:
        values = _merged(values, _parsed(change, tomllib.loads))
    try:
        return make_config(**_expanded(values))
    except KeyError as error:
        raise ConfigError(f"{path}: the environment variable {error.args[0]} is not set") from error
    except (ConfigError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _parsed(change: str, loads: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """A change of the command line, its value read as TOML, or else as the string that it is."""
    key, equals, value = change.partition("=")
    for right in (value, json.dumps(value)):
        with suppress(ValueError, RecursionError):
            if equals:
                return loads(f"{key} = {right}")
    raise ConfigError(f"{change!r} is no setting; write it as optimizer.denoiser=2e-4")


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over``, dictionaries merged."""
    merged = dict(base)
    for key, value in over.items():
        inner = merged.get(key)
        nested = isinstance(inner, Mapping) and isinstance(value, Mapping)
        merged[key] = {**_merged(inner or {}, value)} if nested else value
    return merged


def _expanded(value: Any) -> Any:
    """A value of TOML with the environment's variables put into its strings.

    Raises:
        KeyError: a variable is not set.
    """
    match value:
        case str():
            return re.sub(r"\$(\w+|{\w+})", lambda found: os.environ[found[1].strip("{}")], value)
        case list():
            return [_expanded(entry) for entry in value]
        case dict():
            return {key: _expanded(entry) for key, entry in value.items()}
    return value


def _described(fault: Mapping[str, Any]) -> str:
    """One of pydantic's faults in words; what was raised here names its setting already."""
    own = fault.get("ctx", {}).get("error")
    if isinstance(own, ConfigError):
        return str(own)
    *sections, key = map(str, fault["loc"])
    name = ".".join([*sections, key])
    if fault["type"] == "unexpected_keyword_argument":
        known: Any = TrainConfig
        for section in sections:
            # An entry of a list is told by its number.
            known = known if section.isdecimal() else _type_of(known, section)
        names = [field.name for field in fields(known)]
        return f"{name}: there is no such setting{did_you_mean(key, names)}"
    return f"{name}: {fault['msg']}"


def _type_of(settings: type, section: str) -> Any:
    """The dataclass of a section, which may be left out, or of the entries of a list."""
    hint = get_type_hints(settings)[section]
    return next(filter(is_dataclass, (hint, *get_args(hint))))
