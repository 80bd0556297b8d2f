"""The settings of a training run."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

import torch

from danet.errors import ConfigError
from danet.networks import Kind, build
from danet.rules import DECAY, POSITIVE, SHARE, Settings, at_least, finite
from danet.train.data_config import DataConfig

__all__ = [
    "FakesConfig",
    "LossConfig",
    "NetworkConfig",
    "OptimizerConfig",
    "TrainConfig",
    "ValidationConfig",
]

Mode: TypeAlias = Literal["joint", "base-d", "base-g", "denoiser", "generator"]
Schedule: TypeAlias = Literal["constant", "cosine", "paper", "program", "program-plus"]

_NETWORKS: dict[Mode, tuple[str, ...]] = {
    "joint": ("denoiser", "generator", "discriminator"),
    "base-d": ("denoiser", "discriminator"),
    "base-g": ("generator", "discriminator"),
    "denoiser": ("denoiser",),
    "generator": ("generator",),
}


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of the denoiser or the generator.

    Args:
        backbone: a name of ``danet.networks.BACKBONES``; ``"unet"`` is the paper's.
        width: channels within, as the backbone says; None is its default.
        depth: layers, blocks or levels, as the backbone says; None is its default.
        latent_channels: channels of the generator's random input; 1 in the paper.
    """

    backbone: str = "unet"
    width: int | None = None
    depth: int | None = None
    latent_channels: int = 1


@dataclass(frozen=True)
class FakesConfig(Settings):
    """Pairs that a trained generator makes while a denoiser learns: DANet+ of the paper.

    Args:
        generator: name of weights, or a path, as ``danet.NoiseGenerator`` takes it.
        ratio: of made pairs to real ones in a batch.
        clean: folders of clean pictures to make them of; by default the real pairs' clean sides.

    Raises:
        ConfigError: the ratio is out of its range.
    """

    generator: str
    ratio: Annotated[float, finite(0)] = 0.25
    clean: tuple[Path, ...] = ()
    section = "fakes."


@dataclass(frozen=True)
class ValidationConfig(Settings):
    """What a run is measured on while it trains.

    Args:
        root: folder of pairs, of the layout of the training pairs.  Where it has a ``split.json``
            the val part is taken, and of PolyU the crops.
        every: updates from one measurement to the next.
        pictures: the most pairs to measure on.
        crop: side of the pairs' middle that is measured, in pixels.
        fakes: noisy pictures that the generator makes of each for AKLD.

    Raises:
        ConfigError: a number is out of its range.
    """

    root: Path
    every: Annotated[int, at_least(1)] = 5000
    pictures: Annotated[int, at_least(1)] = 20
    crop: Annotated[int, at_least(1)] = 256
    fakes: Annotated[int, at_least(1)] = 4
    section = "validation."


@dataclass(frozen=True)
class LossConfig(Settings):
    """Weights of the losses, by default the paper's.

    Args:
        alpha: weight of the generator's part in the critic, from 0 to 1; the denoiser's has
            1 - alpha.
        tau_denoiser: weight tau1 of the denoiser's absolute error.
        tau_generator: weight tau2 of the difference of the smoothed noise, for the generator.
        tau_correlation: weight of what the noise's colours and grain differ by, for the generator,
            as ``danet.train.losses.correlation_match`` says; 0 in the paper.
        penalty: weight lambda of the gradient penalties.
        error: of the denoiser: ``"absolute"``, the paper's, or ``"root-mean-square"``, as
            ``danet.train.losses.denoiser_losses`` says.
        reduction: of the absolute error where the denoiser learns from it alone: ``"mean"`` over
            all values, or ``"sum"`` over the values of a picture, as in the authors' DANet+.

    Raises:
        ConfigError: a weight is out of its range.
    """

    alpha: Annotated[float, SHARE] = 0.5
    tau_denoiser: Annotated[float, finite(0)] = 1000.0
    tau_generator: Annotated[float, finite(0)] = 10.0
    tau_correlation: Annotated[float, finite(0)] = 0.0
    penalty: Annotated[float, finite(0)] = 10.0
    error: Literal["absolute", "root-mean-square"] = "absolute"
    reduction: Literal["mean", "sum"] = "mean"
    section = "loss."


