"""The errors that danet raises, all of one family."""

__all__ = [
    "ConfigError",
    "DanetError",
    "DataError",
    "ImageError",
    "WeightsError",
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
