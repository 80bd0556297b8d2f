"""Files that are either whole or not there, locks, caches, and arrays in files nobody sees."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from danet.errors import DanetError

__all__ = ["atomic_write", "cache_folder", "drop_unfinished", "locked", "scratch_array"]


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, and move it onto ``path`` at the end.

    The temporary file lies in the same folder, which is made if need be, and has the same
    suffix.  It is removed when the block raises anything, so ``path`` is then as it was.  A file
    that was there hands its permissions on.

    Args:
        path: where the file shall be.

    Yields:
        The path that the block must write to.

    Raises:
        DanetError: the folder or the file cannot be written, or ``path`` names no file.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "new" / "note.txt"
        >>> with atomic_write(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    path = Path(path)
    if not path.name:
        raise DanetError(f"{path}: not the name of a file")
    # Not tempfile's: that makes files which only their owner may read.
    temporary = path.with_name(f".danet-{secrets.token_hex(8)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with suppress(OSError):  # it is new, or the file system has no permissions
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or error
        if isinstance(error, FileExistsError | NotADirectoryError):
            reason = f"{path.parent} is no folder"
        raise DanetError(f"{path}: cannot be written: {reason}") from error
    finally:
        with suppress(OSError):  # nothing was written, or it was moved
            temporary.unlink()


def cache_folder() -> Path:
    """Where danet keeps what it can make again: below ``HF_HOME``, or ``HF_ASSETS_CACHE``."""
    from huggingface_hub import constants

    return Path(constants.HF_ASSETS_CACHE) / "danet"


def drop_unfinished(folder: Path) -> None:
    """Remove what `atomic_write` left in a folder when its process was killed.

    Args:
        folder: that no other process writes to; it need not be there.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / f".danet-{16 * '0'}.safetensors").touch()
        >>> drop_unfinished(folder)
        >>> list(folder.iterdir())
        []
    """
    for path in folder.glob(f".danet-{16 * '[0-9a-f]'}*"):
        with suppress(OSError):  # it does no harm
            path.unlink()


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Keep out other processes that take the same lock; one that dies gives it back.

    Args:
        path: the file of the lock, which stays; its folder is made if need be.
        wait: until another process gives it back.

    Yields:
        Whether it was taken; without ``wait``, another process may have it.

    Raises:
        DanetError: the file cannot be written or locked.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.lock"
        >>> with locked(path) as first, locked(path, wait=False) as second:
        ...     print(first, second)
        True False
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(Timeout):
            lock.acquire(blocking=wait)
    # filelock's, where the file system has no locks.
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DanetError(f"{path}: cannot be written: {reason}") from error
    try:
        yield lock.is_locked
    finally:
        lock.release()


def scratch_array(
    folder: str | os.PathLike[str], shape: tuple[int, ...], dtype: DTypeLike
) -> np.memmap[Any, np.dtype[Any]]:
    """An array of zeros on disk, for what does not fit into memory.

    Its file has no name, and is gone with the array, also when the process is killed.

    Args:
        folder: where there is room for it; made if need be.
        shape: of the array.
        dtype: of the array.

    Raises:
        DanetError: there is no room, or the folder cannot be written to.

    Example:
        >>> scratch_array(tempfile.mkdtemp(), (45, 70, 3), np.uint8).any().item()
        False
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            # Without the room, writing to the array would end the process.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "w+", shape=shape)
    except OSError as error:
        raise DanetError(
            f"{folder}: no room for {size / 2**20:,.0f} MiB that are written there for a while: "
            f"{error.strerror or error}"
        ) from error
