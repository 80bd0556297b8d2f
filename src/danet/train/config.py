"""The configuration of a training run, and reading it from a TOML file."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from danet.errors import ConfigError

__all__ = ["DataConfig", "LossConfig", "OptimizerConfig", "TrainConfig", "read_config"]

# Read by pydantic: an unknown key is an error.
_STRICT = {"extra": "forbid"}


class _Rule(NamedTuple):
    """What a setting must be, in words, and whether a value is that."""

    words: str
    holds: Callable[[Any], bool]


# NaN compares false with everything, so each of these refuses it.
_COUNT = _Rule("at least 1", lambda value: value >= 1)
_COUNT_OR_NONE = _Rule("at least 0", lambda value: value >= 0)
_FACTOR = _Rule("finite and at least 1", lambda value: 1 <= value < math.inf)
_AMOUNT = _Rule("finite and at least 0", lambda value: 0 <= value < math.inf)
_SHARE = _Rule("from 0 to 1", lambda value: 0 <= value <= 1)
_DECAY = _Rule("at least 0 and below 1", lambda value: 0 <= value < 1)
_RANGE = _Rule(
    "two finite numbers above 0, the second not below the first",
    lambda value: 0 < value[0] <= value[1] < math.inf,
)
_DIMMING = _Rule(
    "two numbers above 0 and at most 1, the second not below the first",
    lambda value: 0 < value[0] <= value[1] <= 1,
)
# Weights beyond these are refused by danet.weights.
_WIDTH = _Rule("from 1 to 1024", lambda value: 1 <= value <= 1024)
_DEPTH = _Rule("from 1 to 12", lambda value: 1 <= value <= 12)


def _check(settings: object, section: str, rules: Mapping[str, _Rule]) -> None:
    """Refuse the first setting that breaks its rule."""
    for name, rule in rules.items():
        value = getattr(settings, name)
        if not rule.holds(value):
            raise ConfigError(f"{section}{name} is {value}, and must be {rule.words}")


@dataclass(frozen=True)
class DataConfig:
    """What is trained on.

    Args:
        root: folder of pairs.
        layout: ``"folder"`` (see ``danet.data.folder_pairs``) or ``"polyu"``.
        frames: take PolyU's whole frames too, screened for misaligned tiles.
        clean: folders of clean pictures for the camera model, which also gets the clean sides.
        strengthened: share, among the extra pairs, of real ones with their noise scaled, from
            0 to 1; the others are made by the camera model.
        strength: range of that scaling, the smaller first, above 0.
        scale: range of the factor by which such pairs are resized, likewise.
        shrink: largest factor by which clean pictures are made smaller, at least 1.
        exposure: range of factors on their values, the smaller first, above 0 and at most 1.
        saturation: range of factors on their colours' distance from grey, likewise, any size.

    Raises:
        ConfigError: a number is out of its range.
    """

    root: Path
    layout: Literal["folder", "polyu"] = "folder"
    frames: bool = False
    clean: tuple[Path, ...] = ()
    strengthened: float = 0.0
    strength: tuple[float, float] = (0.5, 3.0)
    scale: tuple[float, float] = (0.7, 1.8)
    shrink: float = 2.0
    exposure: tuple[float, float] = (0.3, 1.0)
    saturation: tuple[float, float] = (0.3, 1.5)
    __pydantic_config__ = _STRICT

    def __post_init__(self) -> None:
        rules = {
            "strengthened": _SHARE,
            "shrink": _FACTOR,
            "exposure": _DIMMING,
            **dict.fromkeys(("strength", "scale", "saturation"), _RANGE),
        }
        _check(self, "data.", rules)


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses, by default the paper's.

    Args:
        alpha: weight of the generator's part in the critic, from 0 to 1; the denoiser's has
            1 - alpha.
        tau_denoiser: weight tau1 of the denoiser's absolute error.
        tau_generator: weight tau2 of the difference of the smoothed noise, for the generator.
        penalty: weight lambda of the gradient penalties.

    Raises:
        ConfigError: a weight is out of its range.
    """

    alpha: float = 0.5
    tau_denoiser: float = 1000.0
    tau_generator: float = 10.0
    penalty: float = 10.0
    __pydantic_config__ = _STRICT

    def __post_init__(self) -> None:
        amounts = ("tau_denoiser", "tau_generator", "penalty")
        _check(self, "loss.", {"alpha": _SHARE, **dict.fromkeys(amounts, _AMOUNT)})