@dataclass(frozen=True)
class OptimizerConfig(Settings):
    """Learning rates and their schedule.

    Args:
        denoiser: learning rate of the denoiser.
        generator: of the generator.
        discriminator: of the discriminator.
        rule: ``"adam"``, or ``"muon"`` for the convolutions and Adam for the rest.
        adam: learning rate of that rest.
        schedule: ``"constant"``; ``"cosine"`` down to a hundredth at the last update; or the
            rates are halved, by ``"paper"`` every 10 epochs, by ``"program"`` after those of
            the authors' program, by ``"program-plus"`` after those of its DANet+.
        epoch: updates in an epoch.
        warmup: updates over which the rates rise from 0.
        average: decay of the running average of the weights, below 1; 0 keeps none.
        clip: largest norm of the gradient of the denoiser and of the generator; 0 is none;
            ``"adaptive"`` is the least mean norm of the epochs before, at most 10,000, as in
            the authors' DANet+.

    Raises:
        ConfigError: a number is out of its range.
    """

    denoiser: Annotated[float, finite(0)] = 1e-4
    generator: Annotated[float, finite(0)] = 1e-4
    discriminator: Annotated[float, finite(0)] = 2e-4
    rule: Literal["adam", "muon"] = "adam"
    adam: Annotated[float, finite(0)] = 3e-4
    schedule: Schedule = "constant"
    epoch: Annotated[int, at_least(1)] = 5000
    warmup: Annotated[int, at_least(0)] = 0
    average: Annotated[float, DECAY] = 0.0
    clip: Annotated[float | Literal["adaptive"], finite(0)] = 0.0
    section = "optimizer."


