"""The errors that danet raises and the warning it gives, and what their messages share."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from importlib import import_module
from numbers import Integral
from typing import Any

__all__ = [
    "ConfigError",
    "DanetError",
    "DanetWarning",
    "DataError",
    "ImageError",
    "WeightsError",
    "check_count",
    "did_you_mean",
    "is_count",
    "one_line",
    "require",
]


_LONGEST = 2000  # letters of a message


class DanetError(Exception):
    """Base of every error that danet raises on purpose.

    Args:
        message: what it says.  Names that a file or a user gives are a part of it, so lines
            become one, letters that a terminal would obey are written out, and the middle of a long
            message is left out.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(_cut(_printable(re.sub(r"\s*\n\s*", " ", message))))


class ConfigError(DanetError, ValueError):
    """A setting is unknown, of the wrong type or out of range, or needs a missing package."""


class DataError(DanetError):
    """A data set is missing, empty, or its pairs do not match."""


class ImageError(DanetError, ValueError):
    """A picture cannot be read, or an array cannot be taken as a picture."""


class WeightsError(DanetError):
    """Weights cannot be found, or do not fit the network."""


class DanetWarning(UserWarning):
    """What was asked for is done, but probably does not mean what it should."""


def one_line(message: object) -> str:
    r"""An error, or any text, in printable characters; the name of its class where it says nothing.

    Example:
        >>> one_line(ValueError("first,\n  second")), one_line(MemoryError())
        ('first, second', 'MemoryError')
        >>> print(one_line("what a file holds may be \x1b[31m"))
        what a file holds may be \x1b[31m
    """
    return _cut(_printable(" ".join(str(message).split()) or type(message).__name__))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]} [{len(text) - 2 * half} more letters] {text[-half:]}"


def is_count(value: object, least: int = 0) -> bool:
    """Whether a value is a whole number, not below another; True and 1.0 are none."""
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= least


def check_count(name: str, value: object, least: int = 0) -> None:
    """Refuse a seed or a number of things that is no whole number, or too small.

    Raises:
        ConfigError: the value is not a whole number, or below ``least``.

    Example:
        >>> check_count("n", True, least=1)
        Traceback (most recent call last):
        danet.errors.ConfigError: n is True, and must be a whole number from 1
    """
    if not is_count(value, least):
        raise ConfigError(f"{name} is {value!r}, and must be a whole number from {least}")


def require(module: str, extra: str, purpose: str) -> Any:
    """Import a module of an optional package.

    Args:
        module: its full name, such as ``"matplotlib.figure"``.
        extra: the extra of danet that brings the package.
        purpose: what needs it, as the message begins.

    Raises:
        ConfigError: the package is not installed, or cannot be imported.

    Example:
        >>> require("attic", "data", "A")
        Traceback (most recent call last):
        danet.errors.ConfigError: A needs attic: pip install 'danet[data]' (No module named 'attic')
    """
    try:
        return import_module(module)
    # torchvision raises a RuntimeError where PyTorch is not the one that it was built for.
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            f"{purpose} needs {module.partition('.')[0]}: pip install 'danet[{extra}]' "
            f"({one_line(error)})"
        ) from error


def did_you_mean(name: str, known: Collection[str]) -> str:
    """The end of a message on an unknown name: the name that was probably meant, or all names.

    Example:
        >>> did_you_mean("phto", ["photo", "raw"]), did_you_mean("attic", ["photo", "raw"])
        ("; did you mean 'photo'?", '; there are photo, raw')
    """
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(known))}"
