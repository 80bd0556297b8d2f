"""The files that the authors of the paper publish, turned into folders of networks."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from danet.errors import DanetError, WeightsError
from danet.files import locked
from danet.weights.catalogue import AUTHORS_FILES, AUTHORS_FOLDER
from danet.weights.fetching import FetchOptions, download
from danet.weights.sums import git_blob_id, write_sums

if TYPE_CHECKING:
    from danet.networks import Kind

__all__ = ["converted", "fetch", "import_file", "remove"]

_NOTICE = (
    "{file} holds weights by the authors of 'Dual Adversarial Network' (ECCV 2020), Z. Yue, Q. "
    "Zhao, L. Zhang and D. Meng, from {source}; they state no licence, so what may be done with "
    "them is theirs to say"
)
_CARD = """\
---
library_name: danet
---

# The {kind} of {file}

Weights by the authors of "Dual Adversarial Network: Toward Real-world Noise Removal and Noise
Generation" (ECCV 2020), published at {source} without a licence, git blob id {blob}.
Converted by danet; no value was changed.
"""


def converted(file: str, kind: Kind, options: FetchOptions) -> Path | None:
    """The folder of a network that was converted from one of the authors' files, if there is one.

    Args:
        file: one of `AUTHORS_FILES`.
        kind: which network of it.
        options: where fetched files are kept.
    """
    folder = _target(file, options) / kind
    # It is written last of the two.
    return folder if (folder / "config.json").is_file() else None


def fetch(file: str, kind: Kind, options: FetchOptions) -> Path:
    """Fetch one of the authors' files, and convert what it holds.

    Of several processes one fetches, and the others wait for it.  ``DANET_WEIGHTS_URL`` may name
    another folder that has the same files.

    Args:
        file: one of `AUTHORS_FILES`.
        kind: which network of it is wanted.
        options: where fetched files are kept.

    Returns:
        The folder of the network.

    Raises:
        WeightsError: the file cannot be had, or is another one than the authors published.
        DanetError: a file cannot be written.
    """
    if options.offline:
        raise WeightsError(f"{file} is not on this machine, and fetching is switched off")
    source = (os.environ.get("DANET_WEIGHTS_URL") or AUTHORS_FOLDER).rstrip("/")
    target = _target(file, options)
    with locked(target.with_name(f"{target.name}.lock")):
        if options.force_download or converted(file, kind, options) is None:
            part = target.with_name(f"{file}.part")
            _download_verified(f"{source}/{file}", part, AUTHORS_FILES[file])
            _convert(part, file, target, source)
            part.unlink()
    if (folder := converted(file, kind, options)) is None:
        raise WeightsError(f"{source}/{file}: holds no {kind}")
    return folder


def import_file(path: Path, options: FetchOptions) -> str:
    """Take one of the authors' files that was brought along, as if it had been fetched.

    Args:
        path: the file, under any name.
        options: where fetched files are kept.

    Returns:
        Its name, one of `AUTHORS_FILES`.

    Raises:
        WeightsError: ``path`` is none of the authors' files.
        DanetError: a file cannot be written.
        OSError: ``path`` cannot be read.
    """
    blob = git_blob_id(path)
    file = next((name for name, known in AUTHORS_FILES.items() if known == blob), None)
    if file is None:
        raise WeightsError(
            f"{path}: is none of the authors' files {', '.join(AUTHORS_FILES)} (its git blob id is "
            f"{blob}); a file of other weights needs no import: give its path"
        )
    target = _target(file, options)
    with locked(target.with_name(f"{target.name}.lock")):
        _convert(path, file, target, AUTHORS_FOLDER)
    return file


def remove(file: str, kind: Kind, options: FetchOptions) -> bool:
    """Remove a network that was converted from one of the authors' files.

    Returns:
        Whether it was there.

    Raises:
        DanetError: the network cannot be removed.
    """
    target = _target(file, options)
    if converted(file, kind, options) is None:
        return False
    with locked(target.with_name(f"{target.name}.lock")):
        try:
            shutil.rmtree(target / kind)
            if any(target.glob("*/config.json")):
                write_sums(target)
            else:
                shutil.rmtree(target)
        except OSError as error:
            raise DanetError(f"{target / kind}: cannot be removed: {error.strerror}") from error
    return True


def _target(file: str, options: FetchOptions) -> Path:
    return options.converted / Path(file).stem


def _download_verified(url: str, part: Path, blob: str) -> None:
    resumed = part.exists()
    download(url, part)
    if resumed and git_blob_id(part) != blob:
        part.unlink()  # what an earlier try has left may have been the wrong half
        download(url, part)
    if (found := git_blob_id(part)) != blob:
        part.unlink()
        raise WeightsError(
            f"{url}: is not the file that the authors published: git blob id {found}, not {blob}"
        )


def _convert(path: Path, file: str, target: Path, source: str) -> None:
    from danet.weights.folder import kinds_of_file, load_checkpoint, save_network

    for kind in kinds_of_file(path):
        network = load_checkpoint(path, kind)
        card = _CARD.format(kind=kind, file=file, source=source, blob=AUTHORS_FILES[file])
        save_network(network, target / kind, card)
    write_sums(target)
    # Unlike print, this keeps the line clear of a progress bar.
    tqdm.write(f"danet: {_NOTICE.format(file=file, source=source)}", file=sys.stderr)
