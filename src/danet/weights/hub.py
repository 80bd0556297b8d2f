"""Repositories on the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from danet.errors import WeightsError, one_line
from danet.weights.catalogue import Entry
from danet.weights.fetching import FetchOptions
from danet.weights.sums import SUMS, check_sum, read_sums

if TYPE_CHECKING:
    from danet.networks import Kind

__all__ = ["cached", "fetch", "fetch_verified", "is_repository", "mirror_of", "problem", "remove"]

_OFFLINE = "it is not in the cache, and fetching is switched off"
_ADVICE = {
    401: ": it needs a token",
    403: ": the token has no right to this",
    429: ": it is asked too often, try later",
}
# Names that the Hub has, by its own rules.
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_REPOSITORY = re.compile(rf"(?!.*(?:--|\.\.|\.git$)){_PART}/{_PART}")


def is_repository(name: object) -> bool:
    """Whether a name has the form of one on the Hub, ``organisation/repository``.

    Example:
        >>> is_repository("my-org/my.weights"), is_repository("./folder"), is_repository("a/b.pt")
        (True, False, False)
    """
    if not isinstance(name, str) or name.endswith((".pt", ".safetensors")):
        return False
    return _REPOSITORY.fullmatch(name) is not None


def mirror_of(name: str, entry: Entry) -> str | None:
    """The repository that has the weights of the catalogue's name, if any.

    That is the one of the organisation that ``DANET_WEIGHTS_ORG`` names, else the entry's.
    """
    organisation = os.environ.get("DANET_WEIGHTS_ORG")
    return f"{organisation}/danet-{name}" if organisation else entry.repository


def fetch(repository: str, kind: Kind, options: FetchOptions) -> Path | None:
    """Fetch a network through the Hub's own cache.

    ``HF_ENDPOINT``, ``HF_HOME`` and ``HF_HUB_OFFLINE`` hold.  All files are of one commit.  Where
    the Hub does not answer, what was fetched before is taken.

    Args:
        repository: ``organisation/repository``; the network lies in its folder ``denoiser`` or
            ``generator``, or in none.
        kind: which network.
        options: what may be fetched.

    Returns:
        The network's own folder; None where the repository has no such network.

    Raises:
        WeightsError: there is no such network, or the Hub cannot be reached.
    """
    # The client's errors are those of another package in each major version.
    try:
        return _fetched(repository, kind, options)
    except Exception as error:
        # What was fetched before.
        if options.force_download or (model := cached(repository, kind, options)) is None:
            raise WeightsError(f"{repository} on the Hub: {problem(error)}") from error
        return model.parent


def _fetched(repository: str, kind: Kind, options: FetchOptions) -> Path | None:
    from huggingface_hub import HfApi, constants, errors

    if options.offline:
        raise errors.OfflineModeIsEnabled
    api = HfApi(token=options.token, library_name="danet")
    # First of all, as this has a time limit and is not tried again and again without a network.
    timeout = constants.HF_HUB_ETAG_TIMEOUT
    info = api.model_info(repository, revision=options.revision, timeout=timeout)
    there = {file.rfilename for file in info.siblings or []}
    place = next((p for p in (f"{kind}/", "") if f"{p}config.json" in there), None)
    if place is None:
        return None
    folder: Path | None = None
    for name in (f"{place}config.json", f"{place}model.safetensors", *({SUMS} & there)):
        path = api.hf_hub_download(
            repository,
            name,
            # The first file says which commit the others are to be of.
            revision=options.revision if folder is None else folder.name,
            cache_dir=_cache(options),
            force_download=options.force_download,
        )
        folder = Path(path).parents[name.count("/")]
    assert folder is not None
    return folder / place


def _cache(options: FetchOptions) -> Path | None:
    return None if options.cache_dir is None else Path(options.cache_dir)


def fetch_verified(repository: str, kind: Kind, entry: Entry, options: FetchOptions) -> Path | None:
    """Fetch a network of the catalogue, and compare it with its SHA-256.

    That is the entry's, else the one in the repository's own list.

    Returns:
        As `fetch`.

    Raises:
        WeightsError: as `fetch`; or the file is another one, and is removed.
    """
    folder = fetch(repository, kind, options)
    if folder is None:
        return None
    path = folder / "model.safetensors"
    right = entry.sha256.get(kind) or read_sums(folder.parent).get(f"{kind}/{path.name}")
    try:
        check_sum(path, right)
    except WeightsError:
        path.resolve().unlink()  # the cache has a link to it
        path.unlink(missing_ok=True)
        raise
    return folder


def cached(repository: str, kind: Kind, options: FetchOptions) -> Path | None:
    """The model file of a network that is in the Hub's cache, if it is."""
    from huggingface_hub import try_to_load_from_cache

    for place in (f"{kind}/", ""):
        found = [
            try_to_load_from_cache(
                repository, place + name, cache_dir=_cache(options), revision=options.revision
            )
            for name in ("config.json", "model.safetensors")
        ]
        if isinstance(found[0], str) and isinstance(found[1], str):
            return Path(found[1])
    return None


def problem(error: Exception) -> str:
    """What an error of the Hub's client says to a user, in one line."""
    from huggingface_hub import errors

    known: dict[type[Exception], str] = {
        errors.GatedRepoError: "it is gated: ask its owners for access, and give a token",
        errors.RevisionNotFoundError: "it has no such revision",
        errors.RepositoryNotFoundError: (
            "there is no such repository, or it is private and needs a token"
        ),
        errors.OfflineModeIsEnabled: _OFFLINE,
        errors.RemoteEntryNotFoundError: "a file of it is missing",
    }
    for kind, text in known.items():
        if isinstance(error, kind):
            return text
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"the server answered {status}{_ADVICE.get(status, '')}"
    # httpx's or httpx2's, by the client's version.
    if isinstance(error, errors.HfHubHTTPError.__bases__[0]):
        return f"it cannot be reached: {one_line(error)}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}"
    # A forced download says no more than that it failed.
    return problem(error.__cause__) if isinstance(error.__cause__, Exception) else one_line(error)


def remove(repository: str) -> bool:
    """Remove a repository from the Hub's cache; say whether it was there."""
    from huggingface_hub import CacheNotFound, constants, scan_cache_dir

    try:
        cache = scan_cache_dir(constants.HF_HUB_CACHE)
    except CacheNotFound:
        return False
    found = [repo for repo in cache.repos if repo.repo_id == repository]
    hashes = [revision.commit_hash for repo in found for revision in repo.revisions]
    cache.delete_revisions(*hashes).execute()
    return bool(found)
