"""Which pictures a command takes and where they go, and the work on them side by side."""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from danet.cli.console import FAILED, STREAM, complain, say
from danet.errors import ConfigError, DanetError, DataError, one_line

__all__ = [
    "Job",
    "check_outputs",
    "denoise_jobs",
    "do_jobs",
    "generate_jobs",
    "named_streams",
    "refuse_folder",
]

# A picture to read, and the files to write for it; none for one that is left out for its format.
Job = tuple[Path, list[Path]]

# Suffixes of pictures that folders hold, and that are not taken from there.
_LEFT_OUT = frozenset(
    {".crw", ".dds", ".fits", ".hdr", ".ico", ".j2k", ".jp2", ".jpx", ".jxr"}
    | {".pbm", ".pcx", ".pfm", ".pgm", ".pnm", ".ppm", ".psb", ".psd", ".qoi", ".raw", ".tga"}
    | {".wdp", ".xcf"}
)

_OUTCOMES = ("done", "skipped", "failed")


def denoise_jobs(paths: list[Path], output: Path, is_folder: bool, recursive: bool) -> list[Job]:
    """The pictures of `danet denoise`, each with the one file to write.

    In a folder it has the picture's name, with ``.tif`` for that of a raw file, and ``.mkv`` for a
    video of a format that is not written.

    Args:
        paths: files and folders.
        output: a folder; or a file, if it has a suffix and is no folder.
        is_folder: whether the output is one for certain.
        recursive: whether to look into the folders of folders.

    Raises:
        ConfigError: the output is a file or standard output, and the pictures are several; or it is
            a folder, and the picture is standard input, which has no name.
    """
    from danet.images.reading import PIXEL_FILES

    if output == STREAM:
        if len(paths) > 1 or paths[0].is_dir():
            raise ConfigError("-: standard output takes one picture; name a folder instead")
        if sys.stdout is None:
            raise ConfigError("-: standard output is closed")
        if sys.stdout.isatty():
            raise ConfigError("-: standard output is a terminal; lead it to a file or a program")
        return [(paths[0], [output])]
    if output.suffix and not (is_folder or output.is_dir()):
        if len(paths) == 1 and not paths[0].is_dir():
            return [(paths[0], [output])]
        if output.suffix.lower() in PIXEL_FILES:
            raise ConfigError(f"{output}: one file for several pictures; name a folder instead")
    _check_folder(output)
    if STREAM in paths:
        raise ConfigError(
            f"{output}: a folder, in which the picture from standard input would have no name; "
            "name a file, such as clean.png"
        )

    def outputs(picture: Path, path: Path) -> list[Path]:
        name = picture.relative_to(path) if picture != path else Path(picture.name)
        return [output / _written(name)]

    # With --recursive, a second run shall not take up the results of the first.
    done = output.resolve() if recursive else None
    return [job for path in paths for job in _jobs_of(path, outputs, recursive, done)]


def _written(name: Path) -> Path:
    """The name of a result, of a suffix that can be written."""
    from danet.images import RAW
    from danet.video import SUFFIXES, WRITABLE

    suffix = name.suffix.lower()
    if suffix in RAW:
        return name.with_suffix(".tif")
    return name.with_suffix(".mkv") if suffix in SUFFIXES - WRITABLE else name


def generate_jobs(paths: list[Path], folder: Path, n: int) -> list[Job]:
    """The pictures of `danet generate`, each with n files to write.

    Raises:
        ConfigError: the folder is a file.
    """
    _check_folder(folder)
    digits = max(2, len(str(n - 1)))

    def outputs(picture: Path, path: Path) -> list[Path]:
        return [folder / f"{picture.stem}_{number:0{digits}d}.png" for number in range(n)]

    return [job for path in paths for job in _jobs_of(path, outputs)]


def _jobs_of(
    path: Path,
    outputs: Callable[[Path, Path], list[Path]],
    recursive: bool = False,
    but: Path | None = None,
) -> list[Job]:
    """The pictures in a folder, without hidden ones and those below ``but``; or a file itself.

    A folder without pictures is given itself, for ``refuse_folder`` when its turn comes.
    """
    from danet.images import RAW
    from danet.images.reading import PIXEL_FILES
    from danet.video import SUFFIXES as VIDEOS

    if not path.is_dir():
        return [(path, outputs(path, path))]
    taken = PIXEL_FILES | RAW
    found = sorted(
        file
        for file in (path.rglob("*") if recursive else path.iterdir())
        if file.suffix.lower() in taken | _LEFT_OUT | VIDEOS
        # Some systems put a hidden file of the same suffix beside each picture.
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and file.is_file()
        and (but is None or but not in file.resolve().parents)
    )
    jobs = [(file, outputs(file, path) if file.suffix.lower() in taken else []) for file in found]
    return jobs if any(files for _, files in jobs) else [*jobs, (path, outputs(path, path))]


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: the output must be a folder, but it is a file")


