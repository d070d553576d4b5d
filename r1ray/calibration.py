"""Whether stated probabilities are to be believed: reliability bins, expected calibration error, Brier score."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from r1ray.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class ReliabilityBin:
    """Predictions between two probabilities: one point of a reliability plot."""

    low: float
    high: float
    count: int
    confidence: float
    """Mean probability that was stated; nan where the bin is empty."""
    accuracy: float
    """Share of them that came true; nan where the bin is empty."""


def reliability_bins(probabilities: Sequence[float], outcomes: Sequence[bool], bins: int = 10) -> list[ReliabilityBin]:
    """Bins of equal width over [0, 1]: low < p <= high, and 0 in the first (Guo et al. 2017, arXiv 1706.04599 section
    2).

    Raises:
        DataError: lengths that differ, no bins, or a probability outside [0, 1].
    """
    stated, came_true = _checked(probabilities, outcomes)
    if bins < 1:
        raise DataError(f"{bins} reliability bins: expected at least 1.")
    edges = np.linspace(0.0, 1.0, bins + 1)
    index = np.clip(np.searchsorted(edges, stated, side="left") - 1, 0, bins - 1)
    found = []
    for number in range(bins):
        inside = index == number
        count = int(inside.sum())
        found.append(
            ReliabilityBin(
                low=float(edges[number]),
                high=float(edges[number + 1]),
                count=count,
                confidence=float(stated[inside].mean()) if count else math.nan,
                accuracy=float(came_true[inside].mean()) if count else math.nan,
            )
        )
    return found


def expected_calibration_error(probabilities: Sequence[float], outcomes: Sequence[bool], bins: int = 10) -> float:
    """Σ (count / n) |accuracy − confidence| over `reliability_bins` (arXiv 1706.04599 equation 3); nan for none.

    With few predictions a bin it is biased upwards: compare models on the same predictions' count.
    """
    filled = [entry for entry in reliability_bins(probabilities, outcomes, bins) if entry.count]
    total = sum(entry.count for entry in filled)
    if not total:
        return math.nan
    return sum(entry.count * abs(entry.accuracy - entry.confidence) for entry in filled) / total


def brier_score(probabilities: Sequence[float], outcomes: Sequence[bool]) -> float:
    """Mean squared distance of probability and outcome (Brier 1950): 0 is perfect, 0.25 is always saying one half; nan
    for none. Unlike the calibration error it cannot be had by stating the base rate."""
    stated, came_true = _checked(probabilities, outcomes)
    return float(((stated - came_true) ** 2).mean()) if len(stated) else math.nan


def _checked(probabilities: Sequence[float], outcomes: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    if len(probabilities) != len(outcomes):
        raise DataError(f"{len(probabilities)} probabilities and {len(outcomes)} outcomes; expected one of each.")
    stated = np.asarray(probabilities, dtype=float)
    if not ((stated >= 0) & (stated <= 1)).all():  # nan fails too
        raise DataError(f"A probability lies outside [0, 1]: {stated[~((stated >= 0) & (stated <= 1))][0]}.")
    return stated, np.asarray(outcomes, dtype=float)
