"""Rules that stand beside the settings which they are about."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NamedTuple, get_type_hints

from danet.errors import ConfigError, is_count

__all__ = [
    "ABOVE_0",
    "DECAY",
    "POSITIVE",
    "SHARE",
    "Settings",
    "at_least",
    "check",
    "check_rules",
    "finite",
    "rising",
]


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


def rising(least: float | None = None, most: float = math.inf) -> Rule:
    """The two ends of a range of numbers within [least, most]; None is above 0."""
    bounds = "above 0" if least is None else f"from {least:g}"
    numbers = f"finite numbers {bounds}"
    if most < math.inf:
        numbers = f"numbers {bounds} and at most {most:g}"

    def holds(value: Any) -> bool:
        low, high = value
        above = low > 0 if least is None else low >= least
        return bool(above and low <= high <= most and high < math.inf)

    return Rule(f"two {numbers}, the second not below the first", holds)


def check(name: str, value: object, rule: Rule) -> None:
    """Hold a setting to its rule.

    Raises:
        ConfigError: the setting breaks it.

    Example:
        >>> check("mosaic", 1.1, SHARE)
        Traceback (most recent call last):
        danet.errors.ConfigError: mosaic is 1.1, and must be from 0 to 1
    """
    if not rule.holds(value):
        raise ConfigError(f"{name} is {value}, and must be {rule.words}")


def check_rules(settings: object, section: str = "") -> None:
    """Hold a dataclass to the rules in its annotations, ``Annotated[TYPE, RULE]``.

    Raises:
        ConfigError: a setting breaks its rule; it is named with the section before it.
    """
    for name, hint in get_type_hints(type(settings), include_extras=True).items():
        for rule in getattr(hint, "__metadata__", ()):
            check(f"{section}{name}", getattr(settings, name), rule)


class Settings:
    """Base of the dataclasses that are held to their rules when they are made.

    Attributes:
        section: what stands before their names in errors.
    """

    section: ClassVar[str] = ""

    def __post_init__(self) -> None:
        check_rules(self, self.section)
