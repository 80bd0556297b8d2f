"""What the commands share: options, numbers from words, and messages."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

__all__ = ["FAILED", "add_network_arguments", "at_least", "complain"]

FAILED = 2


def at_least(least: int) -> Callable[[str], int]:
    """What argparse turns a word by into an integer that is not below ``least``."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
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
        "--tile",
        type=at_least(1),
        default=1024,
        metavar="PIXELS",
        help="side of the tiles that large pictures are cut into (default: %(default)s)",
    )


def complain(line: str) -> None:
    """Print an error to standard error."""
    from tqdm import tqdm

    # Unlike print, this keeps the line clear of a progress bar.
    tqdm.write(f"danet: error: {line}", file=sys.stderr)
