"""Intervals and tests against hand-worked numbers, scipy, and their own promises."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from r1ray.errors import DataError
from r1ray.statistics import mcnemar, paired_test, pass_at_k, pass_at_k_mean, pooled, wilson


def test_wilson_of_8_in_10_by_hand() -> None:
    # z = 1.959964, z² = 3.841459: centre (0.8 + 0.192073) / 1.384146 = 0.716740
    # half = 1.959964 / 1.384146 * sqrt(0.016 + 0.009604) = 1.416009 * 0.160012 = 0.226578
    interval = wilson(8, 10)
    assert (interval.low, interval.high) == pytest.approx((0.490162, 0.943318), abs=2e-6)


@settings(deadline=None)
@given(st.integers(1, 500), st.data())
def test_wilson_agrees_with_scipy_and_contains_what_was_observed(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    interval = wilson(successes, trials)
    expected = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert successes / trials in interval
    assert 0 <= interval.low <= interval.high <= 1


@pytest.mark.parametrize("share", [0.05, 0.35, 0.5, 0.9])
def test_wilson_covers_the_truth_about_95_times_in_100(share: float) -> None:
    # The exact coverage at n = 400, summed over the binomial distribution; Wilson's oscillates within a point of its
    # level.
    counts = np.arange(401)
    covered = np.array([share in wilson(int(count), 400) for count in counts])
    coverage = float((stats.binom.pmf(counts, 400, share) * covered).sum())
    assert 0.94 <= coverage <= 0.96


def test_wilson_of_nothing_knows_nothing() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0, 1)


def test_wilson_refuses_more_successes_than_trials() -> None:
    with pytest.raises(DataError, match="5 successes of 4"):
        wilson(5, 4)


def test_pass_at_k_by_hand() -> None:
    # 10 samples, 3 right, k = 2: 1 - C(7,2)/C(10,2) = 1 - 21/45 = 24/45
    assert pass_at_k(10, 3, 2) == pytest.approx(24 / 45)
    assert pass_at_k(10, 3, 1) == pytest.approx(0.3)
    assert pass_at_k(10, 0, 5) == 0
    assert pass_at_k(10, 6, 5) == 1  # any five of ten hold at least one of the six


@settings(deadline=None)
@given(st.integers(1, 12), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(samples: int, data: st.DataObject) -> None:
    import itertools

    correct, k = data.draw(st.integers(0, samples)), data.draw(st.integers(1, samples))
    subsets = list(itertools.combinations(range(samples), k))
    assert pass_at_k(samples, correct, k) == pytest.approx(
        sum(min(subset) < correct for subset in subsets) / len(subsets)
    )


def test_pass_at_k_is_unbiased() -> None:
    # With a true chance of 0.3 a sample, pass@4 is 1 - 0.7**4 = 0.7599: the estimate's exact expectation over 10
    # samples.
    chance = stats.binom.pmf(np.arange(11), 10, 0.3)
    assert sum(p * pass_at_k(10, c, 4) for c, p in enumerate(chance)) == pytest.approx(1 - 0.7**4)


def test_pass_at_k_mean_gives_an_interval_around_the_mean() -> None:
    value, interval = pass_at_k_mean([0, 1, 2, 4, 4, 3, 0, 2], samples=4, k=1)
    assert value == pytest.approx(16 / 32)
    assert value in interval
    # Bootstrap over 8 problems against its normal approximation: mean ± 1.96 * sd / sqrt(8), within a few points.
    half = 1.96 * np.std(np.array([0, 1, 2, 4, 4, 3, 0, 2]) / 4) / math.sqrt(8)
    assert (interval.low, interval.high) == pytest.approx((0.5 - half, 0.5 + half), abs=0.04)


def test_pass_at_k_of_equal_problems_has_no_spread_and_is_repeatable() -> None:
    value, interval = pass_at_k_mean([2, 2, 2], samples=4, k=2)
    assert interval.low == interval.high == pytest.approx(value)
    assert pass_at_k_mean([0, 1, 3], 4, 2, seed=5) == pass_at_k_mean([0, 1, 3], 4, 2, seed=5)


@pytest.mark.parametrize(("samples", "correct", "k"), [(4, 5, 1), (4, 1, 5), (4, 1, 0), (4, -1, 1)])
def test_pass_at_k_refuses_impossible_counts(samples: int, correct: int, k: int) -> None:
    with pytest.raises(DataError):
        pass_at_k(samples, correct, k)


def test_mcnemar_by_hand() -> None:
    # 8 gained, 2 lost: p = 2 * (C(10,0) + C(10,1) + C(10,2)) / 2**10 = 2 * 56 / 1024 = 0.109375; difference (8 - 2) /
    # 20
    before = [True] * 7 + [True] * 2 + [False] * 8 + [False] * 3
    after = [True] * 7 + [False] * 2 + [True] * 8 + [False] * 3
    test = mcnemar(before, after)
    assert (test.gained, test.lost, test.problems) == (8, 2, 20)
    assert test.p_value == pytest.approx(0.109375)
    assert test.difference == pytest.approx(0.3)
    # Bonett and Price: 9/22 - 3/22 = 0.272727 ± 1.959964 * sqrt((12/22 - (6/22)²) / 22) = ± 0.286802
    assert (test.interval.low, test.interval.high) == pytest.approx((-0.014074, 0.559529), abs=2e-6)


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs(gained: int, lost: int) -> None:
    test = paired_test(gained=gained, lost=lost, problems=1000)
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert test.p_value == pytest.approx(expected, rel=1e-9)
    assert test.difference in test.interval


def test_mcnemar_is_symmetric_and_sure_of_nothing_without_discordant_pairs() -> None:
    there, back = paired_test(gained=12, lost=3, problems=50), paired_test(gained=3, lost=12, problems=50)
    assert there.p_value == back.p_value
    assert there.difference == -back.difference
    assert (there.interval.low, there.interval.high) == pytest.approx((-back.interval.high, -back.interval.low))
    assert mcnemar([True, False], [True, False]).p_value == 1


def test_mcnemar_holds_with_thousands_of_discordant_pairs() -> None:
    assert paired_test(gained=3000, lost=100, problems=5000).p_value == 0.0  # below the smallest float, not an overflow


def test_the_interval_of_a_difference_covers_the_truth_about_95_times_in_100() -> None:
    # Exact coverage over the trinomial distribution: 60 problems, 25 % gained, 10 % lost.
    size, up, down = 60, 0.25, 0.10
    pairs = [(gained, lost) for gained in range(size + 1) for lost in range(size + 1 - gained)]
    chances = stats.multinomial.pmf([(g, k, size - g - k) for g, k in pairs], size, [up, down, 1 - up - down])
    covered = [(up - down) in paired_test(gained=g, lost=k, problems=size).interval for g, k in pairs]
    coverage = float(np.sum(chances * covered))
    assert 0.935 <= coverage <= 0.975


def test_pooling_sums_discordant_pairs() -> None:
    seeds = [paired_test(gained=30, lost=10, problems=400), paired_test(gained=25, lost=12, problems=400)]
    both = pooled(seeds)
    assert (both.gained, both.lost, both.problems) == (55, 22, 800)
    assert both.p_value == pytest.approx(stats.binomtest(55, 77).pvalue)
    assert both.p_value < min(seed.p_value for seed in seeds)


def test_answers_to_different_numbers_of_problems_are_not_paired() -> None:
    with pytest.raises(DataError, match="2 and 1 answers"):
        mcnemar([True, False], [True])
