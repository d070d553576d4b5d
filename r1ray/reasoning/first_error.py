"""Does a process reward model find the first wrong step? ProcessBench's measure and what guessing would score.

Steps are counted from 0, and −1 says that there is no error (arXiv 2412.06559 section 2).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from r1ray.errors import DataError

NO_ERROR = -1
_CANDIDATES = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstErrorScore:
    """How often the first error is found, and how often none is found where there is none."""

    accuracy_erroneous: float
    """Share of erroneous solutions whose first wrong step is named exactly; nan where there are none."""
    accuracy_correct: float
    """Share of correct solutions in which no error is seen; nan where there are none."""
    erroneous: int
    correct: int

    @property
    def f1(self) -> float:
        """Harmonic mean of both accuracies (arXiv 2412.06559 section 3.1): 0 for whoever always says the same."""
        total = self.accuracy_erroneous + self.accuracy_correct
        return 2 * self.accuracy_erroneous * self.accuracy_correct / total if total else 0.0

    @property
    def accuracy(self) -> float:
        """Share of all solutions that are judged exactly right."""
        parts = ((self.accuracy_erroneous, self.erroneous), (self.accuracy_correct, self.correct))
        total = self.erroneous + self.correct
        return sum(share * count for share, count in parts if count) / total if total else math.nan


def first_error(step_scores: Sequence[float], threshold: float = 0.5) -> int:
    """The first step whose probability of being right is below `threshold`, or −1."""
    return next((index for index, score in enumerate(step_scores) if score < threshold), NO_ERROR)


def first_error_score(predicted: Sequence[int], truth: Sequence[int]) -> FirstErrorScore:
    """Compare predicted with true first errors of the same solutions, in the same order."""
    if len(predicted) != len(truth):
        raise DataError(f"{len(predicted)} predictions for {len(truth)} solutions; expected one each.")
    hits = [guess == true for guess, true in zip(predicted, truth, strict=True)]
    erroneous = [hit for hit, true in zip(hits, truth, strict=True) if true != NO_ERROR]
    correct = [hit for hit, true in zip(hits, truth, strict=True) if true == NO_ERROR]
    return FirstErrorScore(
        accuracy_erroneous=_share(erroneous),
        accuracy_correct=_share(correct),
        erroneous=len(erroneous),
        correct=len(correct),
    )


def best_threshold(step_scores: Sequence[Sequence[float]], truth: Sequence[int]) -> float:
    """The threshold with the highest F1, of 0.5 and the points halfway between scores that occur (at most 256 of them,
    evenly spread by rank); of equals the one nearest to 0.5.

    Choose it on other problems than it is reported on.

    Raises:
        DataError: no solution has a step, or one of both kinds of solution is missing.
    """
    values = sorted({score for scores in step_scores for score in scores})
    if not values or NO_ERROR not in truth or all(true == NO_ERROR for true in truth):
        raise DataError("A threshold needs erroneous and correct solutions, with steps: give more solutions.")
    halfway = [(low + high) / 2 for low, high in pairwise(values)]
    candidates = [0.5, *halfway[:: len(halfway) // _CANDIDATES + 1]]

    def worth(threshold: float) -> tuple[float, float]:
        predicted = [first_error(scores, threshold) for scores in step_scores]
        return first_error_score(predicted, truth).f1, -abs(threshold - 0.5)

    return max(candidates, key=worth)


def majority_baseline(truth: Sequence[int]) -> FirstErrorScore:
    """Always give the answer that is most frequent in `truth` (the smallest of equals). Its F1 is 0 by construction;
    what it is good for is `accuracy`."""
    if not truth:
        raise DataError("Majority of no solutions: give at least one.")
    counts = Counter(truth)
    guess = min(counts, key=lambda answer: (-counts[answer], answer))
    return first_error_score([guess] * len(truth), truth)


def random_baseline(truth: Sequence[int], steps: Sequence[int]) -> FirstErrorScore:
    """Expected score of the best guesser that reads nothing but the number of steps.

    It says `no error` with probability p, else names a step at random: accuracies p and (1 − p) m, with m the mean of
    1 / steps over erroneous solutions. F1 is highest at p = √m / (1 + √m), and that p is taken: a model must beat
    guessing at its best, not a fair coin.
    """
    chances = [1 / count for true, count in zip(truth, steps, strict=True) if true != NO_ERROR]
    mean = sum(chances) / len(chances) if chances else 1.0
    p = math.sqrt(mean) / (1 + math.sqrt(mean))
    correct = len(truth) - len(chances)
    return FirstErrorScore(
        accuracy_erroneous=(1 - p) * mean if chances else math.nan,
        accuracy_correct=p if correct else math.nan,
        erroneous=len(chances),
        correct=correct,
    )


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits) if hits else math.nan
