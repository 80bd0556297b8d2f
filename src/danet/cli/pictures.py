"""The commands that turn pictures into pictures: ``danet denoise`` and ``danet generate``."""

from __future__ import annotations

import argparse
import logging
import math
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danet.cli.console import (
    FAILED,
    add_network_arguments,
    at_least,
    complain,
    network_settings,
    say,
)
from danet.errors import ConfigError, DanetError, DataError, one_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["add_commands"]

# A picture to read, and the files to write for it.
Job = tuple[Path, list[Path]]

_OUTCOMES = ("done", "skipped", "failed")
_STATUS = """\
exit status: 0 when every picture is done or skipped, 2 when one failed (the others are done all
the same) or the arguments are wrong, 130 when interrupted
"""


def add_commands(commands: Any) -> None:
    """Add the two commands to the subparsers of ``danet``."""
    denoise = commands.add_parser("denoise", help="remove the noise of pictures", epilog=_STATUS)
    _add_picture_arguments(denoise)
    denoise.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="a folder, in which pictures keep their names; or, for one picture, NAME.SUFFIX",
    )
    denoise.add_argument(
        "--strength",
        type=_strength,
        default=1.0,
        help="how much of the noise is taken: 0 none, 1 all that is found, above 1 more "
        "(default: %(default)s)",
    )
    denoise.add_argument(
        "--self-ensemble",
        action="store_true",
        help="take the mean over eight flips and rotations: a little better, eight times as long",
    )
    denoise.add_argument(
        "--residual",
        action="store_true",
        help="write the noise that is taken, around middle grey; with its sign in float files",
    )
    denoise.add_argument(
        "--quality",
        type=at_least(1, 100),
        help="quality of JPEG, WebP and AVIF (default: that of the picture if both are JPEG, "
        "else 95)",
    )
    denoise.add_argument(
        "--recursive",
        action="store_true",
        help="take the subfolders of folders as well, and keep them in the output",
    )
    denoise.add_argument(
        "--skip-existing", action="store_true", help="leave out pictures whose output is there"
    )
    denoise.add_argument(
        "--jobs",
        type=at_least(1),
        default=1,
        metavar="COUNT",
        help="pictures in work at once, which share the memory that is free; --max-memory is for "
        "each of them (default: %(default)s)",
    )
    denoise.set_defaults(command=_denoise)

    generate = commands.add_parser(
        "generate", help="make noisy versions of clean pictures", epilog=_STATUS
    )
    _add_picture_arguments(generate)
    generate.add_argument(
        "-n",
        type=at_least(1),
        default=1,
        metavar="COUNT",
        help="noisy versions of each picture (default: %(default)s)",
    )
    generate.add_argument(
        "--seed",
        type=at_least(0),
        help="the same seed makes the same noise, for each picture (default: new noise each time)",
    )
    generate.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="the folder to write NAME_00.png, NAME_01.png and so on to; floats become 16 bits",
    )
    generate.set_defaults(command=_generate)


def _add_picture_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pictures",
        nargs="+",
        type=Path,
        metavar="PICTURES",
        help="picture files, or folders of them",
    )
    parser.add_argument(
        "--max-pixels",
        type=at_least(1),
        default=2 * 89_478_485,  # as Pillow has it
        metavar="COUNT",
        help="pictures of more pixels are taken for faulty files (default: %(default)s)",
    )
    add_network_arguments(parser)


