"""Arithmetic that writes its own solution down: what every own family is made of."""

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from r1ray.data.generators.spec import Wording

SMALLEST_NUMBER = 2
"""Smallest number that a problem gives: 0 and 1 make steps that can be skipped, and `1 eggs`."""
_OPERATIONS: dict[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


@dataclass(frozen=True, slots=True)
class WorkedProblem:
    """A question and its direct solution, in which each number of the question is an operand exactly once."""

    question: str
    steps: list[str]
    """`9 + 7 = 16`, one an operation."""
    answer: int


class Family(Protocol):
    """A generator of one kind of problem."""

    def __call__(self, rng: Random, level: int, max_number: int, wording: Wording) -> WorkedProblem:
        """A problem of exactly `level` steps whose numbers are from 2 to `max_number`."""
        ...


@dataclass(slots=True)
class Working:
    """The steps written so far."""

    steps: list[str] = field(default_factory=list)

    def do(self, left: int, symbol: str, right: int) -> int:
        """Write one step and return its result."""
        result = _OPERATIONS[symbol](left, right)
        self.steps.append(f"{left} {symbol} {right} = {result}")
        return result


def draw_number(rng: Random, max_number: int) -> int:
    """Any number that a problem may give."""
    return rng.randint(SMALLEST_NUMBER, max_number)


def draw_change(rng: Random, total: int, max_number: int, least: int) -> tuple[str, int]:
    """`+` or `-` with a number, such that `total` stays at or above `least`; half and half where both are possible."""
    most = min(max_number, total - least)
    if most < SMALLEST_NUMBER or rng.random() < 0.5:
        return "+", draw_number(rng, max_number)
    return "-", rng.randint(SMALLEST_NUMBER, most)
