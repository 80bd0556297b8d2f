"""What everything that draws noisy versions of a picture shares."""

from __future__ import annotations

from danet.errors import ConfigError

__all__ = ["check_draws"]


def check_draws(n: int, seed: int | None) -> None:
    """Refuse a number of versions or a seed that is of no use.

    Raises:
        ConfigError: ``n`` is not positive, or the seed is negative.
    """
    if n < 1:
        raise ConfigError(f"n is {n}, and must be at least 1")
    if seed is not None and seed < 0:
        raise ConfigError(f"seed is {seed}, and must not be negative")
