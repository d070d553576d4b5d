"""Calibration by hand and on predictions whose truth is known."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.calibration import brier_score, expected_calibration_error, reliability_bins
from r1ray.errors import DataError

PREDICTIONS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def test_the_error_by_hand() -> None:
    # Bin (0.5, 1]: 0.8, 0.8, 0.8, 0.8 of which 2 came true: |0.5 − 0.8| · 4/5. Bin [0, 0.5]: 0.1, false: 0.1 · 1/5.
    stated, came_true = [0.8, 0.8, 0.8, 0.8, 0.1], [True, True, False, False, False]
    assert expected_calibration_error(stated, came_true, bins=2) == pytest.approx(0.3 * 4 / 5 + 0.1 / 5)


def test_predictions_that_hold_have_a_small_error_and_overconfident_ones_do_not() -> None:
    rng = random.Random(0)
    stated = [rng.random() for _ in range(5000)]
    came_true = [rng.random() < p for p in stated]
    assert expected_calibration_error(stated, came_true) < 0.03
    overconfident = [float(p > 0.5) for p in stated]
    assert expected_calibration_error(overconfident, came_true) > 0.2


@given(PREDICTIONS, st.integers(1, 20))
def test_every_prediction_is_in_one_bin_and_the_error_within_bounds(
    predictions: list[tuple[float, bool]], bins: int
) -> None:
    stated, came_true = zip(*predictions, strict=True)
    found = reliability_bins(stated, came_true, bins)
    assert sum(entry.count for entry in found) == len(predictions)
    for entry in found:
        if entry.count:
            assert entry.low - 1e-9 <= entry.confidence <= entry.high + 1e-9
    assert 0 <= expected_calibration_error(stated, came_true, bins) <= 1


def test_zero_and_one_have_their_bins() -> None:
    first, last = reliability_bins([0.0, 1.0], [False, True], bins=2)
    assert (first.count, last.count) == (1, 1)


def test_nothing_predicted_has_no_error() -> None:
    assert math.isnan(expected_calibration_error([], []))
    assert math.isnan(brier_score([], []))


def test_the_brier_score_by_hand() -> None:
    assert brier_score([0.5, 0.5], [True, False]) == 0.25
    assert brier_score([1.0, 0.2], [True, False]) == pytest.approx(0.02)


@pytest.mark.parametrize("stated", [[1.1], [-0.1], [float("nan")]])
def test_what_is_no_probability_is_refused(stated: list[float]) -> None:
    with pytest.raises(DataError, match="outside"):
        brier_score(stated, [True])


def test_lengths_must_agree() -> None:
    with pytest.raises(DataError, match="2 probabilities and 1 outcomes"):
        expected_calibration_error([0.1, 0.2], [True])
