"""Figures of a preference reward model by hand, and that its length bias is seen and taken off."""

import math

import pytest

from r1ray.algorithms.length_bias import LengthCorrection
from r1ray.data.preferences import EncodedPair
from r1ray.errors import DataError
from r1ray.train.preference_evaluation import examine_pairs


def pair(chosen: int, rejected: int) -> EncodedPair:
    """A pair of answers of these lengths."""
    return EncodedPair(
        prompt_ids=[1], chosen_ids=[2] * chosen, rejected_ids=[3] * rejected, strength=0.0, group=f"{chosen}/{rejected}"
    )


PAIRS = [pair(4, 2), pair(6, 1), pair(2, 5), pair(3, 3)]


def test_accuracy_calibration_and_baseline_by_hand() -> None:
    result = examine_pairs(PAIRS, [1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], bins=10)
    assert result.accuracy == pytest.approx((2 + 0.5) / 4)
    assert result.longer_accuracy == result.baseline == pytest.approx((2 + 0.5) / 4)
    # Three pairs are stated at σ(1), two of them right; the tie is stated at one half, and not right.
    stated = 1 / (1 + math.exp(-1))
    assert result.calibration_error == pytest.approx(0.75 * abs(stated - 2 / 3) + 0.25 * 0.5)


def test_a_score_that_is_length_alone_is_found_out_and_corrected() -> None:
    lengths = [(len(one.chosen_ids), len(one.rejected_ids)) for one in PAIRS]
    chosen, rejected = [float(a) for a, _ in lengths], [float(b) for _, b in lengths]
    biased = examine_pairs(PAIRS, chosen, rejected, bins=5)
    assert biased.bias.correlation == pytest.approx(1.0)
    assert (biased.bias.accuracy_longer, biased.bias.accuracy_shorter) == (1.0, 0.0)
    mended = examine_pairs(PAIRS, chosen, rejected, bins=5, correction=LengthCorrection(slope=1.0, centre=3.0))
    assert mended.mean_lead == 0.0 and math.isnan(mended.bias.correlation)


def test_huge_leads_are_certain_and_do_not_overflow() -> None:
    assert examine_pairs(PAIRS[:1], [1e6], [-1e6], bins=10).calibration_error == pytest.approx(0.0)


def test_no_pair_is_an_error() -> None:
    with pytest.raises(DataError, match="No held-out pair"):
        examine_pairs([], [], [], bins=10)
