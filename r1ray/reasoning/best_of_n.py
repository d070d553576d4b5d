"""Choose one of several solutions to a problem by their scores, and measure what the choice is worth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from r1ray.errors import DataError

Aggregate = Literal["min", "prod", "mean", "last"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BestOfN:
    """Accuracies over the same problems and samples."""

    chosen: float
    """Of the solution that scores best."""
    majority: float
    """Of the answer that most samples give (self-consistency, arXiv 2203.11171)."""
    weighted: float
    """Of the answer whose samples' scores sum highest."""
    first: float
    """Of a sample at random: the mean over all samples (pass@1)."""
    oracle: float
    """Share of problems that any sample solves (pass@N): no choice can do better."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One solution, as best-of-N sees it."""

    answer: str | None
    """Final answer in normal form; None = it gives none."""
    correct: bool
    score: float


def solution_score(step_scores: Sequence[float], aggregate: Aggregate = "min") -> float:
    """One score from those of the steps: the weakest (Math-Shepherd, arXiv 2312.08935 section 3.4), their product
    (arXiv 2305.20050 section 2.6), their mean or the last. A solution without steps scores 0, the worst."""
    if not step_scores:
        return 0.0
    if aggregate == "min":
        return min(step_scores)
    if aggregate == "prod":
        return math.prod(step_scores)
    if aggregate == "mean":
        return sum(step_scores) / len(step_scores)
    if aggregate == "last":
        return step_scores[-1]
    raise DataError(f"aggregate is {aggregate!r}; expected min, prod, mean or last.")


def best_of(scores: Sequence[float]) -> int:
    """Index of the highest score, the first of equals; nan never wins over a number."""
    if not scores:
        raise DataError("Best of no solutions: give at least one score.")
    return max(range(len(scores)), key=lambda index: (not math.isnan(scores[index]), scores[index], -index))


def vote(candidates: Sequence[Candidate], *, weighted: bool = False) -> Candidate | None:
    """A solution with the answer that has most votes (or the highest sum of scores); the earliest of equals. None if no
    candidate gives an answer."""
    votes: dict[str, float] = {}
    for candidate in candidates:
        if candidate.answer is not None:
            votes[candidate.answer] = votes.get(candidate.answer, 0.0) + (candidate.score if weighted else 1.0)
    if not votes:
        return None
    winner = max(votes, key=lambda answer: votes[answer])  # the first of equals: dicts keep their order
    return next(candidate for candidate in candidates if candidate.answer == winner)


def best_of_n(groups: Sequence[Sequence[Candidate]]) -> BestOfN:
    """Measure over problems; each group holds the N samples of one problem.

    Raises:
        DataError: no problem, or one without samples.
    """
    if not groups or not all(groups):
        raise DataError("Best-of-N needs problems, and at least one sample of each.")
    count = len(groups)
    chosen = [group[best_of([candidate.score for candidate in group])].correct for group in groups]
    majority = [(winner := vote(group)) is not None and winner.correct for group in groups]
    weighted = [(winner := vote(group, weighted=True)) is not None and winner.correct for group in groups]
    return BestOfN(
        chosen=sum(chosen) / count,
        majority=sum(majority) / count,
        weighted=sum(weighted) / count,
        first=sum(sum(candidate.correct for candidate in group) / len(group) for group in groups) / count,
        oracle=sum(any(candidate.correct for candidate in group) for group in groups) / count,
    )
