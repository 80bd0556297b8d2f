"""The texts of the pages, which lie beside the code."""

from __future__ import annotations

from importlib.resources import files
from string import Template

__all__ = ["filled"]


def filled(name: str, **values: object) -> str:
    """The page of a name with values in the place of ``$NAME``; what they hold is HTML."""
    text = files("danet.pages").joinpath(name).read_text(encoding="utf-8")
    return Template(text).substitute(values)
