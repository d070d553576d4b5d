"""What one step's scored rollouts look like in numbers, and as rows for people to read."""

from collections.abc import Mapping, Sequence
from typing import Any

from r1ray.algorithms.experience import Experience
from r1ray.metrics.reductions import Max, Mean, Metric, Sum
from r1ray.reasoning.steps import Decode
from r1ray.types import ScoredRollout


def success_rates(scored: Sequence[ScoredRollout]) -> dict[str, float]:
    """Share of right answers for each problem."""
    outcomes: dict[str, list[bool]] = {}
    for rollout in scored:
        outcomes.setdefault(rollout.rollout.problem.id, []).append(rollout.correct)
    return {problem: sum(right) / len(right) for problem, right in outcomes.items()}


def batch_metrics(scored: Sequence[ScoredRollout], counters: Mapping[str, int]) -> dict[str, Metric]:
    """Reward by component, lengths, and what the checkers counted."""
    metrics: dict[str, Metric] = {
        "reward/total": Mean.of(sum(s.step_scores) + s.outcome_reward for s in scored),
        "reward/correct": Mean.of(float(s.correct) for s in scored),
    }
    for name in sorted({name for s in scored for name in s.components}):
        metrics[f"reward/{name}"] = Mean.of(s.components[name] for s in scored if name in s.components)
    lengths = [len(s.rollout.completion.token_ids) for s in scored]
    rates = success_rates(scored).values()
    metrics |= {
        "rollout/tokens": Sum(float(sum(lengths))),
        "rollout/tokens_mean": Mean.of(lengths),
        "rollout/tokens_max": Max(float(max(lengths, default=0))),
        "rollout/steps_mean": Mean.of(len(s.steps) for s in scored),
        "rollout/flat_groups": Mean.of(float(rate in (0.0, 1.0)) for rate in rates),
    }
    return metrics | {f"reward/count_{name}": Sum(float(count)) for name, count in counters.items()}


def sample_rows(
    scored: Sequence[ScoredRollout], experience: Experience | None, decode: Decode, step: int, limit: int
) -> list[dict[str, Any]]:
    """The first `limit` rollouts as rows of `samples.jsonl`: tokens with their advantages, steps with their scores.

    `experience` is the learner's, made from the same rollouts in the same order.
    """
    rows = []
    for index, item in enumerate(scored[:limit]):
        rollout, completion = item.rollout, item.rollout.completion
        advantages: list[float] = []
        if experience is not None and experience.advantages is not None:
            advantages = [round(a, 4) for a in experience.advantages[index, : len(completion.token_ids)].tolist()]
        rows.append(
            {
                "step": step,
                "problem_id": rollout.problem.id,
                "question": rollout.problem.question,
                "reference": rollout.problem.answer,
                "family": rollout.problem.family,
                "sample": rollout.sample,
                "text": completion.text,
                "tokens": [decode([token]) for token in completion.token_ids],
                "advantages": advantages,
                "steps": [
                    {
                        "start": s.start,
                        "end": s.end,
                        "text": s.text,
                        "score": round(score, 4),
                        "last_token": s.last_token,
                    }
                    for s, score in zip(item.steps, item.step_scores, strict=True)
                ],
                "components": {name: round(value, 4) for name, value in item.components.items()},
                "correct": item.correct,
                "finish_reason": completion.finish_reason,
                "policy_version": rollout.policy_version,
            }
        )
    return rows
