"""Options, numbers from words and messages, for all commands."""

from __future__ import annotations

import argparse
import ctypes
import gc
import logging
import math
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danet.errors import ConfigError, DanetError, one_line

if TYPE_CHECKING:
    from danet.inference.treatment import Number

__all__ = [
    "FAILED",
    "PICTURES_STATUS",
    "STREAM",
    "add_border_argument",
    "add_light_arguments",
    "add_max_pixels_argument",
    "add_network_arguments",
    "add_picture_arguments",
    "at_least",
    "complain",
    "given_path",
    "input_path",
    "keeping_memory",
    "loading",
    "network_settings",
    "output_path",
    "owned_process",
    "picture_limits",
    "picture_suffix",
    "positive",
    "say",
    "share",
    "strength_number",
]

PICTURES_STATUS = """\
exit status: 0 when every picture is done or skipped, 2 when one failed (the others are done all
the same) or the arguments are wrong, 130 or 143 when interrupted
"""

FAILED = 2
# Standard input as a picture to read, standard output as the file to write.
STREAM = Path("-")


def at_least(least: int, most: int | None = None) -> Callable[[str], int]:
    """What argparse turns a word by into an integer from ``least`` to ``most``."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        if most is not None and value > most:
            raise argparse.ArgumentTypeError(f"{value} is more than {most}")
        return value

    return number


def given_path(text: str) -> Path:
    """What argparse turns a word by into a path, and an empty one is refused by.

    Python takes it for the current folder; it comes of a variable of the shell that is not set.
    """
    if not text:
        raise argparse.ArgumentTypeError("an empty word names no file; for this folder give .")
    return Path(text)


def input_path(text: str) -> Path:
    """As `given_path`; "-" is standard input, and ./- a file."""
    path = given_path(text)
    return path if path != STREAM or text == "-" else path.absolute()


def output_path(text: str) -> tuple[Path, bool]:
    """As `input_path`, and whether it is named as a folder, which a path does not remember."""
    return input_path(text), text.endswith(("/", os.sep))


def picture_suffix(text: str) -> str:
    """A suffix, with its dot, of a format that pictures are written in."""
    from danet.images import format_of

    suffix = f".{text.removeprefix('.')}"
    try:
        format_of(f"picture{suffix}")
    except DanetError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return suffix


def strength_number(text: str) -> Number:
    """How much of the noise is taken: a number, or auto."""
    if text == "auto":
        return "auto"
    return _number(text, lambda value: 0 <= value < math.inf, "auto or a finite number from 0 on")


def share(text: str) -> float:
    """A number from 0 to 1."""
    return _number(text, lambda value: 0 <= value <= 1, "a number from 0 to 1")


def positive(text: str) -> float:
    """A positive, finite number."""
    return _number(text, lambda value: 0 < value < math.inf, "a positive, finite number")


def _number(text: str, is_right: Callable[[float], bool], right: str) -> float:
    """The number that a word says, or an error that says what would be right."""
    with suppress(ValueError):
        if is_right(value := float(text)):
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not {right}")


def add_picture_arguments(
    parser: argparse.ArgumentParser, pictures: str, verbose: str, *runtimes: str
) -> None:
    """Add the options of a command that makes pictures of pictures.

    Args:
        parser: of a command.
        pictures: words on what is given.
        verbose: words on what --verbose does.
        *runtimes: as for `add_network_arguments`.
    """
    parser.add_argument("pictures", nargs="+", type=input_path, metavar="PICTURES", help=pictures)
    parser.add_argument("--verbose", action="store_true", help=verbose)
    add_max_pixels_argument(parser, 2 * 89_478_485)  # as Pillow has it
    add_network_arguments(parser, *runtimes)


def add_light_arguments(parser: argparse.ArgumentParser, larger: str) -> None:
    """Add the options that say how numbers stand for light, and what becomes of larger ones."""
    parser.add_argument(
        "--white",
        type=positive,
        metavar="VALUE",
        help=f"for floats beyond 0 to 1: the value that counts as white; {larger} (default: 1 for "
        "OpenEXR files)",
    )
    parser.add_argument(
        "--linear",
        action=argparse.BooleanOptionalAction,
        help="the numbers of the pictures are proportional to light, or not (default: those of "
        "OpenEXR files are)",
    )


def add_max_pixels_argument(parser: argparse.ArgumentParser, default: int) -> None:
    """Add the option that bounds the size of pictures."""
    parser.add_argument(
        "--max-pixels",
        type=at_least(1),
        default=default,
        metavar="COUNT",
        help="pictures of more pixels are refused (default: %(default)s)",
    )


def add_network_arguments(parser: argparse.ArgumentParser, *runtimes: str) -> None:
    """Add the options that say which network computes, where and how.

    Args:
        parser: of a command.
        *runtimes: words on those that it has beside PyTorch and OpenVINO.
    """
    parser.add_argument(
        "--weights",
        default="photo",
        help="a name of `danet weights list`, organisation/repository, or a path "
        "(default: %(default)s)",
    )
    add_force_download_argument(parser)
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, mps ... (default: %(default)s)"
    )
    parser.add_argument(
        "--devices",
        metavar="DEVICES",
        help="several that share the work, such as cuda:0,cuda:1, or all",
    )
    parser.add_argument(
        "--tile",
        type=at_least(1),
        metavar="PIXELS",
        help="side of the tiles that pictures are cut into (default: as the memory allows)",
    )
    parser.add_argument(
        "--max-memory",
        type=_size,
        metavar="SIZE",
        help="what computing may take, such as 800M or 2G (default: half of what is free)",
    )
    add_border_argument(parser)
    parser.add_argument(
        "--dtype",
        default="auto",
        help="auto, float32, bfloat16 or float16 (default: %(default)s)",
    )
    parser.add_argument(
        "--runtime",
        default="auto",
        help=f"{', '.join(('auto', 'torch', 'openvino', *runtimes))} (default: %(default)s)",
    )


def add_force_download_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that fetches weights though they are there."""
    parser.add_argument(
        "--force-download", action="store_true", help="fetch weights of the Hub again"
    )


