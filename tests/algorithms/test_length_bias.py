"""Length bias that is put in is found, taken out again, and not seen where there is none."""

import math
import random

import pytest
import torch

from r1ray.algorithms.length_bias import fit_correction, length_offset, measure_length_bias
from r1ray.errors import DataError


def test_the_slope_is_that_of_length_and_not_of_quality() -> None:
    """Chosen answers are better by 2 and longer by 30 on average; length itself is worth 0.01 a token."""
    rng = random.Random(0)
    chosen_lengths = [rng.randrange(60, 200) for _ in range(200)]
    rejected_lengths = [rng.randrange(30, 170) for _ in range(200)]
    chosen = [2 + 0.01 * length for length in chosen_lengths]
    rejected = [0.01 * length for length in rejected_lengths]
    correct = fit_correction(chosen, rejected, chosen_lengths, rejected_lengths)
    assert correct.slope == pytest.approx(0.01)
    assert correct(chosen[0], chosen_lengths[0]) - correct(rejected[0], rejected_lengths[0]) == pytest.approx(2)


def test_after_the_correction_scores_and_lengths_are_uncorrelated() -> None:
    rng = random.Random(1)
    long, short = ([rng.randrange(1, 100) for _ in range(50)] for _ in range(2))
    chosen, rejected = ([rng.gauss(0.05 * length, 1) for length in side] for side in (long, short))
    correct = fit_correction(chosen, rejected, long, short)
    assert measure_length_bias(chosen, rejected, long, short).correlation > 0.5
    chosen, rejected = (
        [correct(score, length) for score, length in zip(scores, lengths, strict=True)]
        for scores, lengths in ((chosen, long), (rejected, short))
    )
    assert measure_length_bias(chosen, rejected, long, short).correlation == pytest.approx(0, abs=1e-9)


def test_accuracy_is_told_apart_by_which_answer_is_longer() -> None:
    # Scores are lengths: right where the chosen one is longer (2 of 4), wrong where shorter (1 of 4), one is equal.
    bias = measure_length_bias([9, 8, 1, 5], [1, 2, 7, 5], [9, 8, 1, 5], [1, 2, 7, 5])
    assert (bias.accuracy_longer, bias.accuracy_shorter, bias.chosen_longer) == (1.0, 0.0, 0.5)
    assert bias.correlation == pytest.approx(1)


def test_equal_lengths_have_no_slope_and_no_correlation() -> None:
    assert fit_correction([1.0, 2.0], [0.0, 0.0], [5, 5], [5, 5]).slope == 0
    assert math.isnan(measure_length_bias([1.0, 2.0], [0.0, 0.0], [5, 5], [5, 5]).correlation)


def test_no_pairs_is_an_error() -> None:
    with pytest.raises(DataError, match="at least one"):
        fit_correction([], [], [], [])


def test_the_length_term_is_odd_and_bounded() -> None:
    long, short = torch.tensor([300.0]), torch.tensor([100.0])
    assert length_offset(long, short, 100.0).item() == pytest.approx(math.tanh(2))
    assert length_offset(short, long, 100.0).item() == pytest.approx(-math.tanh(2))
