"""Choosing among samples, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.errors import DataError
from r1ray.reasoning.best_of_n import Candidate, best_of, best_of_n, solution_score, vote


def candidate(answer: str | None, score: float, correct: bool = False) -> Candidate:
    return Candidate(answer=answer, correct=correct, score=score)


@pytest.mark.parametrize(("aggregate", "expected"), [("min", 0.5), ("prod", 0.4), ("mean", 0.65), ("last", 0.5)])
def test_aggregates_by_hand(aggregate: str, expected: float) -> None:
    assert solution_score([0.8, 0.5], aggregate) == pytest.approx(expected)  # type: ignore[arg-type]
    assert solution_score([], aggregate) == 0  # type: ignore[arg-type]


def test_an_unknown_aggregate_is_refused() -> None:
    with pytest.raises(DataError, match="median"):
        solution_score([0.5], "median")  # type: ignore[arg-type]


def test_the_first_of_equals_wins_and_nan_never_does() -> None:
    assert best_of([0.1, 0.9, 0.9]) == 1
    assert best_of([float("nan"), -5.0]) == 1


def test_votes_count_heads_or_scores() -> None:
    group = [candidate("7", 0.2), candidate("8", 0.9), candidate("7", 0.3), candidate(None, 5.0)]
    plain, weighted = vote(group), vote(group, weighted=True)
    assert plain is not None
    assert weighted is not None
    assert (plain.answer, weighted.answer) == ("7", "8")
    assert vote([candidate(None, 1.0)]) is None


def test_the_measures_by_hand() -> None:
    groups = [
        [candidate("7", 0.2), candidate("8", 0.9, correct=True), candidate("7", 0.3)],
        [candidate("1", 0.8), candidate("2", 0.1, correct=True), candidate("2", 0.1, correct=True)],
    ]
    measured = best_of_n(groups)
    assert (measured.chosen, measured.majority, measured.weighted, measured.oracle) == (0.5, 0.5, 0.5, 1.0)
    assert measured.first == pytest.approx((1 / 3 + 2 / 3) / 2)


@given(st.lists(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=5), min_size=1, max_size=5))
def test_no_choice_beats_the_oracle(groups: list[list[tuple[bool, float]]]) -> None:
    measured = best_of_n([[candidate(str(right), score, right) for right, score in group] for group in groups])
    assert max(measured.chosen, measured.majority, measured.weighted, measured.first) <= measured.oracle + 1e-12


def test_a_problem_without_samples_is_refused() -> None:
    with pytest.raises(DataError, match="at least one sample"):
        best_of_n([[]])
