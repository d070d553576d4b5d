"""From what is known of each reasoning step to a label that a process reward model learns.

A label is the probability that the step is right, 0 to 1, or None where nothing is known: such a step is left out of
the loss. Steps are counted from 0.

    Monte-Carlo outcomes   [1 1 0 1] [0 1 0 0] [0 0 0 0]     completions from each step's prefix that end right
    hard                      1         1         0          can the answer still be reached?
    soft                     .75       .25        0          how often is it reached?
"""

from collections.abc import Sequence
from typing import Literal

from r1ray.errors import DataError

Label = float | None
"""Probability that a step is right; None = unlabelled."""
Kind = Literal["hard", "soft"]
HALF = 0.5
"""Labels of at least this say `right`."""


def monte_carlo_label(right: int, samples: int, kind: Kind) -> float:
    """Math-Shepherd's label of a step from whose prefix `right` of `samples` completions reached the right answer.

    `hard`: 1 if any did (arXiv 2312.08935 equation 3); `soft`: their share (equation 4).

    Raises:
        DataError: counts that cannot be.
    """
    if not 0 <= right <= samples or samples < 1:
        raise DataError(f"{right} right completions of {samples}: expected 0 <= right <= samples and at least one.")
    return float(right > 0) if kind == "hard" else right / samples


def prm800k_ratings(ratings: Sequence[int | None]) -> list[int | None]:
    """PRM800K's ratings −1, 0, +1 as they are trained on: up to and including the first −1 (arXiv 2305.20050 section
    2.6). What follows becomes None; a rating that is None in the file stays None.

    Raises:
        DataError: another rating. `True` is none either: as an int it would pass for +1.
    """
    kept: list[int | None] = []
    for rating in ratings:
        if rating is not None and (isinstance(rating, bool) or rating not in (-1, 0, 1)):
            raise DataError(f"A step is rated {rating!r}; PRM800K rates -1, 0 or 1, or null where nobody did.")
        kept.append(None if -1 in kept else rating)
    return kept


def rating_labels(ratings: Sequence[int | None], *, neutral_is_right: bool = True) -> list[Label]:
    """Two-way labels of three-way ratings. Neutral counts as right when scoring (arXiv 2305.20050 appendix F.2)."""
    return [None if rating is None else float(rating >= (0 if neutral_is_right else 1)) for rating in ratings]


def first_error_labels(first_error: int, steps: int) -> list[Label]:
    """1 before the first error, 0 at it, None after it, where right and wrong mean little. −1 = no error: all 1.

    Raises:
        DataError: the error lies outside the solution.
    """
    if not -1 <= first_error < steps:
        raise DataError(f"The first error is step {first_error} of {steps} steps; expected 0 … {steps - 1}, or -1.")
    if first_error < 0:
        return [1.0] * steps
    return [1.0] * first_error + [0.0] + [None] * (steps - first_error - 1)


def first_error_of(labels: Sequence[Label]) -> int | None:
    """The first step that is labelled wrong; −1 where all are right; None where an unlabelled step leaves it open."""
    for index, label in enumerate(labels):
        if label is None:
            return None
        if label < HALF:
            return index
    return -1


def consensus(monte_carlo: Sequence[Label], rule: Sequence[bool | None]) -> list[Label]:
    """Monte-Carlo labels where no rule contradicts them; None where one does.

    Monte-Carlo labels say whether a step's *prefix* still leads to the answer, not whether the step is right: a policy
    recovers from errors, and fails after right steps. Keeping what two judges agree on is what Qwen's study found to
    mend it (arXiv 2501.07301 section 3.1.3). A rule that cannot decide (None) contradicts nothing.
    """
    return [
        None if label is not None and verdict is not None and (label >= HALF) != verdict else label
        for label, verdict in zip(monte_carlo, rule, strict=True)
    ]


def prefer_rule(monte_carlo: Sequence[Label], rule: Sequence[bool | None]) -> list[Label]:
    """The rule's label wherever it can decide, the Monte-Carlo label elsewhere."""
    return [label if verdict is None else float(verdict) for label, verdict in zip(monte_carlo, rule, strict=True)]


def until_first_error(labels: Sequence[Label]) -> list[Label]:
    """Everything after the first step that is labelled wrong becomes None."""
    wrong = next((index for index, label in enumerate(labels) if label is not None and label < HALF), len(labels))
    return [label if index <= wrong else None for index, label in enumerate(labels)]