@dataclass(frozen=True)
class TrainConfig(Settings):
    """One training run.

    Args:
        output: folder of the run: checkpoint, log, configuration and, in the end, the model.
        data: what is trained on.
        mode: what learns.  ``"joint"`` is Algorithm 1, with R, G and D; ``"base-d"`` is R and D
            without G, ``"base-g"`` G and D without R; ``"denoiser"`` is R with the absolute
            error alone, and ``"generator"`` G with the difference of the smoothed noise alone.
        init_from: name of weights, a file of them, or the model folder of another run, to
            start from instead of random weights.  Where it holds no generator, that is random.
        updates: of the denoiser and the generator.
        critic_updates: of the discriminator before each of those.
        generator_start: updates at the start of joint training in which the generator learns
            to make noise of the right local variance, while the critic learns what is real.
        batch_size: pairs from the camera in a batch.
        extra_size: pairs that the denoiser sees besides, from the sources of ``data.extra``.
        accumulate: parts that each batch is computed in, one after the other, to save memory.
        patch_size: height and width of a patch, in pixels: a multiple of 2^(depth - 1) for
            UNets, and for a discriminator one of 8, 16, 32, 64, ...
        critic_width: channels of the first layer of the discriminator.
        critic_deviation: without it the paper's discriminator, which sees clean and noisy patches;
            otherwise standard deviations of noise at intensities from black to white, equally
            spaced, and it sees clean patches and the noise divided by these.
        by_level: the generator's z is as strong as the noise of the pair's picture over the
            typical one, so that it learns to make noise of a wanted level.
        seed: fixes the random weights, every patch and every random draw; at least 0.
        workers: processes that prepare patches; 0 prepares them in this one.
        checkpoint_every: updates from one checkpoint to the next.
        log_every: updates from one line of the log to the next.
        device: where to train: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        precision: of the convolutions; weights and losses stay in float32.
        channels_last: lay the values of a pixel side by side; often faster, the same result
            but for rounding.
        compile: compile denoiser and generator with ``torch.compile``.
        denoiser: the shape of the denoiser.
        generator: the shape of the generator.
        fakes: pairs to be made by a generator, for the mode ``"denoiser"``.
        validation: what the run is measured on; None measures nothing.
        tensorboard: write numbers and pictures for TensorBoard too.
        loss: weights of the losses.
        optimizer: learning rates and their schedule.

    Raises:
        ConfigError: a number is out of its range.
    """

    output: Path
    data: DataConfig
    mode: Mode = "joint"
    init_from: str | None = None
    updates: Annotated[int, at_least(1)] = 350_000
    critic_updates: Annotated[int, at_least(1)] = 3
    generator_start: Annotated[int, at_least(0)] = 0
    batch_size: Annotated[int, at_least(1)] = 16
    extra_size: Annotated[int, at_least(0)] = 0
    accumulate: Annotated[int, at_least(1)] = 1
    patch_size: Annotated[int, at_least(1)] = 128
    critic_width: Annotated[int, at_least(1)] = 64
    critic_deviation: Annotated[tuple[float, ...], POSITIVE] = ()
    by_level: bool = False
    seed: Annotated[int, at_least(0)] = 0
    workers: Annotated[int, at_least(0)] = 2
    checkpoint_every: Annotated[int, at_least(1)] = 500
    log_every: Annotated[int, at_least(1)] = 50
    device: str = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = False
    compile: bool = False
    denoiser: NetworkConfig = field(default_factory=NetworkConfig)
    generator: NetworkConfig = field(default_factory=NetworkConfig)
    fakes: FakesConfig | None = None
    validation: ValidationConfig | None = None
    tensorboard: bool = False
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    # An unknown key is an error, in the parts as well.
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    def __post_init__(self) -> None:
        super().__post_init__()
        for kind in ("denoiser", "generator"):
            multiple = self._size_multiple(kind)
            if kind in self.networks and self.patch_size % multiple:
                raise ConfigError(
                    f"patch_size is {self.patch_size}, and must be a multiple of {multiple} for "
                    f"the {kind}"
                )
        power_of_2 = self.patch_size & (self.patch_size - 1) == 0
        if "discriminator" in self.networks and not (power_of_2 and self.patch_size >= 8):
            raise ConfigError(
                f"patch_size is {self.patch_size}, and must be 8, 16, 32, 64, ... for a "
                "discriminator"
            )
        if self.by_level and "generator" not in self.networks:
            raise ConfigError(f"by_level needs a mode with a generator, and mode is {self.mode!r}")
        if self.fakes and (self.mode != "denoiser" or self.extra_size):
            raise ConfigError('fakes need mode = "denoiser" and extra_size = 0')
        if self.extra_size and not self.data.extra:
            raise ConfigError(
                f"extra_size is {self.extra_size}, and data.extra must name a source of such pairs"
            )
        for name, size in (("batch_size", self.real_size), ("extra_size", self.more_size)):
            if size % self.accumulate:
                raise ConfigError(
                    f"accumulate is {self.accumulate}, which does not divide the {size} pairs "
                    f"of {name}"
                )

    def _size_multiple(self, kind: Kind) -> int:
        """What the patches of a network must be multiples of; also refuses a bad shape."""
        shape: NetworkConfig = getattr(self, kind)
        try:
            # Without storage: no weights are drawn.
            with torch.device("meta"):
                network = build(kind, *astuple(shape))
        except ConfigError as error:
            raise ConfigError(f"{kind}: {error}") from error
        return network.size_multiple

    @property
    def networks(self) -> tuple[str, ...]:
        """What learns: of ``"denoiser"``, ``"generator"`` and ``"discriminator"``."""
        return _NETWORKS[self.mode]

    @property
    def real_size(self) -> int:
        """Pairs from the camera in a batch: with fakes, ceil(batch_size / (1 + ratio))."""
        ratio = self.fakes.ratio if self.fakes else 0.0
        return math.ceil(self.batch_size / (1 + ratio))

    @property
    def more_size(self) -> int:
        """Other pairs in a batch: of ``data.extra``, or made by a generator."""
        return self.batch_size - self.real_size if self.fakes else self.extra_size
