"""Many pairs of pictures in one container, which any number of processes read at random.

A container is a folder with two files: ``pixels.raw``, all pictures one after the other, and
``index.json``, which says where each lies.  The pixels are mapped into memory, so that reading a
piece of a picture opens nothing, takes no lock, and copies only that piece.  ``index.json`` is
written last: a folder without it is no container.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, overload

import numpy as np

from danet.data.pictures import Pixels
from danet.errors import DanetError, DataError
from danet.files import atomic_write

__all__ = ["PackedPairs", "PairWriter", "SourceRecord"]

_FORMAT = "danet pairs 1"
_INDEX, _PIXELS, _JOURNAL = "index.json", "pixels.raw", "unfinished.jsonl"
_CHANNELS = 3
# What parsing raises of any bytes: brackets may be nested deeper than it goes, numbers too large.
_DAMAGE = (ValueError, KeyError, TypeError, OverflowError, RecursionError)


class SourceRecord(NamedTuple):
    """What a container holds of one source pair.

    Attributes:
        name: of the source pair.
        shapes: (height, width) of each of its crops, in their order in the container.
        left_out: how many crops of it were left out.
    """

    name: str
    shapes: tuple[tuple[int, int], ...]
    left_out: int

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> SourceRecord:
        """A record from what ``_asdict`` became in a JSON file."""
        shapes = tuple((int(height), int(width)) for height, width in entry["shapes"])
        if any(side < 1 for shape in shapes for side in shape):
            raise ValueError(f"{entry['name']}: a crop has no pixels")
        return cls(str(entry["name"]), shapes, int(entry["left_out"]))

    def values(self) -> int:
        """The number of values of its crops, clean and noisy."""
        return sum(2 * height * width * _CHANNELS for height, width in self.shapes)


class PackedPairs(Sequence[tuple[Pixels, Pixels]]):
    """The pairs of a container: (clean, noisy), each H x W x 3, views that cannot be written.

    Only the folder's name is pickled; a process that receives one maps the file itself.

    Args:
        folder: a finished container.

    Attributes:
        folder: its absolute path.
        sources: what was made of each source pair, in order.
        settings: those that it was made with.

    Raises:
        DataError: there is no container, it is unfinished, or it is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).absolute()
        index = _read_index(self.folder)
        try:
            self.settings: dict[str, Any] = index["settings"]
            self.sources = [SourceRecord.from_json(entry) for entry in index["sources"]]
            dtype = _stored_type(index["dtype"])
        except _DAMAGE as error:
            raise DataError(f"{self.folder / _INDEX}: damaged: {error!r}") from error
        path = self.folder / _PIXELS
        expected = sum(source.values() for source in self.sources) * dtype.itemsize
        try:
            found = path.stat().st_size
            if found != expected:
                raise DataError(
                    f"{path}: damaged: it has {found} bytes, and should have {expected}"
                )
            # A plain view: the class of memory maps makes every slice slower.
            self._pixels: Pixels = np.memmap(path, dtype, "r").view(np.ndarray)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
        shapes = [shape for source in self.sources for shape in source.shapes]
        self._shapes = np.array(shapes, dtype=np.int64).reshape(-1, 2)
        ends = np.cumsum(2 * self._shapes.prod(axis=1) * _CHANNELS)
        self._starts = np.concatenate([[0], ends[:-1]])

    def __reduce__(self) -> tuple[type[PackedPairs], tuple[Path]]:
        return type(self), (self.folder,)

    def __len__(self) -> int:
        return len(self._shapes)

    @overload
    def __getitem__(self, index: int) -> tuple[Pixels, Pixels]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[Pixels, Pixels]]: ...
    def __getitem__(
        self, index: int | slice
    ) -> tuple[Pixels, Pixels] | list[tuple[Pixels, Pixels]]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        height, width = self._shapes[index]
        start = self._starts[index]
        pair = self._pixels[start : start + 2 * height * width * _CHANNELS]
        clean, noisy = pair.reshape(2, height, width, _CHANNELS)
        return clean, noisy


