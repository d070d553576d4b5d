"""Final answers graded at a deadline: exact arithmetic here, everything else in processes that can be killed.

Computer algebra on sampled text hangs and crashes sooner or later (`9^{9^{9^9}}` is enough). An answer that is not
graded in time costs its grader process its life and scores 0; a new process takes the next one, and the run goes on.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from r1ray.errors import DataError
from r1ray.reasoning.answers import extract_answer, settle
from r1ray.reasoning.grader_pool import GradeItem, GraderPool
from r1ray.reasoning.verifiers import MATH, REASONING_GYM
from r1ray.types import Problem

ENTRY_KEY = "reasoning_gym_entry"
"""Where a problem's metadata holds reasoning-gym's whole entry, as JSON."""
VERIFIER_KEY = "verifier"
"""Where it may name another verifier than the family's own."""
_RIGHT = 1 - 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class GradeReport:
    """Scores of one batch, and what went wrong on the way."""

    scores: list[float]
    """The verifier's score of each item, 0 to 1, in order; 0 where it gave none."""
    timeouts: int = 0
    """Items that were not graded before their own deadline or the batch's."""
    crashes: int = 0
    """Items whose verifier raised, or whose process died."""
    last_error: str = ""
    """Why the last of the crashes happened."""

    @property
    def correct(self) -> list[bool]:
        """Whether each answer is fully right. A verifier's partial marks are not a right answer."""
        return [score >= _RIGHT for score in self.scores]


def verifier_for(problem: Problem) -> str:
    """What its metadata names if it names one, else the task's own for a `reasoning-gym/<task>` family, else `math`."""
    of_family = problem.family if problem.family.startswith(REASONING_GYM) else MATH
    return problem.metadata.get(VERIFIER_KEY) or of_family


def grade_item(problem: Problem, text: str) -> GradeItem:
    """The final answer of a completion's text, ready to be graded.

    Raises:
        DataError: a reasoning-gym problem lacks the entry that its verifier reads.
    """
    verifier = verifier_for(problem)
    reference = problem.answer
    if verifier.startswith(REASONING_GYM):
        if ENTRY_KEY not in problem.metadata:
            raise DataError(
                f"Problem {problem.id} of {verifier} has no metadata[{ENTRY_KEY!r}]; expected reasoning-gym's entry as "
                "JSON."
            )
        reference = problem.metadata[ENTRY_KEY]
    return GradeItem(reference, extract_answer(text), verifier)


class Grader:
    """Grades final answers; processes are started when the first answer needs one. Safe to call from any thread.

    Args:
        seconds: deadline of one answer, counted from when its verifier is loaded.
        batch_seconds: deadline of one `grade` call, counted from when its first answer is begun.
        processes: how many answers are graded side by side.
    """

    def __init__(self, *, seconds: float = 2.0, batch_seconds: float = 30.0, processes: int = 1) -> None:
        self._pool = GraderPool(seconds=seconds, batch_seconds=batch_seconds, processes=processes)
        self._lock = threading.Lock()

    def grade(self, items: Sequence[GradeItem | tuple[str, str | None, str]]) -> GradeReport:
        """Score a batch. Exact arithmetic settles plain numbers without a process; equal items are graded once.

        Raises:
            ConfigError: a verifier does not exist or its library is missing.
            WorkerError: a grader process cannot start.
        """
        scores = [0.0] * len(items)
        waiting: dict[GradeItem, list[int]] = {}
        for index, item in enumerate(GradeItem(*item) for item in items):
            if item.answer is None:
                continue
            settled = settle(item.reference, item.answer) if item.verifier == MATH else None
            if settled is None:
                waiting.setdefault(item, []).append(index)
            else:
                scores[index] = float(settled)
        if not waiting:
            return GradeReport(scores=scores)
        with self._lock:
            tally = self._pool.run(waiting)
        for item, score in tally.scores.items():
            for index in waiting[item]:
                scores[index] = score
        return GradeReport(
            scores=scores,
            timeouts=sum(len(waiting[item]) for item in tally.timeouts),
            crashes=sum(len(waiting[item]) for item in tally.crashes),
            last_error=tally.last_error,
        )

    def close(self) -> None:
        """End the processes. A later `grade` starts new ones."""
        with self._lock:
            self._pool.kill_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def is_correct(problems: Sequence[Problem], texts: Sequence[str], grader: Grader) -> list[bool]:
    """Whether each completion's final answer is right."""
    return grader.grade([grade_item(problem, text) for problem, text in zip(problems, texts, strict=True)]).correct
