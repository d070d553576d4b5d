"""Step labels by the papers' definitions, and what judges who disagree leave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.algorithms.step_labels import (
    consensus,
    first_error_labels,
    first_error_of,
    monte_carlo_label,
    prefer_rule,
    prm800k_ratings,
    rating_labels,
    until_first_error,
)
from r1ray.errors import DataError

LABELS = st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=8)


@pytest.mark.parametrize(("right", "hard", "soft"), [(0, 0.0, 0.0), (1, 1.0, 0.125), (8, 1.0, 1.0)])
def test_hard_asks_whether_and_soft_how_often_the_answer_is_reached(right: int, hard: float, soft: float) -> None:
    assert monte_carlo_label(right, 8, "hard") == hard
    assert monte_carlo_label(right, 8, "soft") == soft


@pytest.mark.parametrize(("right", "samples"), [(9, 8), (-1, 8), (0, 0)])
def test_impossible_counts_are_refused(right: int, samples: int) -> None:
    with pytest.raises(DataError, match="expected 0 <= right"):
        monte_carlo_label(right, samples, "hard")


def test_prm800k_is_learned_up_to_and_including_the_first_error() -> None:
    assert prm800k_ratings([1, 0, -1, 1, -1]) == [1, 0, -1, None, None]
    assert prm800k_ratings([1, None, 0]) == [1, None, 0]


@pytest.mark.parametrize("rating", [2, -100, True])
def test_a_rating_that_prm800k_does_not_have_is_refused(rating: int) -> None:
    with pytest.raises(DataError, match="rates -1, 0 or 1"):
        prm800k_ratings([1, rating])


def test_neutral_counts_as_right_unless_told_otherwise() -> None:
    assert rating_labels([1, 0, -1, None]) == [1.0, 1.0, 0.0, None]
    assert rating_labels([1, 0, -1, None], neutral_is_right=False) == [1.0, 0.0, 0.0, None]


@given(st.integers(1, 9).flatmap(lambda steps: st.tuples(st.integers(-1, steps - 1), st.just(steps))))
def test_a_first_error_survives_becoming_labels(case: tuple[int, int]) -> None:
    first, steps = case
    labels = first_error_labels(first, steps)
    assert len(labels) == steps
    assert first_error_of(labels) == first


@pytest.mark.parametrize("first", [3, -2])
def test_an_error_outside_the_solution_is_refused(first: int) -> None:
    with pytest.raises(DataError, match="of 3 steps"):
        first_error_labels(first, 3)


def test_an_unlabelled_step_leaves_the_first_error_open() -> None:
    assert first_error_of([1.0, None, 0.0]) is None
    assert first_error_of([1.0, 0.0, None]) == 1


def test_consensus_drops_what_the_rule_contradicts() -> None:
    #                              agree  agree  contradicted  undecided  nothing to contradict
    assert consensus([1.0, 0.0, 0.75, 0.25, None], [True, False, False, None, True]) == [1.0, 0.0, None, 0.25, None]


@given(LABELS, st.data())
def test_consensus_never_changes_a_label_it_keeps(labels: list[float | None], data: st.DataObject) -> None:
    rule = data.draw(st.lists(st.none() | st.booleans(), min_size=len(labels), max_size=len(labels)))
    for kept, label, verdict in zip(consensus(labels, rule), labels, rule, strict=True):
        assert kept in (label, None)
        if kept is not None and verdict is not None:
            assert (kept >= 0.5) == verdict


def test_a_preferred_rule_overrules_where_it_has_a_verdict() -> None:
    assert prefer_rule([0.25, 1.0, None, 0.5], [True, False, True, None]) == [1.0, 0.0, 1.0, 0.5]


def test_nothing_after_the_first_wrong_step_is_labelled() -> None:
    assert until_first_error([1.0, None, 0.2, 1.0, 0.0]) == [1.0, None, 0.2, None, None]


@given(LABELS)
def test_cutting_twice_is_cutting_once(labels: list[float | None]) -> None:
    once = until_first_error(labels)
    assert until_first_error(once) == once