def check_outputs(jobs: list[Job]) -> None:
    """Refuse to write one file twice, or over a picture that is read.

    Raises:
        ConfigError: an output is named twice, or is an input.
    """
    # Files are told by device and inode: one file can have several names.
    inputs = {_identity(picture) for picture, _ in jobs if picture.exists()}
    seen = set()
    for picture, outputs in jobs:
        for output in outputs:
            if output in seen:
                raise ConfigError(f"{picture}: another picture is already written to {output}")
            if output.exists() and _identity(output) in inputs:
                raise ConfigError(f"{output}: the output would replace an input")
            seen.add(output)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


@contextmanager
def named_streams(picture: Path, output: Path, suffix: str) -> Iterator[tuple[Path, Path]]:
    """Files that stand for standard input and output, where these are given; else the paths.

    Args:
        picture: a path to read, or `STREAM`.
        output: a path to write, or `STREAM`, to which the file goes at the end of the block.
        suffix: of the file that goes to standard output.

    Yields:
        A file to read, and one to write.

    Raises:
        DanetError: the block's, which names the streams as they were given; so do its warnings.
    """
    if STREAM not in (picture, output):
        yield picture, output
        return
    with tempfile.TemporaryDirectory() as folder:
        # In a file of its own, since some readers go to and fro in it.
        source = Path(folder, "input") if picture == STREAM else picture
        target = Path(folder, f"output{suffix}") if output == STREAM else output
        if picture == STREAM:
            if sys.stdin is None:
                raise DataError("-: standard input is closed")
            with source.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)

        def as_given(message: object) -> str:
            named = str(message).replace(str(source), str(picture))
            return named.replace(str(target), str(output))

        try:
            with warnings.catch_warnings(record=True) as caught:
                yield source, target
        except DanetError as error:
            raise type(error)(as_given(error)) from error
        for warning in caught:
            warnings.warn(as_given(warning.message), warning.category, stacklevel=2)
        if output == STREAM:
            with target.open("rb") as result:
                shutil.copyfileobj(result, sys.stdout.buffer)
            sys.stdout.buffer.flush()


def refuse_folder(picture: Path) -> None:
    """Refuse a folder that stands for its pictures, of which it has none.

    Raises:
        DataError: the path is a folder.
    """
    if picture.is_dir():
        raise DataError(f"{picture}: the folder holds no pictures")


def do_jobs(
    jobs: list[Job],
    work: Callable[[Path, list[Path]], None],
    *,
    workers: int = 1,
    skip_existing: bool = False,
    verbose: bool = False,
) -> int:
    """Work on each picture; one that fails is reported, and the others are still done."""
    from tqdm import tqdm

    from danet.video import SUFFIXES as VIDEOS

    def attempt(job: Job) -> str:
        picture, outputs = job
        if not outputs:
            if verbose:
                is_video = picture.suffix.lower() in VIDEOS
                reason = ", as videos in folders are" if is_video else " for its format"
                say(f"{one_line(picture)}: left out{reason}")
            return "left out"
        if skip_existing and all(output.exists() for output in outputs):
            return "skipped"
        try:
            work(picture, outputs)
        # Torch has no class of its own for every lack of memory; some are plain RuntimeErrors.
        except (DanetError, OSError, MemoryError, RuntimeError) as error:
            named = str(error).startswith(f"{picture}:")
            prefix = "" if named else f"{one_line(picture)}: "
            complain(prefix + one_line(error) + _hint(error))
            return "failed"
        return "done"

    # Of every thread, also of those that finish after Ctrl-C, whom nobody waits for in turn.
    outcomes: list[str] = []
    try:
        # disable=None: no bar where standard error is not a terminal.
        with (
            tqdm(total=len(jobs), unit="picture", disable=None) as bar,
            closing(_each(jobs, lambda job: outcomes.append(attempt(job)), workers)) as finished,
        ):
            for _ in finished:
                bar.update()
    finally:
        counts = Counter(outcomes)
        if len(jobs) > 1:
            summary = ", ".join(f"{counts[outcome]} {outcome}" for outcome in _OUTCOMES)
            if counts["left out"]:
                hint = "" if verbose else " (--verbose names them)"
                summary += f", {counts['left out']} left out{hint}"
            say(summary)
    return FAILED if counts["failed"] else 0


def _each(
    jobs: list[Job], attempt: Callable[[Job], None], workers: int
) -> Generator[None, None, None]:
    """Attempt every job, and give something after each."""
    if workers == 1:  # in this thread, where Ctrl-C is felt at once
        yield from map(attempt, jobs)
        return
    from concurrent.futures import ThreadPoolExecutor, as_completed

    # When the block is left early, the pictures in work are finished, and no others begun.
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(attempt, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _hint(error: Exception) -> str:
    """What may help against an error, to be put after its message."""
    from danet.inference.memory import is_out_of_memory

    return "; a smaller --tile needs less memory" if is_out_of_memory(error) else ""
