"""The batches of a run: its data sets, and the items of each update."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain, count, zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from danet.data import (
    Mixture,
    PackedPairs,
    PairPatches,
    Pixels,
    fingerprint,
    middle,
    picture_files,
    polyu_clean,
    read_picture,
    scaled,
    screened_tiles,
    source_pairs,
    spread,
)
from danet.errors import DanetError
from danet.metrics import noise_level
from danet.noise import WhiteGaussian
from danet.train.config import TrainConfig
from danet.train.data_config import DataConfig, ExtraConfig
from danet.train.distribution import Team
from danet.train.made import MadePatches, Variety
from danet.train.state import Pairs

__all__ = ["Patches", "Sources", "batches", "read_pairs"]

Patches = Dataset[tuple[Tensor, ...]]
_PairsOfPixels = Sequence[tuple[Pixels, Pixels]]
_MEASURED = 1024  # pixels
_SHARES = np.linspace(0, 1, 21)
_DRAWN = 1000
# Of the clean patches that a generator adds noise to.
_PLAIN = Variety(soft=0, enlarged=0, shrunk=0, tinted=0, flat=0, drawn=0, dark=0, untouched=1)


class Sources:
    """The data sets of a run.

    Args:
        config: the run.

    Attributes:
        real: the camera's pairs.
        extra: the pairs that R sees besides, or the clean patches that a generator adds noise
            to; None if there are none.
        levels: quantiles of how strong the noise of the first real patches is, by level; else
            empty.
        pairs: how many pictures ``real`` draws from.
        fingerprint: of those pictures.

    Raises:
        DataError: there are no pairs, or a picture lacks its other side.
        ImageError: a picture cannot be read.
    """

    def __init__(self, config: TrainConfig) -> None:
        source, size, seed = config.data, config.patch_size, config.seed
        roots = [read_pairs(source, root, "train") for root in source.roots]
        self._roots = roots
        self.pairs = sum(map(len, roots))
        self.fingerprint = _fingerprint(roots)
        weights = source.weights or [1.0] * len(roots)
        known = [_levels(pairs) for pairs in roots if config.by_level]
        real = [
            PairPatches(pairs, size, seed, levels=levels, sideways=config.data.sideways)
            for pairs, levels in zip_longest(roots, known, fillvalue=())
        ]
        self.real = _mixed(real, weights, seed + 4)
        drawn = [float(self.real[index][2]) for index in range(_DRAWN)] if known else []
        self.levels = np.quantile(drawn, _SHARES).tolist() if known else []
        self.extra: Patches | None = None
        if config.fakes:
            clean = _read_folders(config.fakes.clean)
            sides = [clean] if clean else [[x for x, _ in pairs] for pairs in roots]
            parts = [MadePatches(p, [], size, seed + 2, WhiteGaussian(0.0), _PLAIN) for p in sides]
            self.extra = _mixed(parts, [1.0] if clean else weights, seed + 3)
        elif config.extra_size:
            self.extra = _extra([pair for pairs in roots for pair in pairs], config)

    def clean(self, limit: int) -> Iterator[Pixels]:
        """The clean pictures of as many pairs at most, spread evenly over all."""
        places = [(pairs, index) for pairs in self._roots for index in range(len(pairs))]
        for number in spread(len(places), limit):
            pairs, index = places[number]
            yield pairs[index][0]

    def record(self) -> dict[str, Any]:
        """The number of pictures, and a fingerprint that tells whether other data was used."""
        return {"pairs": self.pairs, "fingerprint": self.fingerprint}


def read_pairs(source: DataConfig, root: Path, part: Literal["train", "val"]) -> _PairsOfPixels:
    """The pairs of a folder that a run is trained on, or those that it is measured on.

    Raises:
        DataError: there are no pairs, or a picture lacks its other side.
        ImageError: a picture cannot be read.
    """
    if source.layout == "packed":
        return PackedPairs(root)
    pairs = [pair.read() for pair in source_pairs(source.layout, root, part=part, kind="crops")]
    if source.layout == "polyu" and source.frames and part == "train":
        for pair in source_pairs("polyu", root, part=part, kind="full"):
            pairs += screened_tiles(*pair.read())
    return pairs


def _levels(pairs: _PairsOfPixels) -> list[float]:
    """How strong the noise of each pair is; of crops, the median in those of one picture."""
    levels = [_level(*pair) for pair in pairs]
    sources = pairs.sources if isinstance(pairs, PackedPairs) else []
    start = 0
    for source in sources:
        crops = slice(start, start + len(source.shapes))
        if source.shapes:
            levels[crops] = [float(np.median(levels[crops]))] * len(source.shapes)
        start = crops.stop
    return levels


def _level(clean: Pixels, noisy: Pixels) -> float:
    x, y = (scaled(middle(picture, _MEASURED)) for picture in (clean, noisy))
    return float(noise_level(y, y - x).channels.mean())


def _fingerprint(roots: Iterable[_PairsOfPixels]) -> str:
    """A digest of all pixels; of a container, which may be large, that of its index."""
    digest = hashlib.sha256()
    for pairs in roots:
        if isinstance(pairs, PackedPairs):
            digest.update(repr((pairs.settings, pairs.sources)).encode())
            continue
        digest.update(fingerprint(pairs).encode())
    return digest.hexdigest()


def _mixed(parts: Sequence[Patches], weights: Sequence[float], seed: int) -> Patches:
    return parts[0] if len(parts) == 1 else Mixture(parts, weights, seed)


def _extra(pairs: _PairsOfPixels, config: TrainConfig) -> Patches:
    """Real pairs with their noise scaled, and clean pictures with the noise of models."""
    source, size = config.data, config.patch_size
    soft: list[Pixels] = []
    sharp: list[Pixels] = []
    if any(part.noise for part in source.extra):
        soft = [clean for clean, _ in pairs]
        if source.layout == "polyu":
            soft += [read_picture(p) for root in source.roots for p in polyu_clean(root, "train")]
        sharp = _read_folders(source.clean)

    def patches(part: ExtraConfig, seed: int) -> Patches:
        if part.real:
            return PairPatches(
                pairs,
                size,
                seed,
                strength=part.real.strength,
                scale=part.real.scale,
                sideways=source.sideways,
            )
        return MadePatches(sharp or soft, soft, size, seed, part.noise, part.variety)

    # The third and fourth seeds are those of the mixtures.
    seeds = chain((config.seed + 1, config.seed + 2), count(config.seed + 5))
    parts = [patches(part, seed) for part, seed in zip(source.extra, seeds, strict=False)]
    return Mixture(parts, [part.share for part in source.extra], config.seed + 3)


def _read_folders(folders: Iterable[Path]) -> list[Pixels]:
    return [read_picture(path) for folder in folders for path in picture_files(folder)]


def batches(
    config: TrainConfig, sources: Sources, team: Team, start: int
) -> Generator[tuple[list[Pairs], Pairs | None], None, None]:
    """For each update from ``start`` on: the camera's batches, and the extra one or None.

    The workers end when the generator is closed or fails, and whatever signal they get, not before.

    Args:
        config: the run.
        sources: its data sets.
        team: the processes that share each batch.
        start: the first update to give batches for.

    Raises:
        DanetError: a worker failed, mostly for want of memory.
    """
    per_update = config.critic_updates if "discriminator" in config.networks else 1
    real = _loader(sources.real, config, config.real_size, per_update, team, start)
    extra = None
    if sources.extra is not None and config.more_size:
        extra = _loader(sources.extra, config, config.more_size, 1, team, start)
    while True:
        yield [next(real) for _ in range(per_update)], next(extra) if extra else None


def _loader(
    patches: Patches, config: TrainConfig, size: int, per_update: int, team: Team, start: int
) -> Iterator[Pairs]:
    # An item is fixed by its index, so where to go on is all that resuming needs, and the rows
    # of a batch are all that a process of a team needs to know.
    own = size // team.size
    firsts = range(start * per_update * size, config.updates * per_update * size, size)
    begins = (first + team.rank * own for first in firsts)
    rows = (list(range(begin, begin + own)) for begin in begins)
    loader: Any = iter(
        DataLoader(
            patches, batch_sampler=rows, num_workers=config.workers, worker_init_fn=_ignore_signals
        )
    )
    if not config.workers:
        yield from loader
        return
    try:
        yield from loader
    # Whatever a worker raised, at the end of a text of several lines, or the signal that ended it.
    except Exception as error:
        raise DanetError(
            f"a worker that draws the batches failed: {str(error).strip().splitlines()[-1]}; "
            "with workers = 0 there is none"
        ) from error
    finally:
        # The frames of an error hold the workers, which no signal ends when the program does.
        loader._shutdown_workers()


def _ignore_signals(worker: int) -> None:
    """Let a worker outlive what a terminal or a scheduler sends to all processes at once.

    The run, which gets it too, needs its workers until the update is done, and ends them then.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
