"""Sums that tell a file's content: its SHA-256, and its git blob id."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from danet.errors import WeightsError
from danet.files import atomic_write

__all__ = ["SUMS", "check_sum", "git_blob_id", "read_sums", "sha256_of", "write_sums"]

SUMS = "SHA256SUMS"
"""The file beside networks that ``sha256sum -c`` takes."""

_BLOCK = 1 << 20
_LINE = re.compile(r"([0-9a-f]{64}) [ *](\S+)")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    return _hashed(path, hashlib.sha256())


def git_blob_id(path: Path) -> str:
    """The name that git has for a file's content: the SHA-1 of "blob SIZE", a zero, and it.

    Raises:
        OSError: the file cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "empty"
        >>> path.touch()
        >>> git_blob_id(path)
        'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    start = f"blob {path.stat().st_size}\0".encode()
    return _hashed(path, hashlib.sha1(start, usedforsecurity=False))


def _hashed(path: Path, digest: hashlib._Hash) -> str:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_sums(folder: Path, name: str = "model.safetensors") -> None:
    """List the SHA-256 of every file of a name below a folder, in the folder.

    Raises:
        DanetError: the list cannot be written.
    """
    lines = [
        f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob(name))
    ]
    with atomic_write(folder / SUMS) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def read_sums(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file that a folder's list has, by its path in the folder.

    Raises:
        WeightsError: there is no list, or it cannot be read.
    """
    path = folder / SUMS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read: {error}") from error
    found = [_LINE.fullmatch(line) for line in lines]
    return {match[2]: match[1] for match in found if match}


def check_sum(path: Path, right: str | None) -> None:
    """Compare a file with its SHA-256.

    Raises:
        WeightsError: the file has another one, or none is known.
        OSError: the file cannot be read.
    """
    if right is None:
        raise WeightsError(f"{path}: its SHA-256 is in no list, so it cannot be verified")
    if (found := sha256_of(path)) != right:
        raise WeightsError(f"{path}: is damaged or another file: SHA-256 {found}, not {right}")
