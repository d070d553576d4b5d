"""Checks that every stage's configuration shares. Nothing here imports torch, ray or transformers."""

from collections.abc import Collection
from typing import Any

from r1ray.errors import ConfigError


def require(condition: bool, field: str, value: Any, expected: str) -> None:
    """Raise `ConfigError` naming the field, what came and what was expected."""
    if not condition:
        raise ConfigError(f"{field} is {value!r}; expected {expected}.")


def require_range(field: str, value: float, low: float, high: float = float("inf")) -> None:
    """`low <= value <= high`."""
    bounds = f"a number of at least {low}" if high == float("inf") else f"a number from {low} to {high}"
    require(low <= value <= high, field, value, bounds)


def require_choice(field: str, value: str, choices: Collection[str]) -> None:
    """`value` is one of `choices`."""
    require(value in choices, field, value, "one of " + ", ".join(sorted(choices)))