def _strength(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number of at least 0")
    return value


def _denoise(options: argparse.Namespace) -> int:
    import numpy as np

    from danet import images
    from danet.files import scratch_array
    from danet.parts import result_layout
    from danet.pretrained import Denoiser
    from danet.treatment import Treatment

    jobs = _denoise_jobs(options.pictures, options.output, options.recursive)
    _check_outputs(jobs)
    denoiser = Denoiser.from_pretrained(options.weights, **network_settings(options))
    denoiser.engine.jobs = options.jobs
    names = ("strength", "self_ensemble", "residual")
    settings: dict[str, Any] = {name: getattr(options, name) for name in names}

    def work(picture: Path, outputs: list[Path]) -> None:
        (output,) = outputs

        def denoise(pixels: NDArray[Any]) -> NDArray[Any]:
            is_mapped = isinstance(pixels, np.memmap)
            make = partial(scratch_array, output.parent) if is_mapped else np.empty
            layout = result_layout(pixels, Treatment(**settings))
            result = denoiser(pixels, out=make(*layout), **settings)
            if not options.residual or pixels.dtype.kind == "f" or output.suffix.lower() == ".npy":
                return result
            return _around_grey(result, make(layout[0], pixels.dtype))

        _refuse_folder(picture)
        images.process_file(picture, output, denoise, quality=options.quality)

    with _picture_limits(options.max_pixels):
        return _do(jobs, work, workers=options.jobs, skip_existing=options.skip_existing)


def _around_grey(noise: NDArray[np.float32], out: NDArray[Any]) -> NDArray[Any]:
    """Write noise to an array of integers, with 0 in the middle."""
    import numpy as np

    for row, values in zip(noise, out, strict=True):
        values[:] = np.rint((row + 0.5).clip(0, 1) * np.iinfo(out.dtype).max)
    return out


def _integers(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels as PNG holds them: floats as 16 bits."""
    import numpy as np

    if pixels.dtype.kind != "f":
        return pixels
    scaled: NDArray[Any] = np.rint(pixels.astype(np.float64).clip(0, 1) * 65535)
    return scaled.astype(np.uint16)


def _generate(options: argparse.Namespace) -> int:
    from danet import images
    from danet.pretrained import NoiseGenerator

    jobs = _generate_jobs(options.pictures, options.output, options.n)
    _check_outputs(jobs)
    generator = NoiseGenerator.from_pretrained(options.weights, **network_settings(options))

    def work(picture: Path, outputs: list[Path]) -> None:
        _refuse_folder(picture)
        with images.open_picture(picture) as file:
            if file.count > 1 and file.format != "MPO":  # there the others are previews
                raise DataError(
                    f"{picture}: holds {file.count} pictures, and noise is generated for files of "
                    "one; save them one by one"
                )
            clean = next(file.frames)
        versions = generator.stream(clean.pixels, len(outputs), options.seed)
        for version, output in zip(versions, outputs, strict=True):
            images.write_frame(replace(clean, pixels=_integers(version)), output)

    with _picture_limits(options.max_pixels):
        return _do(jobs, work)


@contextmanager
def _picture_limits(max_pixels: int) -> Iterator[None]:
    """Let Pillow refuse larger pictures, and the readers be silent on odd metadata."""
    from PIL import Image

    for name in ("PIL", "tifffile"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2  # it warns at this, and refuses at twice
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _denoise_jobs(paths: list[Path], output: Path, recursive: bool) -> list[Job]:
    from danet import images

    if output.suffix and not output.is_dir():
        if len(paths) == 1 and not paths[0].is_dir():
            return [(paths[0], [output])]
        if output.suffix.lower() in {*images.READABLE, ".npy"}:
            raise ConfigError(f"{output}: one file for several pictures; name a folder instead")
    _check_folder(output)
    jobs = []
    for path in paths:
        # With --recursive, a second run shall not take up the results of the first.
        done = output.resolve() if recursive else None
        for picture in _pictures(path, recursive, done):
            name = picture.relative_to(path) if picture != path else Path(picture.name)
            jobs.append((picture, [output / name]))
    return jobs


def _generate_jobs(paths: list[Path], folder: Path, n: int) -> list[Job]:
    _check_folder(folder)
    digits = max(2, len(str(n - 1)))
    return [
        (picture, [folder / f"{picture.stem}_{number:0{digits}d}.png" for number in range(n)])
        for path in paths
        for picture in _pictures(path)
    ]


def _pictures(path: Path, recursive: bool = False, but: Path | None = None) -> list[Path]:
    """The pictures in a folder, without hidden ones and those below ``but``; or a file itself.

    A folder without pictures is given itself, for ``_refuse_folder`` when its turn comes.
    """
    from danet import images

    if not path.is_dir():
        return [path]
    suffixes = {*images.READABLE, ".npy"}
    found = sorted(
        file
        for file in (path.rglob("*") if recursive else path.iterdir())
        if file.suffix.lower() in suffixes
        # Some systems put a hidden file of the same suffix beside each picture.
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and file.is_file()
        and (but is None or but not in file.resolve().parents)
    )
    return found or [path]


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: the output must be a folder, but it is a file")


def _check_outputs(jobs: list[Job]) -> None:
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


def _refuse_folder(picture: Path) -> None:
    if picture.is_dir():
        raise DataError(f"{picture}: the folder holds no pictures")


def _do(
    jobs: list[Job],
    work: Callable[[Path, list[Path]], None],
    *,
    workers: int = 1,
    skip_existing: bool = False,
) -> int:
    """Work on each picture; one that fails is reported, and the others are still done."""
    from tqdm import tqdm

    def attempt(job: Job) -> str:
        picture, outputs = job
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
            say(", ".join(f"{counts[outcome]} {outcome}" for outcome in _OUTCOMES))
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
    text = str(error).lower()
    lacking = isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "alloc" in text)
    )
    return "; a smaller --tile needs less memory" if lacking else ""
