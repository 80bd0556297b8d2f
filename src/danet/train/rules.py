"""Rules that stand beside the settings which they are about."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, get_type_hints

from danet.errors import ConfigError, is_count

__all__ = [
    "ABOVE_0",
    "DECAY",
    "POSITIVE",
    "SHARE",
    "STRICT",
    "at_least",
    "check_rules",
    "finite",
    "rising",
]

STRICT = {"extra": "forbid"}
"""For pydantic, which reads the settings: an unknown key is an error."""


class Rule(NamedTuple):
    """What a setting must be, in words, and whether a value is that."""

    words: str
    holds: Callable[[Any], bool]


# NaN compares false with everything, so each of the rules refuses it.
SHARE = Rule("from 0 to 1", lambda value: 0 <= value <= 1)
ABOVE_0 = Rule("finite and above 0", lambda value: 0 < value < math.inf)
DECAY = Rule("at least 0 and below 1", lambda value: 0 <= value < 1)
POSITIVE = Rule(
    "finite numbers above 0", lambda value: all(0 < entry < math.inf for entry in value)
)


def at_least(least: int) -> Rule:
    """A count."""
    return Rule(f"a whole number from {least}", partial(is_count, least=least))


def finite(least: int) -> Rule:
    """A number from ``least`` on, or a word where the type allows one."""
    return Rule(
        f"finite and at least {least}",
        lambda value: isinstance(value, str) or least <= value < math.inf,
    )


def rising(most: float = math.inf) -> Rule:
    """The two ends of a range of positive numbers."""
    bounds = "finite numbers above 0"
    if most < math.inf:
        bounds = f"numbers above 0 and at most {most:g}"
    return Rule(
        f"two {bounds}, the second not below the first",
        lambda value: 0 < value[0] <= value[1] <= most and value[1] < math.inf,
    )


def check_rules(settings: object, section: str = "") -> None:
    """Hold a dataclass to the rules in its annotations, ``Annotated[TYPE, RULE]``.

    Raises:
        ConfigError: a setting breaks its rule; it is named with the section before it.
    """
    for name, hint in get_type_hints(type(settings), include_extras=True).items():
        value = getattr(settings, name)
        for rule in getattr(hint, "__metadata__", ()):
            if not rule.holds(value):
                raise ConfigError(f"{section}{name} is {value}, and must be {rule.words}")
