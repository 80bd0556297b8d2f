"""The settings of what a training run learns from."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

from danet.data.layouts import Layout
from danet.errors import ConfigError
from danet.noise import (
    CameraPipeline,
    CBDNetPipeline,
    DevelopedNoise,
    NoiseModel,
    PoissonGaussian,
    WhiteGaussian,
)
from danet.rules import ABOVE_0, POSITIVE, Settings, rising
from danet.train.made import Variety

__all__ = ["DataConfig", "ExtraConfig", "ScaledNoise"]


@dataclass(frozen=True)
class ScaledNoise(Settings):
    """Real pairs with their noise scaled.

    Args:
        strength: range of factors on the noise, the smaller first, above 0.
        scale: range of factors by which the pairs are resized, the smaller first, above 0; a factor
            above 1 makes the noise coarser.

    Raises:
        ConfigError: a range has an end that is not above 0, or its ends in the wrong order.
    """

    strength: Annotated[tuple[float, float], rising()] = (0.5, 3.0)
    scale: Annotated[tuple[float, float], rising()] = (0.7, 1.8)
    section = "data.extra.real."


@dataclass(frozen=True)
class ExtraConfig(Settings):
    """A source of extra pairs: real ones, or clean pictures with the noise of one model.

    Args:
        share: how often it is drawn from, in proportion to the other sources.
        real: real pairs with their noise scaled.
        camera, cbdnet, developed, gaussian, poisson_gaussian: the model that makes the noise of
            clean pictures.
        variety: how these pictures' patches differ.

    Raises:
        ConfigError: there is not exactly one source.
    """

    share: Annotated[float, ABOVE_0] = 1.0
    real: ScaledNoise | None = None
    camera: CameraPipeline | None = None
    cbdnet: CBDNetPipeline | None = None
    developed: DevelopedNoise | None = None
    gaussian: WhiteGaussian | None = None
    poisson_gaussian: PoissonGaussian | None = None
    variety: Variety = field(default_factory=Variety)
    section = "data.extra."

    def __post_init__(self) -> None:
        super().__post_init__()
        # All fields but the first and the last.
        sources = {entry.name: getattr(self, entry.name) for entry in fields(self)[1:-1]}
        given = [name for name, source in sources.items() if source is not None]
        if len(given) != 1:
            raise ConfigError(
                f"data.extra has {' and '.join(given) or 'no source'} in one entry, and must have "
                f"one of {', '.join(sources)}"
            )

    @property
    def noise(self) -> NoiseModel | None:
        """The model of the noise; None for real pairs."""
        return (
            self.camera or self.cbdnet or self.developed or self.gaussian or self.poisson_gaussian
        )


@dataclass(frozen=True)
class DataConfig(Settings):
    """What is trained on.

    Args:
        root: folder of pairs, or several.
        weights: how often each root is drawn from, in proportion; equally by default.
        layout: one that ``danet data`` reads (see ``danet.data.source_pairs``), whose train part is
            taken where the folder has a ``split.json``; or ``"packed"``, what ``danet data
            prepare`` made.  All but ``"packed"`` are held in memory.
        frames: take PolyU's whole frames too, screened for misaligned tiles.
        sideways: turn patches of real pairs by a right angle, too.  A camera's noise has rows: a
            generator keeps them without.
        clean: folders of clean pictures to add noise to.  They are taken for sharp, and the
            pairs' clean sides for soft; without folders these are taken for both.
        extra: where the extra pairs of a batch come from, each source by its share.

    Raises:
        ConfigError: a number is out of its range.
    """

    root: Path | tuple[Path, ...]
    weights: Annotated[tuple[float, ...], POSITIVE] = ()
    layout: Literal[Layout, "packed"] = "folder"
    frames: bool = False
    sideways: bool = True
    clean: tuple[Path, ...] = ()
    extra: tuple[ExtraConfig, ...] = ()
    section = "data."

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.roots:
            raise ConfigError("data.root is empty, and must name a folder of pairs")
        if self.weights and len(self.weights) != len(self.roots):
            raise ConfigError(
                f"data.weights has {len(self.weights)} numbers, and must have one for each of "
                f"the {len(self.roots)} folders of data.root"
            )

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders of pairs."""
        return self.root if isinstance(self.root, tuple) else (self.root,)
