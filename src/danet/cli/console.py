"""What the commands share: numbers from words, and messages."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

__all__ = ["FAILED", "at_least", "complain"]

FAILED = 2


def at_least(least: int) -> Callable[[str], int]:
    """What argparse turns a word by into an integer that is not below ``least``."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number


def complain(line: str) -> None:
    """Print an error to standard error."""
    from tqdm import tqdm

    # Unlike print, this keeps the line clear of a progress bar.
    tqdm.write(f"danet: error: {line}", file=sys.stderr)
