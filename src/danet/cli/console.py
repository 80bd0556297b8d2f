"""Options, numbers from words and messages, for all commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from danet.errors import ConfigError

__all__ = [
    "FAILED",
    "add_border_argument",
    "add_network_arguments",
    "at_least",
    "complain",
    "network_settings",
    "say",
]

FAILED = 2


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


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which network computes, where and how."""
    parser.add_argument(
        "--weights",
        default="photo",
        help="a name of `danet weights list`, organisation/repository, or a path "
        "(default: %(default)s)",
    )
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
        help="auto, torch or openvino (default: %(default)s)",
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
    """What those options say, for `danet.pretrained.Denoiser` and its like."""
    names = ("device", "devices", "tile", "max_memory", "border", "dtype", "runtime")
    return {name: getattr(options, name) for name in names}


def _size(text: str) -> int:
    from danet.inference.memory import read_size

    try:
        return read_size(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def complain(line: str) -> None:
    """Print an error to standard error."""
    say(f"error: {line}")


def say(line: str) -> None:
    """Print a message to standard error."""
    from tqdm import tqdm

    # Unlike print, this keeps the line clear of a progress bar.
    tqdm.write(f"danet: {line}", file=sys.stderr)