class PairWriter:
    """Writes a container, source pair by source pair, and goes on where another writer stopped.

    Args:
        folder: the container; it must be new, empty, or begun with the same arguments.
        names: of all source pairs, in order.
        settings: whatever decides the content, to be kept in the index.
        dtype: type of the values.

    Attributes:
        done: what the container holds already.

    Raises:
        DataError: the folder holds something else, or a container of other pairs or settings.
        DanetError: a file cannot be written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> clean, noisy = np.zeros((8, 9, 3), np.uint8), np.ones((8, 9, 3), np.uint8)
        >>> with PairWriter(folder, ["a"], {}, "uint8").writing() as writer:
        ...     writer.add([(clean, noisy)])
        >>> [(x.shape, int(y.max())) for x, y in PackedPairs(folder)]
        [((8, 9, 3), 1)]
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        settings: Mapping[str, Any],
        dtype: Literal["uint8", "uint16"],
    ) -> None:
        self.folder, self.names = folder, list(names)
        self._journal, self._path = folder / _JOURNAL, folder / _PIXELS
        self._dtype = _stored_type(dtype)
        self._header = {"format": _FORMAT, "dtype": dtype, "settings": dict(settings)}
        self.finished = (folder / _INDEX).exists()
        self.done: list[SourceRecord] = []
        if self.finished:
            index = _read_index(folder)
            self.done = PackedPairs(folder).sources
            self._check_same(index, [record.name for record in self.done])
        else:
            self._resume()

    def _check_same(self, found: Mapping[str, Any], names: list[str]) -> None:
        for key, value in self._header.items():
            if found.get(key) != value:
                raise DataError(
                    f"{self.folder} was begun with {key} {found.get(key)}, not {value}; "
                    "take another folder, or delete it"
                )
        if names != self.names:
            raise DataError(
                f"{self.folder} was begun with {len(names)} other pairs than these "
                f"{len(self.names)}; take another folder, or delete it"
            )

    def _resume(self) -> None:
        """Take over what an earlier writer has done, or begin."""
        try:
            # What follows the last line break was being written when the writer was killed.
            text = self._journal.read_bytes() if self._journal.exists() else b""
            first, *lines = text[: text.rfind(b"\n") + 1].splitlines() or [b""]
            if not first:
                self._begin()
                return
            header = json.loads(first)
            self._check_same(header, header["names"])
            self.done = [SourceRecord.from_json(json.loads(line)) for line in lines]
        except OSError as error:
            raise _cannot_write(self.folder, error) from error
        except _DAMAGE as error:
            raise DataError(f"{self._journal}: damaged: {error!r}; delete the folder") from error
        if not self._path.exists() or self._path.stat().st_size < self._end():
            raise DataError(f"{self._path}: damaged: pixels are missing; delete the folder")

    def _begin(self) -> None:
        if self.folder.is_dir() and any(
            path != self._journal and not path.name.startswith(".")
            for path in self.folder.iterdir()
        ):
            raise DataError(f"{self.folder} holds something else; take a new or empty folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        header = json.dumps({**self._header, "names": self.names})
        # The journal lies beside the pixels before they do, so that the folder is known as begun.
        with atomic_write(self._journal) as temporary:
            temporary.write_text(header + "\n", encoding="utf-8")
        self._path.touch()

    def _end(self) -> int:
        """The number of bytes of what is done."""
        return sum(record.values() for record in self.done) * self._dtype.itemsize

    @contextmanager
    def writing(self) -> Iterator[PairWriter]:
        """Open the files; at the end of the block, finish the container if it is complete.

        Raises:
            DataError: every crop was left out.
            DanetError: a file cannot be written; what was added before stays.
        """
        if self.finished:
            yield self
            self._drop_journal()  # where the earlier writer was killed before that
            return
        with ExitStack() as files:
            try:
                # Without a buffer, so that closing the files after an error writes nothing.
                self._pixels = files.enter_context(self._path.open("r+b", buffering=0))
                self._lines = files.enter_context(self._journal.open("r+b", buffering=0))
                # What an earlier writer left half done is cut off.
                _cut(self._pixels, self._end())
                _cut(self._lines, self._journal.read_bytes().rfind(b"\n") + 1)
            except OSError as error:
                raise _cannot_write(self.folder, error) from error
            yield self
        if len(self.done) == len(self.names):
            self._finish()

    def add(self, crops: Sequence[tuple[Pixels, Pixels]], left_out: int = 0) -> None:
        """Add all the crops of the next source pair, wholly or not at all.

        Args:
            crops: (clean, noisy), each H x W x 3 in the type of the container.
            left_out: how many further crops the pair had.

        Raises:
            DataError: the pictures of a crop differ in type or shape.
            DanetError: the files cannot be written, or another process writes them.
        """
        shapes = tuple((int(clean.shape[0]), int(clean.shape[1])) for clean, _ in crops)
        record = SourceRecord(self.names[len(self.done)], shapes, left_out)
        for clean, noisy in crops:
            for picture in (clean, noisy):
                if picture.dtype != self._dtype or picture.shape != (*clean.shape[:2], _CHANNELS):
                    raise DataError(
                        f"{record.name}: a crop is {picture.shape} of {picture.dtype}, "
                        f"and must be {(*clean.shape[:2], _CHANNELS)} of {self._dtype}"
                    )
        try:
            if os.fstat(self._pixels.fileno()).st_size != self._end():
                raise DanetError(f"{self._path}: another process writes it too")
            for pair in crops:
                for picture in pair:
                    _write(self._pixels, np.ascontiguousarray(picture).reshape(-1).view(np.uint8))
            os.fsync(self._pixels.fileno())
            # From this line on, the pair counts as added.
            _write(self._lines, json.dumps(record._asdict()).encode() + b"\n")
            os.fsync(self._lines.fileno())
        except OSError as error:
            raise _cannot_write(self._path, error) from error
        self.done.append(record)

    def _finish(self) -> None:
        if not any(record.shapes for record in self.done):
            raise DataError(f"{self.folder}: every crop was left out, so there is nothing to pack")
        index = {**self._header, "sources": [record._asdict() for record in self.done]}
        with atomic_write(self.folder / _INDEX) as temporary:
            temporary.write_text(json.dumps(index) + "\n", encoding="utf-8")
        self.finished = True
        self._drop_journal()

    def _drop_journal(self) -> None:
        try:
            self._journal.unlink(missing_ok=True)
        except OSError as error:
            raise _cannot_write(self._journal, error) from error


def _stored_type(name: str) -> np.dtype[Any]:
    if name not in ("uint8", "uint16"):
        raise ValueError(f"{name!r} is neither uint8 nor uint16")
    dtype: np.dtype[Any] = np.dtype(name).newbyteorder("<")
    return dtype


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / _INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if (folder / _JOURNAL).exists():
            raise DataError(
                f"{folder} is unfinished: the same `danet data prepare` completes it"
            ) from error
        raise DataError(f"{folder} holds no packed pairs: {_INDEX} is missing") from error
    except (OSError, *_DAMAGE) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if not isinstance(index, dict) or index.get("format") != _FORMAT:
        raise DataError(f"{path}: not an index of format {_FORMAT!r}")
    return index


def _cut(file: BinaryIO, length: int) -> None:
    """Drop what follows the first ``length`` bytes, and go to the end."""
    file.truncate(length)
    file.seek(length)


def _write(file: BinaryIO, content: Any) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _cannot_write(path: Path, error: OSError) -> DanetError:
    return DanetError(f"{path}: cannot be written: {error.strerror or error}")