def add_border_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that says how far pictures are mirrored beyond their sides."""
    parser.add_argument(
        "--border",
        type=at_least(0),
        metavar="PIXELS",
        help="how far a picture is mirrored beyond its sides for the network; 0 gives the numbers "
        "of the paper's program (default: 16)",
    )


def network_settings(options: argparse.Namespace) -> dict[str, Any]:
    """What those options say, for ``Denoiser.from_pretrained`` and its like."""
    names = ("device", "devices", "tile", "max_memory", "border", "dtype", "runtime")
    return {name: getattr(options, name) for name in (*names, "force_download")}


def _size(text: str) -> int:
    from danet.inference.memory import read_size

    try:
        return read_size(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


# Of mallopt, in glibc's malloc.h, with their defaults.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_KEPT = {_TRIM_THRESHOLD: -1, _MMAP_MAX: 0}  # -1 is never
_GIVEN_BACK = {_TRIM_THRESHOLD: 128 * 1024, _MMAP_MAX: 65536}


@contextmanager
def loading() -> Iterator[None]:
    """Import modules and load weights without the collector of garbage, which finds none in them.

    Passes over all that PyTorch brings take a share of the start that is felt.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # later passes leave these out, until `owned_process` ends
        if was_on:
            gc.enable()


@contextmanager
def keeping_memory(limit: int | None) -> Iterator[None]:
    """Let tensors on the CPU take the memory of those before them, until the block ends.

    By itself glibc gives the pages of each large tensor back to the system, which clears those of
    the next, which takes a good part of the time of a large picture.  Other C libraries go on as
    ever.

    Args:
        limit: what ``--max-memory`` says.  With one nothing is kept: what is kept lies in pieces,
            and so takes more than the limit counts.
    """
    if limit is None:
        _set_allocation(_KEPT)
    try:
        yield
    finally:
        if limit is None:
            _set_allocation(_GIVEN_BACK)


def _set_allocation(values: Mapping[int, int]) -> None:
    with suppress(OSError, AttributeError, TypeError):  # not glibc
        library = ctypes.CDLL("libc.so.6")
        for name, value in values.items():
            library.mallopt(name, value)
        library.malloc_trim(0)


@contextmanager
def owned_process() -> Iterator[None]:
    """What a program may do to its process, and a library may not.

    SIGTERM ends it as Ctrl-C does, so that no unfinished file stays.  What the readers say of odd
    files is dropped, as danet has its own line for it; other warnings become one line each.
    """
    with _open_streams(), _quiet_process():
        try:
            yield
        finally:
            gc.unfreeze()


@contextmanager
def _open_streams() -> Iterator[None]:
    """Put nothing in the place of standard streams that are closed, as services have them.

    Else the next file that is opened has the number of one, and gets what libraries in C print.
    """
    with ExitStack() as stack:
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            if stream is None:
                stack.callback(os.close, os.open(os.devnull, os.O_RDWR))  # the lowest that is free
        if sys.stderr is None:
            nowhere = stack.enter_context(Path(os.devnull).open("w"))
            stack.enter_context(redirect_stderr(nowhere))
        yield


@contextmanager
def _quiet_process() -> Iterator[None]:
    # Each reader is silenced by its own means.  Another file behind descriptor 2 would silence all
    # at once, and the progress bar, every other thread and the last words of a crash with them.
    for name in ("PIL", "imagecodecs", "tifffile"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    _silence_libtiff()
    os.environ.setdefault("SVT_LOG", "1")  # the encoder of AV1: errors alone
    in_main = threading.current_thread() is threading.main_thread()  # no other may set a handler
    before = signal.signal(signal.SIGTERM, _end) if in_main else None
    try:
        with warnings.catch_warnings():
            readers = r"PIL\.|torch\.(_utils|serialization|storage)"
            warnings.filterwarnings("ignore", module=readers)
            warnings.showwarning = lambda message, *_, **__: say(f"warning: {one_line(message)}")
            yield
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, before)


def _silence_libtiff() -> None:
    """Take the handler of errors from the libtiff that Pillow uses, which prints them."""
    from PIL import _imaging

    # Found through the module that is linked to it.  A build that hides it goes on printing.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


@contextmanager
def picture_limits(max_pixels: int) -> Iterator[None]:
    """Let Pillow refuse larger pictures."""
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2  # it warns at this, and refuses at twice
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def complain(line: str) -> None:
    """Print an error to standard error."""
    say(f"error: {line}")


def say(line: str) -> None:
    """Print a message to standard error, if there is one."""
    from tqdm import tqdm

    if sys.stderr is None:
        return
    # Unlike print, this keeps the line clear of a progress bar.
    tqdm.write(f"danet: {line}", file=sys.stderr)
