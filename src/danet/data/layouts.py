"""The data sets of noisy and clean pictures, as their authors lay them out in folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from danet.data.pairs import Pair, folder_pairs, read_pair
from danet.data.pictures import Pixels, check_same_size, files_in, read_picture
from danet.errors import ConfigError, DanetError, DataError, ImageError, one_line, require

__all__ = [
    "LAYOUTS",
    "Layout",
    "Part",
    "PolyuKind",
    "SourcePair",
    "nam_pairs",
    "polyu_clean",
    "polyu_pairs",
    "read_mat",
    "renoir_pairs",
    "sidd_pairs",
    "source_pairs",
]

Layout: TypeAlias = Literal["sidd", "renoir", "polyu", "nam", "folder"]
Part: TypeAlias = Literal["train", "val", "all"]
PolyuKind: TypeAlias = Literal["crops", "full", "both"]

LAYOUTS: tuple[str, ...] = get_args(Layout)


class SourcePair(NamedTuple):
    """A pair of a data set, which is read when its turn comes.

    Attributes:
        name: path of the noisy file below the data set's folder, with ``/`` between its parts.
        read: gives (clean, noisy), each H x W x 3, uint8 or uint16, and raises DataError or
            ImageError.
    """

    name: str
    read: Callable[[], tuple[Pixels, Pixels]]


def source_pairs(
    layout: str, root: Path, *, part: Part = "all", kind: PolyuKind = "both"
) -> list[SourcePair]:
    """The pairs of a data set, in an order that depends on their names alone.

    Args:
        layout: one of ``LAYOUTS``.
        root: the data set's folder.
        part: of the split that ``split.json`` in this folder makes, see docs/data.md; without
            such a file the part is the whole.
        kind: of PolyU's pictures; other data sets have one kind.

    Raises:
        ConfigError: there is no such layout, part or kind.
        DataError: the folder holds no pairs of this layout, a picture lacks its other side, or the
            split cannot be read, has no such part, or names what is not there.
    """
    for name, value, known in (
        ("layout", layout, LAYOUTS),
        ("part", part, get_args(Part)),
        ("kind", kind, get_args(PolyuKind)),
    ):
        if value not in known:
            raise ConfigError(f"the {name} is {value!r}, and must be one of {', '.join(known)}")
    if layout == "polyu":
        kinds = ("crops", "full") if kind == "both" else (kind,)
        return _of_files(root, [pair for k in kinds for pair in polyu_pairs(root, part, k)])
    if layout == "renoir":
        pairs = renoir_pairs(root)
    elif layout == "nam":
        pairs = nam_pairs(root)
    else:
        pairs = _of_files(root, sidd_pairs(root) if layout == "sidd" else folder_pairs(root))
    return pairs if part == "all" else _of_part(root, part, pairs)


def _of_part(root: Path, part: str, pairs: list[SourcePair]) -> list[SourcePair]:
    if (listed := _split(root, part)) is None:
        return pairs
    names = set(listed)
    places = [{pair.name, *map(str, PurePosixPath(pair.name).parents)} for pair in pairs]
    if missing := names.difference(*places):
        raise DataError(
            f"{root / 'split.json'}: {min(missing)!r} is no noisy file or folder of them"
        )
    return [pair for pair, place in zip(pairs, places, strict=True) if place & names]


def _split(root: Path, part: str, *keys: str) -> list[str] | None:
    """The names that ``split.json`` has under some keys for a part; None without such a file."""
    path = root / "split.json"
    if not path.exists():
        return None
    parts = ("train", "val") if part == "all" else (part,)
    try:
        split = json.loads(path.read_text(encoding="utf-8"))
        for key in keys:
            split = split[key]
        return [PurePosixPath(name).as_posix() for p in parts for name in split[p]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        wanted = " and ".join((*keys, part))
        raise DataError(f"{path} has no list of names for {wanted!r}: {one_line(error)}") from error


def _of_files(root: Path, pairs: Sequence[Pair]) -> list[SourcePair]:
    return [SourcePair(_name(root, pair.noisy), partial(read_pair, pair)) for pair in pairs]


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def sidd_pairs(root: Path) -> list[Pair]:
    """The pairs of SIDD-Medium sRGB: every ``*NOISY*.PNG`` with the ``*GT*.PNG`` beside it.

    Args:
        root: a folder that holds them at any depth, such as ``SIDD_Medium_Srgb/Data``.

    Raises:
        DataError: there are none, or one has no truth beside it.
    """
    pairs = [
        Pair(path, path.with_name(path.name.replace("NOISY", "GT")))
        for path in _files(root, "**/*NOISY*", ".png")
    ]
    for pair in pairs:
        if not pair.clean.is_file():
            raise DataError(f"{pair.noisy}: its truth {pair.clean.name} is missing")
    return pairs


def renoir_pairs(root: Path) -> list[SourcePair]:
    """The pairs of RENOIR: every ``*Noisy.bmp`` with the truth of its folder.

    The truth is the rounded mean of the folder's ``*Reference.bmp`` and ``*full.bmp``, as in
    the program of the "Dual Adversarial Network" (ECCV 2020).

    Args:
        root: a folder that holds them at any depth, such as that of ``Mi3_Aligned``,
            ``S90_Aligned`` and ``T3i_Aligned``.

    Raises:
        DataError: there are none, or one has no such two pictures beside it.
    """
    pairs = []
    for noisy in _files(root, "**/*Noisy.*", ".bmp"):
        truths = [
            path
            for ending in ("Reference", "full")
            for path in _files(noisy.parent, f"*{ending}.*", ".bmp")
        ]
        if len(truths) != 2:
            raise DataError(
                f"{noisy}: beside it must be one *Reference.bmp and one *full.bmp, "
                f"but there are {[path.name for path in truths]}"
            )
        pairs.append(SourcePair(_name(root, noisy), partial(_read_renoir, noisy, truths)))
    return pairs


def _read_renoir(noisy: Path, truths: Sequence[Path]) -> tuple[Pixels, Pixels]:
    observed = read_picture(noisy)
    first, second = (read_picture(path) for path in truths)
    for path, truth in zip(truths, (first, second), strict=True):
        check_same_size(truth, observed, f"{noisy} and {path.name}")
    mean = np.rint((first.astype(np.float32) + second) / 2)
    return mean.astype(first.dtype), observed


def nam_pairs(root: Path) -> list[SourcePair]:
    """The pairs of Nam's data set: ``.mat`` files of the keys ``img_noisy`` and ``img_mean``.

    Files of every version of MATLAB are read; those of version 7.3 are HDF5 and need h5py.
    Floats may lie in [0, 1] or [0, 255]; they become uint16.

    Args:
        root: a folder that holds them at any depth.

    Raises:
        DataError: there are none.
    """
    return [
        SourcePair(_name(root, path), partial(_read_nam, path))
        for path in _files(root, "**/*", ".mat")
    ]


def _read_nam(path: Path) -> tuple[Pixels, Pixels]:
    arrays = read_mat(path, ("img_mean", "img_noisy"))
    clean, noisy = (_as_pixels(path, key, array) for key, array in arrays.items())
    check_same_size(clean, noisy, path)
    return clean, noisy


def read_mat(path: Path, keys: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Arrays of a file of MATLAB of any version, by their keys, each read as a whole.

    Those of version 7.3 are HDF5 and need h5py.

    Raises:
        DataError: a key is missing.
        ConfigError: h5py is needed and missing.
        ImageError: the file cannot be read.
    """
    from scipy.io import loadmat

    try:
        try:
            found = loadmat(path, variable_names=keys)
        except NotImplementedError:  # what scipy says to version 7.3
            found = _read_hdf5(path, keys)
        return {key: found[key] for key in keys}
    except KeyError as error:
        raise DataError(f"{path}: it has no key {error.args[0]!r}") from error
    except DanetError:
        raise
    # The decoders raise nearly anything on a damaged file.
    except Exception as error:
        raise ImageError(f"{path}: cannot be read: {one_line(error)}") from error


