"""The errors that danet raises and the warning it gives, and how an error reads in one line."""

__all__ = [
    "ConfigError",
    "DanetError",
    "DanetWarning",
    "DataError",
    "ImageError",
    "WeightsError",
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
    r"""An error, or any text, without line breaks; the name of its class where it says nothing.

    Example:
        >>> one_line(ValueError("first,\n  second")), one_line(MemoryError())
        ('first, second', 'MemoryError')
    """
    return " ".join(str(message).split()) or type(message).__name__
