"""Weights on this machine: described, verified, converted, removed."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from danet.errors import WeightsError
from danet.networks import Kind
from danet.weights import authors, hub
from danet.weights.catalogue import Entry, entry_of
from danet.weights.fetching import FetchOptions
from danet.weights.find import KINDS, at_hand, find, find_if_there
from danet.weights.folder import load_network, save_network
from danet.weights.sums import SUMS, check_sum, read_sums, sha256_of

__all__ = ["Description", "convert", "describe", "located", "remove", "verify"]

_LOCAL = FetchOptions(local_files_only=True)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CARD = """\
---
library_name: danet
---

# A {kind}

Converted by `danet weights convert` from {source}.
"""


@dataclass(frozen=True)
class Description:
    """What a network on this machine is.

    Attributes:
        path: its folder or file.
        kind: denoiser or generator.
        network: the name of its class.
        width: as for the backbone.
        depth: as for the backbone.
        parameters: how many.
        precision: of most of its tensors, as ``float16``.
        bytes: of the file.
        sha256: of the file.
    """

    path: Path
    kind: Kind
    network: str
    width: int
    depth: int
    parameters: int
    precision: str
    bytes: int
    sha256: str


def located(name: str | os.PathLike[str], options: FetchOptions = _LOCAL) -> dict[Kind, Path]:
    """Where the networks of a name are, each of the one or two that there are.

    Args:
        name: as for `find`.
        options: what may be fetched; by default nothing.

    Raises:
        WeightsError: there are none on this machine; or as `find`.
        ConfigError: as `find`.
        DanetError: as `find`.
    """
    entry = entry_of(name)
    if entry is not None and options.local_files_only:
        found = {kind: find(name, kind, options) for kind in at_hand(str(name), options)}
        missing = "none is on this machine"
    else:
        paths = {kind: find_if_there(name, kind, options) for kind in KINDS}
        found = {kind: path for kind, path in paths.items() if path is not None}
        missing = "holds neither a denoiser nor a generator"
    if not found:
        raise WeightsError(f"{name}: {missing}")
    return found


def describe(path: Path, kind: Kind) -> Description:
    """Say what a network is, after loading it.

    Args:
        path: as `located` gives it.
        kind: which network.

    Raises:
        WeightsError: as `load_network`.
    """
    network = load_network(path, kind, dtype=None)
    file = _file(path)
    types = Counter(str(value.dtype) for value in network.parameters())
    return Description(
        path=path,
        kind=kind,
        network=network.name,
        width=network.width,
        depth=network.depth,
        parameters=sum(value.numel() for value in network.parameters()),
        precision=types.most_common(1)[0][0].removeprefix("torch."),
        bytes=file.stat().st_size,
        sha256=sha256_of(file),
    )


def verify(name: str | os.PathLike[str], path: Path, kind: Kind) -> bool:
    """Load a network strictly, and compare its file with its SHA-256 where one is known.

    Args:
        name: what it was found by.
        path: as `located` gives it.
        kind: which network.

    Returns:
        Whether a SHA-256 is known.

    Raises:
        WeightsError: something is wrong with it; the message says what.
    """
    right = _right_sum(entry_of(name), path, kind)
    if right is not None:
        check_sum(_file(path), right)
    load_network(path, kind)
    return right is not None


def convert(
    source: str | os.PathLike[str], folder: Path, *, half: bool = False
) -> dict[Kind, Path]:
    """Write the networks of a name as folders of the present form.

    Args:
        source: as for `find`; what is not on this machine is fetched.
        folder: becomes the folder of the network, or receives ``denoiser`` and ``generator``
            where there are two.
        half: in half precision; otherwise in the precision that they have.

    Returns:
        The folder of each network.

    Raises:
        WeightsError: as `find` and `load_network`.
        ConfigError: as `find`.
        DanetError: as `find`; or a file cannot be written.
    """
    paths = located(source, FetchOptions())
    written = {}
    for kind, path in paths.items():
        network = load_network(path, kind, dtype=None)
        target = folder / kind if len(paths) > 1 else folder
        card = _CARD.format(kind=kind, source=source)
        save_network(network.half() if half else network, target, card)
        written[kind] = target
    return written


def remove(name: str) -> list[str]:
    """Remove what was fetched for a name, so that the next use fetches it again.

    Args:
        name: of the catalogue, or ``organisation/repository``.

    Returns:
        What was removed, in words.

    Raises:
        WeightsError: there is nothing, or it ships with the package.
        DanetError: a file cannot be removed.
    """
    entry = entry_of(name)
    if entry is not None and entry.shipped:
        raise WeightsError(f"{name}: ships with danet, and is not removed")
    removed = []
    for kind, file in (entry.files if entry is not None else {}).items():
        if authors.remove(file, kind, _LOCAL):
            removed.append(f"the {kind} of {file}")
    repository = name if entry is None else hub.mirror_of(name, entry)
    if repository is not None and hub.remove(repository):
        removed.append(f"{repository} from the Hub's cache")
    if not removed:
        raise WeightsError(f"{name}: nothing of it was fetched to this machine")
    return removed


def _file(path: Path) -> Path:
    return path if path.is_file() else path / "model.safetensors"


def _right_sum(entry: Entry | None, path: Path, kind: Kind) -> str | None:
    """The SHA-256 that a network's file must have, where it is known."""
    if entry is not None and kind in entry.sha256:
        return entry.sha256[kind]
    if (path.parent / SUMS).is_file():
        return read_sums(path.parent).get(f"{path.name}/model.safetensors")
    # In the Hub's cache, large files are kept under it.
    name = _file(path).resolve().name
    return name if _SHA256.fullmatch(name) else None