@dataclass(frozen=True)
class OptimizerConfig:
    """Learning rates and their schedule.

    Args:
        denoiser: learning rate of the denoiser.
        generator: of the generator.
        discriminator: of the discriminator.
        schedule: ``"constant"``, or ``"cosine"`` down to a hundredth at the last update.
        warmup: updates over which the rates rise from 0.
        average: decay of the running average of the weights, below 1; 0 keeps none.
        clip: largest norm of the gradient of the denoiser and of the generator; 0 is none.

    Raises:
        ConfigError: a number is out of its range.
    """

    denoiser: float = 1e-4
    generator: float = 1e-4
    discriminator: float = 2e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = 0
    average: float = 0.0
    clip: float = 0.0
    __pydantic_config__ = _STRICT

    def __post_init__(self) -> None:
        amounts = ("denoiser", "generator", "discriminator", "warmup", "clip")
        _check(self, "optimizer.", {"average": _DECAY, **dict.fromkeys(amounts, _AMOUNT)})


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Args:
        output: folder of the run: checkpoint, log, configuration and, in the end, the model.
        data: what is trained on.
        mode: ``"joint"`` is Algorithm 1; ``"denoiser"`` trains R with the absolute error alone.
        init_from: name of weights, a file of them, or the model folder of another run, to
            start from instead of random weights.  Where it holds no generator, that is random.
        updates: of the denoiser and the generator.
        critic_updates: of the discriminator before each of those.
        generator_start: updates at the start of joint training in which the generator learns
            to make noise of the right local variance, while the critic learns what is real.
        batch_size: pairs from the camera in a batch.
        extra_size: pairs that the denoiser sees besides: made by the camera model, or
            real with their noise scaled.
        patch_size: height and width of a patch, in pixels: a multiple of 2^(depth - 1), and in
            joint mode one of 8, 16, 32, 64, ...
        width: channels of the first level of denoiser and generator, at most 1024.
        depth: levels of denoiser and generator, at most 12.
        critic_width: channels of the first layer of the discriminator.
        seed: fixes the random weights, every patch and every random draw; at least 0.
        workers: processes that prepare patches; 0 prepares them in this one.
        checkpoint_every: updates from one checkpoint to the next.
        log_every: updates from one line of the log to the next.
        device: where to train: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        loss: weights of the losses.
        optimizer: learning rates and their schedule.

    Raises:
        ConfigError: a number is out of its range.
    """

    output: Path
    data: DataConfig
    mode: Literal["joint", "denoiser"] = "joint"
    init_from: str | None = None
    updates: int = 350_000
    critic_updates: int = 3
    generator_start: int = 0
    batch_size: int = 16
    extra_size: int = 0
    patch_size: int = 128
    width: int = 32
    depth: int = 5
    critic_width: int = 64
    seed: int = 0
    workers: int = 2
    checkpoint_every: int = 500
    log_every: int = 50
    device: str = "auto"
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    __pydantic_config__ = _STRICT

    def __post_init__(self) -> None:
        rules = {"width": _WIDTH, "depth": _DEPTH}
        rules |= dict.fromkeys(("updates", "critic_updates", "batch_size", "patch_size"), _COUNT)
        rules |= dict.fromkeys(("critic_width", "checkpoint_every", "log_every"), _COUNT)
        rules |= dict.fromkeys(("extra_size", "generator_start", "seed", "workers"), _COUNT_OR_NONE)
        _check(self, "", rules)
        multiple = 2 ** (self.depth - 1)
        if self.patch_size % multiple:
            raise ConfigError(
                f"patch_size is {self.patch_size}, and must be a multiple of {multiple}"
            )
        power_of_2 = self.patch_size & (self.patch_size - 1) == 0
        if self.mode == "joint" and not (power_of_2 and self.patch_size >= 8):
            raise ConfigError(
                f"patch_size is {self.patch_size}, and must be 8, 16, 32, 64, ... in joint mode"
            )


def read_config(path: Path) -> TrainConfig:
    """Read a configuration from a TOML file.

    ``$NAME`` and ``${NAME}`` in any string are replaced by that variable of the environment.
    Relative paths are relative to the working directory.

    Args:
        path: the TOML file, with the fields of ``TrainConfig`` as its keys.

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
        import pydantic
    except ImportError as error:
        raise ConfigError("reading a configuration needs pydantic: pip install pydantic") from error
    try:
        values = _expanded(tomllib.loads(path.read_text(encoding="utf-8")))
        return pydantic.TypeAdapter(TrainConfig).validate_python(values)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    except KeyError as error:
        raise ConfigError(f"{path}: the environment variable {error.args[0]} is not set") from error
    except pydantic.ValidationError as error:
        faults = [_described(fault) for fault in error.errors()]
        raise ConfigError(f"{path}: {'; '.join(faults)}") from error


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
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
