"""The log of a run, and its numbers and pictures for TensorBoard."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from danet.errors import DanetError, require
from danet.files import atomic_write

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter
    from typing_extensions import Self

__all__ = ["Report", "trim_log"]


class Report:
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
        self._board = _summary_writer(run / "tensorboard", update) if tensorboard else None
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
            for name, value in values.items():
                self._board.add_scalar(name, value, update)
            self._board.flush()

    def write_picture(self, update: int, name: str, picture: NDArray[np.uint8]) -> None:
        """Write a picture to TensorBoard; nothing where TensorBoard is not wanted.

        Args:
            update: how many updates are done.
            name: such as ``"validation/pictures"``.
            picture: H x W x 3.
        """
        if self._board is not None:
            self._board.add_image(name, picture, update, dataformats="HWC")
            self._board.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._board is not None:
            self._board.close()


def _summary_writer(folder: Path, update: int) -> SummaryWriter:
    require("tensorboard", "train", "writing for TensorBoard")
    from torch.utils.tensorboard import SummaryWriter

    with _writing(folder):
        # TensorBoard drops the points from this step on that older files of the folder hold.
        return SummaryWriter(folder, purge_step=update + 1)


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
