from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from danet.errors import ConfigError
from danet.rules import SHARE, at_least, check_rules, finite, rising


@dataclass(frozen=True)
class Section:
    count: Annotated[int, at_least(1)] = 1
    share: Annotated[float, SHARE] = 0.5
    amount: Annotated[float | Literal["much"], finite(0)] = 0.0
    ends: Annotated[tuple[float, float], rising(most=2)] = (1.0, 2.0)
    free: float = math.nan

    def __post_init__(self) -> None:
        check_rules(self, "section.")


def test_the_ends_and_words_are_taken() -> None:
    Section(share=1.0, amount="much")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "section.count is 0, and must be a whole number from 1"),
        ({"share": math.nan}, "section.share is nan, and must be from 0 to 1"),
        ({"amount": math.inf}, "section.amount is inf, and must be finite and at least 0"),
        ({"ends": (1, 3)}, "section.ends is (1, 3), and must be two numbers above 0 and at most 2"),
        ({"ends": (2, 1)}, "the second not below the first"),
    ],
)
def test_the_setting_and_its_rule_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Section(**settings)  # type: ignore[arg-type]
    assert message in str(refused.value)
