"""A training so small that a test may run many."""

from typing import Any

from r1ray.config.jobs import TinyJobConfig
from r1ray.config.tiny import TinyConfig

SMALL = TinyJobConfig(tiny=TinyConfig(largest=9, heldout=20, examples=96, batch=8, width=16, heads=2, evaluations=3))


def result(number: int, value: float | None, **figures: Any) -> dict[str, Any]:
    """A row as a journal keeps it."""
    return {"number": number, "values": {"x": 0.1 * number, "y": 0.0}, "result": value, "objective": value, **figures}
