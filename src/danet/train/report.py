"""The log of a run, and its numbers and pictures for TensorBoard."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.errors import DanetError, require
from danet.files import atomic_write

__all__ = ["Report", "trim_log"]


class Report(AbstractContextManager["Report"]):
    """The numbers of a run in ``log.jsonl`` and, if wanted, in ``tensorboard/``.

    The log has one JSON object in a line.  What is written is on the disk at once.

    Args:
        run: folder of the run; made if need be.
        update: how many updates of the run are done.  What was written of later ones, which
            will be done again, is dropped.
        tensorboard: also write for TensorBoard.

    Raises:
        ConfigError: tensorboard is wanted and not installed.
        DanetError: a file cannot be written.

    Example:
        >>> import tempfile
        >>> run = Path(tempfile.mkdtemp())
        >>> with Report(run) as report:
        ...     report.write_numbers(50, {"denoiser/loss": 0.25})
        >>> json.loads((run / "log.jsonl").read_text())["denoiser/loss"]
        0.25
    """

    def __init__(self, run: Path, *, update: int = 0, tensorboard: bool = False) -> None:
        self._log = run / "log.jsonl"
        self._board = _Board(run / "tensorboard", update) if tensorboard else None
        with _writing(run):
            run.mkdir(parents=True, exist_ok=True)
        trim_log(self._log, update)
        self._started = time.monotonic()

    def write_numbers(self, update: int, values: Mapping[str, float]) -> None:
        """Write one line of the log, and the same to TensorBoard.

        Args:
            update: how many updates are done.
            values: numbers by name, ``"<network>/<term>"`` or ``"validation/<measure>"``.  One
                that is not finite becomes null, as JSON has no word for it.

        Raises:
            DanetError: the log cannot be written.
        """
        seconds = round(time.monotonic() - self._started, 1)
        finite = {name: x if math.isfinite(x) else None for name, x in values.items()}
        line = json.dumps({"update": update, "seconds": seconds, **finite}, allow_nan=False)
        with _writing(self._log), self._log.open("a", encoding="utf-8") as lines:
            lines.write(line + "\n")
        if self._board is not None:
            self._board.write_numbers(update, values)

    def write_picture(self, update: int, name: str, picture: NDArray[np.uint8]) -> None:
        """Write a picture to TensorBoard; nothing where TensorBoard is not wanted.

        Args:
            update: how many updates are done.
            name: such as ``"validation/pictures"``.
            picture: H x W x 3.

        Raises:
            DanetError: the file cannot be written.
        """
        if self._board is not None:
            self._board.write_picture(update, name, picture)

    def __exit__(self, *error: object) -> None:
        if self._board is not None:
            self._board.close()


class _Board:
    """A file of TensorBoard's, to which everything is written at once.

    The thread of TensorBoard's own writer prints its errors, and loses what it had not written.
    """

    def __init__(self, folder: Path, update: int) -> None:
        require("tensorboard", "train", "writing for TensorBoard")
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._path = folder / f"events.out.tfevents.{time.time():.6f}"
        with _writing(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb")
        self._records = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")
        # TensorBoard drops the points from this step on that older files of the folder hold.
        self._write(step=update + 1, session_log=SessionLog(status=SessionLog.START))

    def write_numbers(self, update: int, values: Mapping[str, float]) -> None:
        from torch.utils.tensorboard.summary import scalar

        for name, value in values.items():
            self._write(step=update, summary=scalar(name, value))

    def write_picture(self, update: int, name: str, picture: NDArray[np.uint8]) -> None:
        from torch.utils.tensorboard.summary import image

        self._write(step=update, summary=image(name, picture, dataformats="HWC"))

    def close(self) -> None:
        with suppress(OSError):  # of what could not be written, which was said
            self._file.close()

    def _write(self, **event: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        with _writing(self._path):
            self._records.write(Event(wall_time=time.time(), **event).SerializeToString())
            self._records.flush()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DanetError(f"{path}: cannot be written: {error.strerror or error}") from error


def trim_log(path: Path, update: int) -> None:
    """Drop the lines of the updates after ``update``, which will be done again.

    Raises:
        DanetError: the file cannot be written.
    """
    if path.exists():
        text = path.read_text(encoding="utf-8", errors="replace")
        lines = text.splitlines(keepends=True)
        with atomic_write(path) as temporary:
            kept = "".join(line for line in lines if _update_of(line) <= update)
            temporary.write_text(kept, encoding="utf-8")


def _update_of(line: str) -> float:
    try:
        return int(json.loads(line)["update"])
    # Half a line of a run that was killed, or one that is none of danet's.
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError):
        return math.inf
