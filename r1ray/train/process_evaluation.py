"""What a process reward model is worth on problems that it never saw: first errors, calibration, best-of-N.

Truth is the step checker's or a person's, never a Monte-Carlo label: those say whether the policy would still get
there, and a model that repeats the policy's hopes would look perfect (arXiv 2501.07301 section 3.1.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from r1ray.calibration import ReliabilityBin, brier_score, expected_calibration_error, reliability_bins
from r1ray.config.reward_model import ProcessConfig
from r1ray.errors import DataError
from r1ray.reasoning.answers import extract_answer, normalise
from r1ray.reasoning.best_of_n import Aggregate, BestOfN, Candidate, best_of_n, solution_score
from r1ray.reasoning.first_error import (
    NO_ERROR,
    FirstErrorScore,
    best_threshold,
    first_error,
    first_error_score,
    majority_baseline,
    random_baseline,
)
from r1ray.train.attempts import Attempt

HALF = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One solution with a known first error, and what the model says of its steps."""

    scores: Sequence[float]
    first_error: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessResult:
    """The examination of one process reward model."""

    threshold: float
    model: FirstErrorScore
    majority: FirstErrorScore
    random: FirstErrorScore
    solutions: int
    undecided: int
    """Solutions whose truth is not known; they count for best-of-N alone."""
    calibration_error: float
    brier: float
    base_rate: float
    """Share of judged steps that are right: what the calibration error of a constant would hide."""
    reliability: list[ReliabilityBin]
    best_of: BestOfN | None

    def figures(self) -> dict[str, float]:
        """Flat, for the summary and the report."""
        found = {
            "first_error_f1": self.model.f1,
            "first_error_accuracy": self.model.accuracy,
            "accuracy_on_erroneous": self.model.accuracy_erroneous,
            "accuracy_on_correct": self.model.accuracy_correct,
            "majority_f1": self.majority.f1,
            "majority_accuracy": self.majority.accuracy,
            "random_f1": self.random.f1,
            "random_accuracy": self.random.accuracy,
            "solutions": self.solutions,
            "erroneous": self.model.erroneous,
            "undecided": self.undecided,
            "threshold": self.threshold,
            "step_ece": self.calibration_error,
            "step_brier": self.brier,
            "steps_right": self.base_rate,
        }
        if self.best_of is not None:
            found |= {
                "best_of_n": self.best_of.chosen,
                "best_of_n_majority_vote": self.best_of.majority,
                "best_of_n_weighted_vote": self.best_of.weighted,
                "best_of_n_random": self.best_of.first,
                "best_of_n_oracle": self.best_of.oracle,
            }
        return found

    @property
    def baseline(self) -> float:
        """F1 of the better of both baselines."""
        return max(self.majority.f1, self.random.f1)


def choose_threshold(judged: Sequence[Judged], config: ProcessConfig) -> float:
    """The configured threshold, or the one with the highest F1 on these (validation) solutions; one half where they
    cannot tell."""
    if config.threshold:
        return config.threshold
    try:
        return best_threshold([one.scores for one in judged], [one.first_error for one in judged])
    except DataError:
        return HALF


def examine(
    judged: Sequence[Judged],
    threshold: float,
    *,
    bins: int,
    undecided: int = 0,
    groups: Sequence[Sequence[Candidate]] = (),
) -> ProcessResult:
    """Examine on held-out solutions.

    Args:
        judged: solutions whose first error is known.
        threshold: from other problems (`choose_threshold`).
        bins: of the reliability plot.
        undecided: how many had to be left out.
        groups: the scored samples of each problem, for best-of-N; empty = not measured.

    Raises:
        DataError: there is no solution.
    """
    if not judged:
        raise DataError(
            f"No held-out solution can be judged ({undecided} have steps whose truth is not known). Give more problems "
            "or files with judged steps."
        )
    truth = [one.first_error for one in judged]
    probabilities, outcomes = judged_steps(judged)
    return ProcessResult(
        threshold=threshold,
        model=first_error_score([first_error(one.scores, threshold) for one in judged], truth),
        majority=majority_baseline(truth),
        random=random_baseline(truth, [len(one.scores) for one in judged]),
        solutions=len(judged),
        undecided=undecided,
        calibration_error=expected_calibration_error(probabilities, outcomes, bins),
        brier=brier_score(probabilities, outcomes),
        base_rate=sum(outcomes) / len(outcomes) if outcomes else float("nan"),
        reliability=reliability_bins(probabilities, outcomes, bins),
        best_of=best_of_n(groups) if groups else None,
    )


def judged_steps(judged: Sequence[Judged]) -> tuple[list[float], list[bool]]:
    """Probability and truth of every step up to the first error: right before it, wrong at it, unknown after it."""
    probabilities: list[float] = []
    outcomes: list[bool] = []
    for one in judged:
        known = len(one.scores) if one.first_error == NO_ERROR else one.first_error + 1
        probabilities += one.scores[:known]
        outcomes += [index != one.first_error for index in range(known)]
    return probabilities, outcomes


def judge_attempts(attempts: Sequence[Attempt], scores: Sequence[Sequence[float]]) -> tuple[list[Judged], int]:
    """Attempts with a known first error, and how many have none."""
    known = [
        Judged(scores=steps, first_error=attempt.first_error)
        for attempt, steps in zip(attempts, scores, strict=True)
        if attempt.first_error is not None and attempt.steps
    ]
    return known, len(attempts) - len(known)


def candidate_groups(
    attempts: Sequence[Attempt], scores: Sequence[Sequence[float]], count: int, aggregate: Aggregate
) -> list[list[Candidate]]:
    """The first `count` attempts at each problem as candidates of best-of-N; none for a count of 0."""
    groups: dict[str, list[Candidate]] = {}
    for attempt, steps in zip(attempts, scores, strict=True):
        group = groups.setdefault(attempt.rollout.problem.id, [])
        if len(group) < count:
            answer = extract_answer(attempt.rollout.completion.text)
            group.append(
                Candidate(
                    answer=None if answer is None else normalise(answer),
                    correct=attempt.scored.correct,
                    score=solution_score(steps, aggregate),
                )
            )
    return [group for group in groups.values() if group]


def table(result: ProcessResult) -> list[Mapping[str, Any]]:
    """First-error figures of the model beside what guessing would score."""
    rows = (
        ("model", result.model),
        ("always the most frequent answer", result.majority),
        ("best guess", result.random),
    )
    return [
        {
            "": name,
            "F1": score.f1,
            "on erroneous": score.accuracy_erroneous,
            "on correct": score.accuracy_correct,
            "all": score.accuracy,
        }
        for name, score in rows
    ]
