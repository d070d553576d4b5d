"""How far a row's content is to be trusted, and on whose word.

L0 raw            nothing has looked at it
L1 rule-checked   the rules of cleaning passed it
L2 model-checked  a classifier, or several teachers that agree, passed it
L3 verified       its answer was computed, or its solution recomputed and found to end in the answer
"""

from collections.abc import Mapping
from typing import Any

from r1ray.reasoning.answers import parse_number
from r1ray.reasoning.arithmetic import find_statements

TIERS = ("L0", "L1", "L2", "L3")


def judge_tier(row: Mapping[str, Any], *, checked: bool, model: str = "") -> tuple[str, str]:
    """(tier, on whose word) of a row.

    Args:
        row: with `question`, `solution`, `answer`.
        checked: whether the rules of cleaning have passed it.
        model: which model has passed it besides; empty = none.
    """
    if row.get("solution") and row.get("answer") and recomputes(row["solution"], row["answer"]):
        return "L3", "solution recomputed"
    if model:
        return "L2", model
    return ("L1", "rules") if checked else ("L0", "")


def recomputes(solution: str, answer: str) -> bool:
    """Whether a solution's arithmetic is all true, and the last result is the answer."""
    number = parse_number(answer)
    if number is None:
        return False
    statements = find_statements(solution)
    return bool(statements) and all(one.true for one in statements) and statements[-1].value == number