def _read_hdf5(path: Path, keys: Sequence[str]) -> dict[str, NDArray[Any]]:
    h5py = require("h5py", "data", f"{path}: a file of MATLAB 7.3")
    with h5py.File(path, "r") as file:
        # MATLAB stores the axes in the other order.
        return {key: file[key][()].T for key in keys if key in file}


def _as_pixels(path: Path, key: str, array: NDArray[Any]) -> Pixels:
    if array.ndim != 3 or array.shape[2] != 3:
        raise DataError(f"{path}: {key} has shape {array.shape}, and must be H x W x 3")
    if array.dtype in (np.uint8, np.uint16):
        return array
    if array.dtype.kind == "f" and array.size and 0 <= array.min() <= array.max() <= 255:
        scale = 65535 if array.max() <= 1 else 65535 / 255
        return np.rint(array * scale).astype(np.uint16)
    raise DataError(
        f"{path}: {key} is {array.dtype}, and must be uint8, uint16, or float in [0, 1] or [0, 255]"
    )


def _files(root: Path, pattern: str, suffix: str) -> list[Path]:
    """As `files_in`; raises DataError where there are none, too."""
    if not (found := files_in(root, {suffix}, pattern)):
        raise DataError(f"{root} holds no {pattern.removesuffix('.*')}{suffix}")
    return found


def polyu_pairs(root: Path, part: str, kind: str = "crops") -> list[Pair]:
    """The pairs of PolyU in one part of its scene-disjoint split; without a split, all of them.

    Args:
        root: folder that holds ``crops/``, ``full/`` and ``split.json``.
        part: ``"train"``, ``"val"``, or ``"all"`` that the split names.
        kind: ``"crops"`` of 512 px, or ``"full"`` frames, which need ``screened_tiles``.

    Raises:
        DataError: the split cannot be read or has no such part, or there are no pairs.
    """
    folder = root / kind
    if (names := _split(root, part, kind)) is None:
        return folder_pairs(folder)
    clean = [name.replace("_real", "_mean").replace("_Real", "_mean") for name in names]
    return [Pair(folder / y, folder / x) for y, x in zip(names, clean, strict=True)]


def polyu_clean(root: Path, part: str) -> list[Path]:
    """The clean sides of PolyU's whole frames in one part of its split; without a split, all.

    Args:
        root: folder that holds ``full/`` and ``split.json``.
        part: ``"train"``, ``"val"``, or ``"all"`` that the split names.

    Raises:
        DataError: the split cannot be read or has no such part, or there are no pairs.
    """
    if (names := _split(root, part, "clean_only")) is None:
        return [pair.clean for pair in folder_pairs(root / "full")]
    return [root / "full" / name for name in names]
