"""Names of packages, imported when they are first used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

__all__ = ["names_of"]


def names_of(package: str, places: Mapping[str, str]) -> Callable[[str], object]:
    """The ``__getattr__`` of a package whose modules take long to import.

    Args:
        package: its ``__name__``.
        places: for each name that it gives, the module in it that has the name.

    Example:
        >>> names_of("danet.networks", {"build": "build"})("build").__name__
        'build'
        >>> names_of("danet.networks", {})("attic")
        Traceback (most recent call last):
        AttributeError: module 'danet.networks' has no attribute 'attic'
    """

    def attribute(name: str) -> object:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{places[name]}"), name)

    return attribute
