"""Files that are either whole or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from danet.errors import DanetError

__all__ = ["atomic_write"]


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, and move it onto ``path`` at the end.

    The temporary file lies in the same folder, which is made if need be, and has the same
    suffix.  It is removed when the block raises anything, so ``path`` is then as it was.

    Args:
        path: where the file shall be.

    Yields:
        The path that the block must write to.

    Raises:
        DanetError: the folder or the file cannot be written.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "new" / "note.txt"
        >>> with atomic_write(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    path = Path(path)
    # Not tempfile's: that makes files which only their owner may read.
    temporary = path.with_name(f".danet-{secrets.token_hex(8)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise DanetError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # nothing was written, or it was moved
            temporary.unlink()
