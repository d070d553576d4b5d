"""How sure an accuracy is: intervals, pass@k and paired tests, as pure functions of counts and booleans."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from r1ray.errors import DataError


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedTest:
    """Two models on the same problems: who got right what the other got wrong."""

    problems: int
    gained: int
    """Wrong before, right after."""
    lost: int
    """Right before, wrong after."""
    p_value: float
    """Two-sided exact McNemar test."""
    difference: float
    """Accuracy after minus accuracy before."""
    interval: Interval
    """Of the difference."""


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927, JASA 22:209). No trials: [0, 1]."""
    if not 0 <= successes <= trials:
        raise DataError(f"{successes} successes of {trials} trials: expected 0 <= successes <= trials.")
    if trials == 0:
        return Interval(0.0, 1.0)
    z = _quantile(confidence)
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # The formula gives exactly 0 and 1 at the ends; rounding must not leave the observed share outside.
    return Interval(0.0 if successes == 0 else centre - half, 1.0 if successes == trials else centre + half)


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Unbiased estimate that at least one of `k` samples is right, of `samples` drawn with `correct` right ones:
    1 - C(n-c, k) / C(n, k) (Chen et al. 2021, arXiv 2107.03374, section 2.1).
    """
    if not (1 <= k <= samples and 0 <= correct <= samples):
        raise DataError(
            f"pass@{k} of {samples} samples with {correct} right: expected 1 <= k <= samples and "
            "0 <= correct <= samples."
        )
    return 1.0 - math.comb(samples - correct, k) / math.comb(samples, k)


def pass_at_k_mean(
    correct: Sequence[int], samples: int, k: int, seed: int = 0, resamples: int = 2000
) -> tuple[float, Interval]:
    """Mean pass@k over problems (`correct[i]` right of `samples`) and its 95 % percentile bootstrap interval over
    problems."""
    if not correct:
        raise DataError("pass@k of no problems: give at least one.")
    values = np.array([pass_at_k(samples, right, k) for right in correct])
    draws = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return float(values.mean()), Interval(float(low), float(high))


def mcnemar(before: Sequence[bool], after: Sequence[bool]) -> PairedTest:
    """Exact McNemar test and difference of two models' answers to the same problems, in the same order.

    The p-value is the two-sided binomial test of the discordant pairs against one half (McNemar 1947, Psychometrika
    12:153). The interval is Bonett and Price's adjusted Wald (2012, J. Educ. Behav. Stat. 37:479), which holds its
    level at small counts.
    """
    if len(before) != len(after):
        raise DataError(
            f"Paired test of {len(before)} and {len(after)} answers: expected the same problems in the same order."
        )
    gained = sum(not x and y for x, y in zip(before, after, strict=True))
    lost = sum(x and not y for x, y in zip(before, after, strict=True))
    return paired_test(gained=gained, lost=lost, problems=len(before))


def pooled(tests: Sequence[PairedTest]) -> PairedTest:
    """One test over several seeds: their discordant pairs are summed.

    Sound where the seeds' held-out problems are drawn apart, or where "these problems" is all that the claim is about;
    the same problem examined in several seeds counts once for each.
    """
    if not tests:
        raise DataError("Pooling needs at least one paired test.")
    return paired_test(
        gained=sum(test.gained for test in tests),
        lost=sum(test.lost for test in tests),
        problems=sum(test.problems for test in tests),
    )


def paired_test(*, gained: int, lost: int, problems: int, confidence: float = 0.95) -> PairedTest:
    """`mcnemar` from the counts alone."""
    if not (gained >= 0 and lost >= 0 and gained + lost <= problems and problems > 0):
        raise DataError(
            f"{gained} gained and {lost} lost of {problems} problems: expected counts of at least one problem."
        )
    discordant, fewer = gained + lost, min(gained, lost)
    tail = sum(math.comb(discordant, i) for i in range(fewer + 1))
    # Both sides are integers of any size: Python divides them exactly, with no overflow and no underflow to worry
    # about.
    p_value = min(1.0, 2 * tail / 2**discordant)
    up, down, size = (gained + 1) / (problems + 2), (lost + 1) / (problems + 2), problems + 2
    half = _quantile(confidence) * math.sqrt((up + down - (up - down) ** 2) / size)
    return PairedTest(
        problems=problems,
        gained=gained,
        lost=lost,
        p_value=p_value,
        difference=(gained - lost) / problems,
        interval=Interval(max(-1.0, up - down - half), min(1.0, up - down + half)),
    )


def _quantile(confidence: float) -> float:
    """Two-sided standard normal quantile: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)
