"""The configuration of a training run, and reading it from a TOML file."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from danet.errors import ConfigError

__all__ = ["DataConfig", "LossConfig", "OptimizerConfig", "TrainConfig", "read_config"]

# Read by pydantic: an unknown key is an error.
_STRICT = {"extra": "forbid"}


@dataclass(frozen=True)
class DataConfig:
    """What is trained on.

    Args:
        root: folder of pairs.
        layout: ``"folder"`` (see ``danet.data.folder_pairs``) or ``"polyu"``.
        frames: take PolyU's whole frames too, screened for misaligned tiles.
        clean: folders of clean pictures for the camera model, which also gets the clean sides.
        strengthened: share, among the extra pairs, of real ones with their noise scaled.
        strength: range of that scaling.
        scale: range of the factor by which such pairs are resized.
        shrink: largest factor by which clean pictures are made smaller.
    """

    root: Path
    layout: Literal["folder", "polyu"] = "folder"
    frames: bool = False
    clean: tuple[Path, ...] = ()
    strengthened: float = 0.0
    strength: tuple[float, float] = (0.5, 3.0)
    scale: tuple[float, float] = (0.7, 1.8)
    shrink: float = 2.0
    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses, by default the paper's."""

    alpha: float = 0.5
    tau_denoiser: float = 1000.0
    tau_generator: float = 10.0
    penalty: float = 10.0
    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class OptimizerConfig:
    """Learning rates and their schedule.

    Args:
        denoiser: learning rate of the denoiser.
        generator: of the generator.
        discriminator: of the discriminator.
        schedule: ``"constant"``, or ``"cosine"`` down to a hundredth at the last update.
        warmup: updates over which the rates rise from 0.
        average: decay of the running average of the weights; 0 keeps none.
        clip: largest norm of the gradient of the denoiser and of the generator; 0 is none.
    """

    denoiser: float = 1e-4
    generator: float = 1e-4
    discriminator: float = 2e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = 0
    average: float = 0.0
    clip: float = 0.0
    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Args:
        output: folder of the run: checkpoint, log, configuration and, in the end, the model.
        data: what is trained on.
        mode: ``"joint"`` is Algorithm 1; ``"denoiser"`` trains R with the absolute error alone.
        init_from: name of weights, or the model folder of another run, to start from instead of
            random weights.  The folder may lack the generator, which is then random.
        updates: of the denoiser and the generator.
        critic_updates: of the discriminator before each of those.
        batch_size: pairs from the camera in a batch.
        extra_size: pairs that the denoiser sees besides: made by the camera model, or
            real with their noise scaled.
        patch_size: height and width of a patch, in pixels.
        width: channels of the first level of denoiser and generator.
        critic_width: channels of the first layer of the discriminator.
    """

    output: Path
    data: DataConfig
    mode: Literal["joint", "denoiser"] = "joint"
    init_from: str | None = None
    updates: int = 350_000
    critic_updates: int = 3
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
        positive = ("updates", "batch_size", "patch_size", "width", "depth", "critic_updates")
        for name in positive:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, it must be at least 1")
        for name in ("extra_size", "workers"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, it must not be negative")
        multiple = 2 ** (self.depth - 1)
        if self.patch_size % multiple:
            raise ConfigError(
                f"patch_size is {self.patch_size}, it must be a multiple of {multiple}"
            )


def read_config(path: Path) -> TrainConfig:
    """The configuration in a TOML file; ``$NAME`` in its paths is taken from the environment.

    Relative paths are relative to the working directory.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown, missing or wrong.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        import pydantic
    except ImportError as error:
        raise ConfigError("reading a configuration needs: pip install 'danet[train]'") from error
    try:
        text = path.read_text(encoding="utf-8")
        unset = [name for name in re.findall(r"\$(\w+)", text) if name not in os.environ]
        values = tomllib.loads(os.path.expandvars(text))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    if unset:
        raise ConfigError(f"{path}: the environment variable {unset[0]} is not set")
    try:
        return pydantic.TypeAdapter(TrainConfig).validate_python(values)
    except pydantic.ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'run'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ConfigError(f"{path}: {faults}") from error
