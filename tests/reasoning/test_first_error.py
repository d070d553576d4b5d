"""ProcessBench's measure by hand, and guessing at its best."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.errors import DataError
from r1ray.reasoning.first_error import (
    best_threshold,
    first_error,
    first_error_score,
    majority_baseline,
    random_baseline,
)


def test_the_first_error_is_the_first_low_score() -> None:
    assert first_error([0.9, 0.4, 0.1]) == 1
    assert first_error([0.9, 0.4, 0.1], threshold=0.3) == 2
    assert first_error([0.5, 0.9]) == -1  # what is as likely right as wrong is not called wrong
    assert first_error([]) == -1


def test_the_measure_by_hand() -> None:
    # Erroneous: 1 of 2 named exactly; correct: 2 of 3 left alone. F1 = 2 · (1/2)(2/3) / (1/2 + 2/3) = 4/7
    score = first_error_score(predicted=[2, 0, -1, -1, 3], truth=[2, 1, -1, -1, -1])
    assert (score.accuracy_erroneous, score.erroneous, score.correct) == (0.5, 2, 3)
    assert score.accuracy_correct == pytest.approx(2 / 3)
    assert score.f1 == pytest.approx(4 / 7)
    assert score.accuracy == pytest.approx(3 / 5)


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=30), st.integers(-1, 5))
def test_whoever_always_says_the_same_has_an_f1_of_zero(truth: list[int], answer: int) -> None:
    score = first_error_score([answer] * len(truth), truth)
    if score.erroneous and score.correct:
        assert score.f1 == 0


def test_without_correct_solutions_there_is_no_f1() -> None:
    score = first_error_score([1], [1])
    assert math.isnan(score.accuracy_correct)
    assert math.isnan(score.f1)
    assert score.accuracy == 1


def test_the_majority_is_the_commonest_answer() -> None:
    score = majority_baseline([-1, -1, 0, 2])
    assert (score.accuracy, score.f1) == (0.5, 0)


@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=2, max_size=20), st.floats(0, 1))
def test_no_way_of_guessing_beats_the_random_baseline(solutions: list[tuple[int, bool]], p: float) -> None:
    steps = [count for count, _ in solutions]
    truth = [0 if wrong else -1 for _, wrong in solutions]
    best = random_baseline(truth, steps)
    if best.erroneous and best.correct:
        chances = [1 / count for count, wrong in solutions if wrong]
        named = (1 - p) * sum(chances) / len(chances)
        assert best.f1 >= 2 * named * p / (named + p) - 1e-12


def test_the_random_baseline_is_what_its_guesses_score() -> None:
    rng = random.Random(0)
    truth, steps = [rng.randrange(-1, 4) for _ in range(20_000)], [4] * 20_000
    p = 0.5 / 1.5  # √(1/4) / (1 + √(1/4))
    guesses = [-1 if rng.random() < p else rng.randrange(4) for _ in truth]
    assert random_baseline(truth, steps).f1 == pytest.approx(first_error_score(guesses, truth).f1, abs=0.01)


def test_the_best_threshold_separates_what_can_be_separated() -> None:
    scores = [[0.9, 0.8], [0.85, 0.7], [0.9, 0.6], [0.55, 0.9]]
    threshold = best_threshold(scores, [-1, -1, 1, 0])
    assert threshold == pytest.approx(0.65)
    assert first_error_score([first_error(row, threshold) for row in scores], [-1, -1, 1, 0]).f1 == 1


def test_a_threshold_needs_both_kinds_of_solutions() -> None:
    with pytest.raises(DataError, match="erroneous and correct"):
        best_threshold([[0.9]], [-1])


def test_predictions_and_truth_must_be_of_the_same_solutions() -> None:
    with pytest.raises(DataError, match="1 predictions for 2"):
        first_error_score([1], [1, 2])
