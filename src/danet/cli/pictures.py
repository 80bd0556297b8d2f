"""The commands that turn pictures into pictures: ``danet denoise`` and ``danet generate``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danet.cli.console import FAILED, add_network_arguments, at_least, complain, network_settings
from danet.errors import ConfigError, DanetError, DataError, one_line

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["add_commands"]

# A picture to read, and the files to write for it.
Job = tuple[Path, list[Path]]


def add_commands(commands: Any) -> None:
    """Add the two commands to the subparsers of ``danet``."""
    denoise = commands.add_parser("denoise", help="remove the noise of pictures")
    _add_picture_arguments(denoise)
    denoise.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="a folder, in which pictures keep their names; or, for one picture, NAME.SUFFIX",
    )
    denoise.set_defaults(command=_denoise)

    generate = commands.add_parser("generate", help="make noisy versions of clean pictures")
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
        help="the folder to write NAME_00.png, NAME_01.png and so on to",
    )
    generate.set_defaults(command=_generate)


def _add_picture_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pictures",
        nargs="+",
        type=Path,
        metavar="PICTURES",
        help="picture files, or folders of them (without their subfolders)",
    )
    add_network_arguments(parser)


def _denoise(options: argparse.Namespace) -> int:
    from danet import images
    from danet.pretrained import Denoiser

    jobs = _denoise_jobs(options.pictures, options.output)
    _check_outputs(jobs)
    denoiser = Denoiser.from_pretrained(options.weights, **network_settings(options))

    def work(picture: Path, outputs: list[Path]) -> None:
        noisy = _read(picture)
        images.format_of(outputs[0])  # refuses a suffix before the long computing
        images.write_image(denoiser(noisy), outputs[0])

    return _do(jobs, work)


def _generate(options: argparse.Namespace) -> int:
    from danet import images
    from danet.pretrained import NoiseGenerator

    jobs = _generate_jobs(options.pictures, options.output, options.n)
    _check_outputs(jobs)
    generator = NoiseGenerator.from_pretrained(options.weights, **network_settings(options))

    def work(picture: Path, outputs: list[Path]) -> None:
        versions = generator.stream(_read(picture), len(outputs), options.seed)
        for version, output in zip(versions, outputs, strict=True):
            images.write_image(version, output)

    return _do(jobs, work)


def _denoise_jobs(paths: list[Path], output: Path) -> list[Job]:
    from danet import images

    if output.suffix and not output.is_dir():
        if len(paths) == 1 and not paths[0].is_dir():
            return [(paths[0], [output])]
        if output.suffix.lower() in images.READABLE:
            raise ConfigError(f"{output}: one file for several pictures; name a folder instead")
    _check_folder(output)
    return [(picture, [output / picture.name]) for picture in _pictures(paths)]


def _generate_jobs(paths: list[Path], folder: Path, n: int) -> list[Job]:
    _check_folder(folder)
    digits = max(2, len(str(n - 1)))
    return [
        (picture, [folder / f"{picture.stem}_{number:0{digits}d}.png" for number in range(n)])
        for picture in _pictures(paths)
    ]


def _pictures(paths: list[Path]) -> list[Path]:
    """The files among ``paths`` and those in its folders.

    A folder without pictures stays in the list, for ``_read`` to refuse it when its turn comes.
    """
    from danet.data import picture_files

    pictures = []
    for path in paths:
        pictures += (picture_files(path) or [path]) if path.is_dir() else [path]
    return pictures


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


def _read(picture: Path) -> Image:
    from danet import images

    if picture.is_dir():
        raise DataError(f"{picture}: the folder holds no pictures")
    return images.read_image(picture)


def _do(jobs: list[Job], work: Callable[[Path, list[Path]], None]) -> int:
    """Work on each picture; one that fails is reported, and the others are still done."""
    from tqdm import tqdm

    status = 0
    # disable=None: no bar where standard error is not a terminal.
    for picture, outputs in tqdm(jobs, unit="picture", disable=None):
        try:
            work(picture, outputs)
        # Torch has no class of its own for every lack of memory; some are plain RuntimeErrors.
        except (DanetError, OSError, MemoryError, RuntimeError) as error:
            named = str(error).startswith(f"{picture}:")
            prefix = "" if named else f"{one_line(picture)}: "
            complain(prefix + one_line(error) + _hint(error))
            status = FAILED
    return status


def _hint(error: Exception) -> str:
    """What may help against an error, to be put after its message."""
    text = str(error).lower()
    lacking = isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "alloc" in text)
    )
    return "; a smaller --tile needs less memory" if lacking else ""
