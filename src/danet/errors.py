"""The errors that danet raises and the warning it gives, their one line, and a check of counts."""

from __future__ import annotations

from numbers import Integral

__all__ = [
    "ConfigError",
    "DanetError",
    "DanetWarning",
    "DataError",
    "ImageError",
    "WeightsError",
    "check_count",
    "is_count",
    "one_line",
]


class DanetError(Exception):
    """Base of every error that danet raises on purpose."""


class ConfigError(DanetError, ValueError):
    """A setting is unknown, of the wrong type or out of range."""


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
    words = " ".join(str(message).split()) or type(message).__name__
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in words)


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
