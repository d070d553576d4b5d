"""Examinations of a policy on held-out problems along a run, each made once and kept in the run folder."""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from r1ray.config.evaluation import EvaluationConfig
from r1ray.config.reward import RewardConfig
from r1ray.config.run import RunConfig
from r1ray.evaluation import EvaluationResult, evaluate
from r1ray.generation.engine import GenerationEngine
from r1ray.reasoning.grading import Grader, is_correct
from r1ray.runs.files import write_json
from r1ray.statistics import PairedTest, mcnemar
from r1ray.types import Problem

EVALUATIONS = "evaluations.json"
TEXTS = 8
"""Answers kept of each evaluation, to look at."""


class Examined(Protocol):
    """What an examination needs of a job's configuration."""

    @property
    def run(self) -> RunConfig: ...

    @property
    def reward(self) -> RewardConfig: ...

    @property
    def evaluation(self) -> EvaluationConfig: ...


def evaluations(folder: Path) -> dict[str, Any]:
    """The evaluations kept in a run folder, by name: `base`, `cold_start`, `before`, `after`."""
    path = folder / EVALUATIONS
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return kept


def examine(
    engine: GenerationEngine,
    prompt: Callable[[Problem], list[int]],
    problems: Sequence[Problem],
    config: Examined,
    samples: int = 0,
) -> EvaluationResult:
    """Accuracy of the engine's present weights on `problems`; with pass@k where there are `samples` per problem."""
    reward = config.reward
    with Grader(seconds=reward.grader_seconds, batch_seconds=reward.batch_seconds) as grader:
        return evaluate(
            engine,
            prompt,
            problems,
            replace(config.evaluation, samples=samples),
            functools.partial(is_correct, grader=grader),
            seed=config.run.seed,
        )


def keep(folder: Path, name: str, result: EvaluationResult) -> None:
    """Write an evaluation down under `name`."""
    figures = {
        "policy_version": result.policy_version,
        "accuracy": result.accuracy,
        "interval": asdict(result.interval),
        "correct": result.correct,
        "problem_ids": result.problem_ids,
        "mean_tokens": result.mean_tokens,
        "truncated": result.truncated,
        "pass_at_k": {str(k): passed.value for k, passed in result.pass_at_k.items()},
        "texts": result.texts[:TEXTS],
    }
    write_json(folder / EVALUATIONS, evaluations(folder) | {name: figures})


def paired(first: dict[str, Any], second: dict[str, Any]) -> tuple[PairedTest, int]:
    """McNemar's test of two kept evaluations on the problems that both have, and how many these are."""
    before, after = (dict(zip(kept["problem_ids"], kept["correct"], strict=True)) for kept in (first, second))
    both = [problem for problem in after if problem in before]  # a resumed run may have been given more problems
    return mcnemar([before[problem] for problem in both], [after[problem] for problem in both]), len(both)
