"""Pairs of noisy and clean picture files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from danet.data.pictures import Pixels, check_same_size, files_in, read_picture
from danet.errors import DataError
from danet.images.reading import PIXEL_FILES

__all__ = ["Pair", "fingerprint", "folder_pairs", "read_pair", "spread"]

_NAMES = (("_real", "_mean"), ("_Real", "_mean"), ("_noisy", "_clean"))


class Pair(NamedTuple):
    """The two files of one pair."""

    noisy: Path
    clean: Path


def folder_pairs(root: Path) -> list[Pair]:
    """Pairs of a folder: ``noisy/`` beside ``clean/`` with equal stems, or names with endings.

    The endings are ``_noisy`` and ``_clean``, or ``_real`` and ``_mean``.  The files are
    pictures, or arrays as ``read_picture`` takes them.

    Raises:
        DataError: the folder holds no pairs, or a noisy picture has no clean one or several.
    """
    if (root / "noisy").is_dir():
        files = files_in(root / "clean", PIXEL_FILES)
        wanted = [(path, path.stem) for path in files_in(root / "noisy", PIXEL_FILES)]
    else:
        files = files_in(root, PIXEL_FILES)
        wanted = [
            (path, path.stem.removesuffix(noisy_end) + clean_end)
            for path in files
            for noisy_end, clean_end in _NAMES
            if path.stem.endswith(noisy_end)
        ]
    stems = {stem for _, stem in wanted}
    clean: dict[str, Path] = {}
    for path in files:
        if path.stem in stems and (first := clean.setdefault(path.stem, path)) != path:
            raise DataError(f"two clean pictures of one name: {first} and {path}")
    missing = [str(path) for path, stem in wanted if stem not in clean]
    if missing:
        raise DataError(f"no clean picture for {len(missing)} noisy ones, {missing[0]} the first")
    if not wanted:
        raise DataError(f"{root} holds no pairs: noisy/ and clean/, or *_noisy.* and *_clean.*")
    return [Pair(path, clean[stem]) for path, stem in wanted]


def read_pair(pair: Pair) -> tuple[Pixels, Pixels]:
    """Both pictures of a pair, (clean, noisy), as `read_picture`.

    Raises:
        DataError: their sizes differ; and as `read_picture`.
        ImageError: as `read_picture`.
    """
    clean, noisy = read_picture(pair.clean), read_picture(pair.noisy)
    check_same_size(clean, noisy, pair.noisy)
    return clean, noisy


def fingerprint(pairs: Iterable[tuple[Pixels, Pixels]]) -> str:
    """A digest of all pixels of pairs, which tells whether others were used.

    Example:
        >>> clean = np.zeros((8, 8, 3), np.uint8)
        >>> fingerprint([(clean, clean)]) == fingerprint([(clean, clean + np.uint8(1))])
        False
    """
    digest = hashlib.sha256()
    for pair in pairs:
        for picture in pair:
            digest.update(f"{picture.shape} {picture.dtype}".encode())
            digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()


def spread(count: int, limit: int) -> list[int]:
    """At most ``limit`` indices below ``count``, evenly spread."""
    indices: list[int] = np.linspace(0, count - 1, min(count, limit)).astype(int).tolist()
    return indices
