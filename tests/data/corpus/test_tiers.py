"""Tiers of trust."""

import pytest

from r1ray.data.corpus.tiers import judge_tier, recomputes


@pytest.mark.parametrize(
    ("solution", "answer", "right"),
    [
        ("3 + 4 = 7\n7 * 2 = 14", "14", True),
        ("3 + 4 = 7\n7 * 2 = 15", "15", False),  # untrue
        ("3 + 4 = 7\n7 * 2 = 14", "7", False),  # another answer
        ("It is obvious.", "14", False),
        ("3 + 4 = 7", "seven", False),
    ],
)
def test_a_solution_is_verified_where_its_arithmetic_is_true_and_ends_in_the_answer(
    solution: str, answer: str, right: bool
) -> None:
    assert recomputes(solution, answer) == right


def test_the_highest_tier_that_holds_is_given_with_its_witness() -> None:
    row = {"solution": "3 + 4 = 7", "answer": "7"}
    assert judge_tier(row, checked=True, model="m") == ("L3", "solution recomputed")
    assert judge_tier({**row, "answer": "8"}, checked=True, model="m") == ("L2", "m")
    assert judge_tier({"text": "x"}, checked=True) == ("L1", "rules")
    assert judge_tier({"text": "x"}, checked=False) == ("L0", "")
