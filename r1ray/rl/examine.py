"""Examinations of the policy on held-out problems along a run, each made once and kept in the run folder."""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from r1ray.config.jobs import PPOJobConfig
from r1ray.evaluation import EvaluationResult, evaluate
from r1ray.generation.engine import GenerationEngine
from r1ray.reasoning.grading import Grader, is_correct
from r1ray.runs.files import write_json
from r1ray.statistics import mcnemar
from r1ray.types import Problem

EVALUATIONS = "evaluations.json"
TEXTS = 8
"""Answers kept of each evaluation, to look at."""


def evaluations(folder: Path) -> dict[str, Any]:
    """The evaluations kept in a run folder, by name: `base`, `cold_start`, `after`."""
    path = folder / EVALUATIONS
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return kept


def examine(
    engine: GenerationEngine,
    prompt: Callable[[Problem], list[int]],
    problems: Sequence[Problem],
    config: PPOJobConfig,
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


def summary(folder: Path) -> dict[str, Any]:
    """Headline figures of a run from its evaluations: three accuracies, and McNemar's p of the last two.

    Without a cold start the base model is where PPO starts from, and both have the same accuracy.
    """
    kept = evaluations(folder)
    if "cold_start" in kept:
        kept.setdefault("base", kept["cold_start"])
    figures: dict[str, Any] = {
        f"accuracy_{name}": kept[name]["accuracy"] for name in ("base", "cold_start", "after") if name in kept
    }
    if "cold_start" in kept and "after" in kept:
        before, after = (
            dict(zip(kept[name]["problem_ids"], kept[name]["correct"], strict=True)) for name in ("cold_start", "after")
        )
        both = [problem for problem in after if problem in before]  # a resumed run may have been given more problems
        test = mcnemar([before[problem] for problem in both], [after[problem] for problem in both])
        figures |= {"p_value": test.p_value, "problems": len(both)}
    if "after" in kept:
        figures |= {f"pass_at_{k}": value for k, value in kept["after"]["pass_at_k"].items()}
    return figures
