"""What the commands share: options, numbers from words, and messages."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

__all__ = ["FAILED", "add_network_arguments", "at_least", "complain", "say"]

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
        help="the name of shipped weights, or a folder (default: %(default)s)",
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
    say(f"error: {line}")


def say(line: str) -> None:
    """Print a message to standard error."""
    from tqdm import tqdm

    # Unlike print, this keeps the line clear of a progress bar.
    tqdm.write(f"danet: {line}", file=sys.stderr)
