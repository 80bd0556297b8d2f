"""Pictures of a folder or of Parquet files, denoised by many workers of Ray."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TextIO, TypeAlias

from tqdm import tqdm

from danet.data.pictures import files_in
from danet.errors import (
    ConfigError,
    DanetError,
    DataError,
    check_count,
    is_count,
    one_line,
    require,
)
from danet.files import locked
from danet.images import RAW
from danet.images.reading import PIXEL_FILES
from danet.pretrained import Denoiser
from danet.scale.bands import WHOLE, Band, begin, denoise_band, finish
from danet.weights import find

__all__ = ["Summary", "denoise_all"]

_Row: TypeAlias = dict[str, Any]
_Part: TypeAlias = tuple[str, Band]

_PIECE = 100_000_000  # pixels
_TRIES = 3


class Summary(NamedTuple):
    """What became of the pictures.

    Attributes:
        done: how many results there are, those of earlier runs too.
        failed: the names of those that could not be denoised, and why.
        manifest: a file with a line of JSON for each picture, or each band of a huge one: name,
            first and last row of a band, status, message, seconds.
    """

    done: int
    failed: dict[str, str]
    manifest: Path


def denoise_all(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    weights: str = "photo",
    workers: int = 1,
    cpus: int = 1,
    gpus: float = 0,
    batch: int = 8,
    piece: int = _PIECE,
    settings: Mapping[str, Any] | None = None,
) -> Summary:
    """Denoise all pictures of a folder or of Parquet files by workers of Ray.

    The Ray that runs is taken, or that of ``RAY_ADDRESS``, else one is started on this machine.
    Each worker loads the weights once.  One that dies is started anew, and its pictures are
    given out again.  Called again with the same output, it leaves out what is done, and tries
    again what failed.

    Args:
        source: a folder, whose subfolders are searched too; or a ``.parquet`` file or a folder of
            such, with the columns ``name`` and ``bytes``, a picture's file.  All machines must
            see it at this path, and the output.
        output: a folder for the results and ``manifest.jsonl``.  A result has the name of its
            picture; raw files become ``.tif``, and pictures of Parquet files ``.png``.
        weights: as for `danet.Denoiser.from_pretrained`.
        workers: how many there are.
        cpus: of each, that compute.
        gpus: of each, that compute instead, and that no other worker has; below 1, several share
            one.  0: the CPUs compute, also where there are GPUs.
        batch: how many pictures a worker is given at once, and does again at most if it dies.
        piece: pixels; a ``.npy`` file of more is shared by the workers, in bands of about so many.
        settings: of the denoiser, such as ``{"dtype": "float32"}``; with a device or devices among
            them, these are used, whatever Ray gives a worker.

    Returns:
        What became of them.  Where a worker died three times at one batch, all its pictures have
        failed; a smaller batch finds the one at fault.

    Raises:
        ConfigError: Ray is not installed, a setting is wrong, or one worker asks for more than
            all machines have.
        WeightsError: the weights cannot be found.
        DataError: there are no pictures, two have one result, or the manifest is damaged.
        DanetError: the output cannot be written, another run writes to it, or the workers cannot
            start.
    """
    source, output = Path(source), Path(output)
    for name, value in {"workers": workers, "cpus": cpus, "batch": batch, "piece": piece}.items():
        check_count(name, value, 1)
    if not (0 <= gpus <= 1 or is_count(gpus)):
        raise ConfigError(f"gpus is {gpus!r}, and must be from 0 to 1 or a whole number")
    find(weights, "denoiser")  # what a worker says of wrong ones is long
    ray, data = (require(module, "scale", "danet.scale") for module in ("ray", "ray.data"))
    output.mkdir(parents=True, exist_ok=True)
    manifest = output / "manifest.jsonl"
    with locked(output / "manifest.lock", wait=False) as taken, _data_settings(data):
        if not taken:
            raise DanetError(f"{output}: another run writes there; wait for its end")
        past = {part for part, row in _rows(manifest).items() if row["status"] == "done"}
        is_parquet = source.suffix == ".parquet" or next(source.glob("*.parquet"), None) is not None
        _start(ray)
        _check_room(ray, cpus, gpus)
        if is_parquet:
            read = data.read_parquet(
                str(source), columns=["name", "bytes"], ray_remote_args={"num_cpus": 0}
            )
            pictures = read.filter(lambda row: (row["name"], WHOLE) not in past, num_cpus=0)
            waiting: set[_Part] = set()
        else:
            waiting = _waiting(source, output, past, piece)
            rows = [{"name": name, "band": list(band)} for name, band in sorted(waiting)]
            pictures = data.from_items(rows, override_num_blocks=max(1, -(-len(rows) // batch)))
        worker = {"source": source, "output": output, "weights": weights, "threads": cpus}
        results = pictures.map_batches(
            _Worker,
            fn_constructor_kwargs={**worker, "settings": _placed(settings or {}, gpus)},
            batch_size=batch,
            compute=data.ActorPoolStrategy(size=workers),
            num_cpus=cpus,
            num_gpus=gpus,
            max_restarts=-1,
            max_task_retries=_TRIES - 1,
        )
        bar = tqdm(total=len(waiting) or None, unit="picture", leave=False, disable=None)
        with manifest.open("a", encoding="utf-8") as file, bar, _own_errors(ray):
            for row in results.iter_rows() if is_parquet or waiting else ():
                _write(file, row)
                bar.update()
                waiting.discard((row["name"], Band(*row["band"])))
            for name, band in sorted(waiting):
                died = f"the worker died {_TRIES} times at it, or at another picture of its batch"
                _write(file, {"name": name, "band": band, "status": "failed", "message": died})
            _finish_bands(manifest, output, file)
        return _summary(manifest)


@contextmanager
def _data_settings(data: Any) -> Iterator[None]:
    """Set Ray Data's settings, which are the whole process's, and give them back."""
    context, handlers = data.DataContext.get_current(), logging.getLogger("ray.data").handlers
    kept = context.max_errored_blocks, context.enable_progress_bars
    levels = [handler.level for handler in handlers]
    # Workers that die have three tries, and a batch that kills them does not end the others.
    context.max_errored_blocks, context.enable_progress_bars = -1, False
    for handler in handlers:
        handler.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.max_errored_blocks, context.enable_progress_bars = kept
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)


def _start(ray: Any) -> None:
    """Take the Ray that runs, or start one that asks for nothing from elsewhere."""
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        here = {} if "RAY_ADDRESS" in os.environ else {"include_dashboard": False}
        ray.init(log_to_driver=False, logging_level="error", **here)


def _check_room(ray: Any, cpus: int, gpus: float) -> None:
    """Refuse workers that Ray would wait for without an end.

    Raises:
        ConfigError: one asks for more than all machines have.
    """
    room = ray.cluster_resources()
    for kind, asked in (("CPU", cpus), ("GPU", gpus)):
        if asked > (there := room.get(kind, 0)):
            raise ConfigError(
                f"{kind.lower()}s is {asked:g}, and Ray has {there:g} {kind}s on all machines"
            )


def _placed(settings: Mapping[str, Any], gpus: float) -> dict[str, Any]:
    """The settings, with the devices of a worker unless they name one: it sees its GPUs alone."""
    if settings.keys() & {"device", "devices"}:
        return dict(settings)
    names = [f"cuda:{number}" for number in range(math.ceil(gpus))] or ["cpu"]
    return {**settings, "devices": ",".join(names)}


@contextmanager
def _own_errors(ray: Any) -> Iterator[None]:
    """Of an error that workers end with, the last line, which says what is wrong."""
    try:
        yield
    except ray.exceptions.RayError as error:
        raise DanetError(f"the workers cannot start: {str(error).splitlines()[-1]}") from error


def _waiting(source: Path, output: Path, past: set[_Part], piece: int) -> set[_Part]:
    """The pictures of a folder that are not done, or their bands."""
    results: dict[Path, str] = {}
    waiting: set[_Part] = set()
    for path in files_in(source, PIXEL_FILES | RAW, "**/*"):
        name = path.relative_to(source).as_posix()
        if output in path.parents:
            continue
        target = _target(output, name)
        if (other := results.setdefault(target, name)) != name:
            raise DataError(f"{source}: {other} and {name} have one result, {target.name}")
        if (name, WHOLE) not in past:
            bands, is_begun = begin(path, target, piece)
            waiting |= {(name, band) for band in bands} - (past if is_begun else set())
    if not results:
        raise DataError(f"{source} holds no pictures")
    return waiting


def _target(output: Path, name: str, suffix: str | None = None) -> Path:
    """Where the result of a picture is.

    Raises:
        DataError: the name would lead out of the folder.
    """
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise DataError(f"{name!r} is no name of a picture")
    if suffix is None and path.suffix.lower() in RAW:
        suffix = ".tif"
    return output / (path if suffix is None else path.with_suffix(suffix))


class _Worker:
    """A process with a network."""

    def __init__(
        self,
        source: Path,
        output: Path,
        weights: str,
        threads: int,
        settings: Mapping[str, Any],
    ) -> None:
        import torch

        torch.set_num_threads(threads)
        self.source, self.output = source, output
        self.denoiser = Denoiser.from_pretrained(weights, **settings)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        names, given = batch["name"], batch.get("bytes")
        bands = [WHOLE] * len(names) if given is not None else [Band(*b) for b in batch["band"]]
        rows = [
            self._row(str(name), band, None if given is None else given[number])
            for number, (name, band) in enumerate(zip(names, bands, strict=True))
        ]
        return {key: [row[key] for row in rows] for key in rows[0]}

    def _row(self, name: str, band: Band, content: bytes | None) -> _Row:
        started, message = time.perf_counter(), ""
        try:
            self._denoise(name, band, content)
        except (DanetError, OSError) as error:
            message = one_line(error)
        return {
            "name": name,
            "band": [int(row) for row in band],
            "status": "failed" if message else "done",
            "message": message,
            "seconds": round(time.perf_counter() - started, 3),
        }

    def _denoise(self, name: str, band: Band, content: bytes | None) -> None:
        if content is not None:
            target = _target(self.output, name, ".png")
            with TemporaryDirectory() as folder:
                picture = Path(folder) / Path(name).name
                picture.write_bytes(content)
                self.denoiser.denoise_file(picture, target)
        elif band == WHOLE:
            self.denoiser.denoise_file(self.source / name, _target(self.output, name))
        else:
            denoise_band(self.denoiser, self.source / name, _target(self.output, name), band)


def _finish_bands(manifest: Path, output: Path, file: TextIO) -> None:
    """Give the huge pictures their names whose bands are all there."""
    statuses: dict[str, set[str]] = defaultdict(set)
    parts = _rows(manifest)
    for (name, band), row in parts.items():
        if band != WHOLE and (name, WHOLE) not in parts:
            statuses[name].add(row["status"])
    for name, found in statuses.items():
        if found == {"done"}:
            finish(_target(output, name))
            _write(file, {"name": name, "band": WHOLE, "status": "done", "message": ""})


def _write(file: TextIO, row: Mapping[str, Any]) -> None:
    file.write(json.dumps({key: _plain(value) for key, value in row.items()}) + "\n")
    file.flush()


def _plain(value: Any) -> Any:
    """Arrays and tuples as lists."""
    return [int(one) for one in value] if not isinstance(value, str | float | int) else value


def _rows(manifest: Path) -> dict[_Part, _Row]:
    """The last row of each part; a line that a kill cut short is taken away.

    Raises:
        DataError: another line is damaged.
    """
    if not manifest.exists():
        return {}
    content = manifest.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        os.truncate(manifest, len(whole))
    rows = {}
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            row = json.loads(line)
            rows[row["name"], Band(*row["band"])] = row
            row["status"], row["message"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{manifest}: line {number} is damaged") from error
    return rows


def _summary(manifest: Path) -> Summary:
    rows = _rows(manifest)
    done = {name for (name, band), row in rows.items() if band == WHOLE and row["status"] == "done"}
    failed = {
        name: row["message"]
        for (name, _), row in rows.items()
        if row["status"] == "failed" and name not in done
    }
    return Summary(len(done), failed, manifest)
