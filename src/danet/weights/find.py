"""Where the weights of a name are: every name is looked up here and nowhere else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from danet.errors import ConfigError, WeightsError, did_you_mean
from danet.weights import authors, hub
from danet.weights.catalogue import CATALOGUE, KINDS, Entry, entry_of
from danet.weights.fetching import FetchOptions

if TYPE_CHECKING:
    import torch

    from danet.networks import DenoiserNetwork, GeneratorNetwork, Kind

__all__ = ["KINDS", "at_hand", "find", "find_if_there", "load", "names"]

_SHIPPED = Path(__file__).parents[1] / "weights_data"
_DEFAULTS = FetchOptions()


def names() -> list[str]:
    """The names of the catalogue."""
    return sorted(CATALOGUE)


def find(name: str | os.PathLike[str], kind: Kind, options: FetchOptions | None = None) -> Path:
    """Say where the weights of a name are, after fetching them if need be.

    A name of the catalogue comes before a folder of that name; write ``./photo`` for the folder.
    A folder comes before a repository of that name.

    Args:
        name: one of `names`; a folder of one network; a folder with the subfolders
            ``denoiser`` and ``generator``; a ``.safetensors`` or ``.pt`` file; or
            ``organisation/repository`` on the Hub.
        kind: which of the two networks.
        options: what may be fetched, and where it is kept.

    Returns:
        What `load_network` takes: the network's own folder, or the file.

    Raises:
        WeightsError: there is no such name or path, it holds no such network, or what it names
            cannot be fetched.
        ConfigError: a revision is given for what has none.
        DanetError: what was fetched cannot be written.
    """
    if (found := _located(name, kind, options or _DEFAULTS)) is None:
        raise WeightsError(f"{name}: holds neither config.json nor {kind}/config.json")
    return found


def find_if_there(
    name: str | os.PathLike[str], kind: Kind, options: FetchOptions | None = None
) -> Path | None:
    """As `find`; None where the name is known and has no such network.

    Raises:
        WeightsError: as `find`, but for that; or a file is damaged.
        ConfigError: as `find`.
        DanetError: as `find`.
    """
    from danet.weights.folder import kinds_of_file, read_config

    found = _located(name, kind, options or _DEFAULTS)
    if found is None:
        return None
    if found.is_file():
        return found if kind in kinds_of_file(found) else None
    return found if read_config(found / "config.json")["kind"] == kind else None


def load(
    name: str | os.PathLike[str],
    kind: Kind,
    options: FetchOptions | None = None,
    *,
    device: str | torch.device = "cpu",
) -> DenoiserNetwork | GeneratorNetwork:
    """Load the network of a name, after fetching it if need be.

    Args:
        name: as for `find`.
        kind: which of the two networks.
        options: what may be fetched, and where it is kept.
        device: where the network shall be.

    Returns:
        The network, in evaluation mode.

    Raises:
        WeightsError: as `find` and `load_network`.
        ConfigError: as `find`.
        DanetError: as `find`.
    """
    from danet.weights.folder import load_network

    options = options or _DEFAULTS
    path = find(name, kind, options)
    try:
        return load_network(path, kind, device=device)
    except WeightsError as error:
        if options.force_download or Path(name).exists() or not hub.is_repository(name):
            raise
        raise WeightsError(
            f"{error}; where the server gave a wrong file, from_pretrained with "
            "force_download=True, or --force-download, fetches it again"
        ) from error


def at_hand(name: str, options: FetchOptions | None = None) -> list[Kind]:
    """Which networks of a name of the catalogue are on this machine.

    Example:
        >>> at_hand("photo")
        ['denoiser', 'generator']
    """
    entry, options = CATALOGUE[name], options or _DEFAULTS
    if entry.shipped:
        return entry.kinds
    repository = hub.mirror_of(name, entry)
    return [
        kind
        for kind in KINDS
        if (kind in entry.files and authors.converted(entry.files[kind], kind, options))
        or (repository and hub.cached(repository, kind, options))
    ]


def _network_folder(base: Path, kind: Kind) -> Path | None:
    """The network's own folder in a folder of one or two; a file is taken as it is."""
    if base.is_file():
        return base
    return next((path for path in (base, base / kind) if (path / "config.json").is_file()), None)


def _located(name: str | os.PathLike[str], kind: Kind, options: FetchOptions) -> Path | None:
    """The file or the network's own folder; None where the name has no such network."""
    if isinstance(name, str) and (entry := entry_of(name)) is not None:
        return _named(name, entry, kind, options)
    path = Path(name)
    try:
        there = path.exists()
    except OSError as error:
        raise WeightsError(f"{name}: {error.strerror}") from error
    if there:
        _refuse_revision(name, options)
        return _network_folder(path, kind)
    if isinstance(name, str) and hub.is_repository(name):
        try:
            return hub.fetch(name, kind, options)
        except WeightsError as error:
            raise WeightsError(
                f"there is no folder {name} here, and from {error}; at hand are: {_listed(options)}"
            ) from error
    raise WeightsError(
        f"there are no weights called {str(name)!r}{did_you_mean(str(name), names())}; "
        "a path, or organisation/repository on the Hub, will do as well"
    )


def _named(name: str, entry: Entry, kind: Kind, options: FetchOptions) -> Path | None:
    if entry.shipped:
        _refuse_revision(name, options)
        return _SHIPPED / name / kind if kind in entry.kinds else None
    file = entry.files.get(kind)
    repository = hub.mirror_of(name, entry)
    if options.revision is None and not options.force_download:
        folder = authors.converted(file, kind, options) if file else None
        if folder is not None:
            return folder
    try:
        if repository is not None:
            options = replace(options, revision=options.revision or entry.revision)
            return hub.fetch_verified(repository, kind, entry, options)
        if file is None:
            raise WeightsError(f"it has no {kind}")
        _refuse_revision(name, options)
        return authors.fetch(file, kind, options)
    except WeightsError as error:
        bring = "" if file is None else f", or bring {file} along: danet weights import {file}"
        raise WeightsError(
            f"the weights {name!r} cannot be had: {error}; at hand are: {_listed(options)}{bring}"
        ) from error


def _listed(options: FetchOptions) -> str:
    return ", ".join(name for name in names() if at_hand(name, options))


def _refuse_revision(name: object, options: FetchOptions) -> None:
    if options.revision is not None:
        raise ConfigError(
            f"revision is {options.revision!r}, but {str(name)!r} is no repository on the Hub"
        )
