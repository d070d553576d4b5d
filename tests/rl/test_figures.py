"""Figures of a step merge over workers by construction, and rows for people line up tokens with advantages."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from r1ray.metrics.reductions import merge_all, reduce_all
from r1ray.rl.figures import batch_metrics, sample_rows, success_rates
from r1ray.types import ScoredRollout
from tests.rl.helpers import job, make_learner


def graded(scored: list[ScoredRollout]) -> list[ScoredRollout]:
    """Every third attempt is right, and components say so."""
    return [
        replace(
            item, correct=n % 3 == 0, components={"outcome": float(n % 3 == 0), **({"rare": 1.0} if n == 5 else {})}
        )
        for n, item in enumerate(scored)
    ]


def test_figures_of_parts_merge_into_those_of_the_whole(scored: list[ScoredRollout]) -> None:
    items = graded(scored)
    # Whole groups of four, parts of unequal size.
    parts = [items[:4], items[4:16], items[16:], []]
    counts = [1, 2, 3, 0]
    merged = merge_all(batch_metrics(part, {"truncated": count}) for part, count in zip(parts, counts, strict=True))
    whole = reduce_all([batch_metrics(items, {"truncated": 6})])
    assert {key: metric.value for key, metric in merged.items()} == pytest.approx(whole)


def test_figures_by_hand(scored: list[ScoredRollout]) -> None:
    first, second = graded(scored)[:2]
    figures = reduce_all([batch_metrics([first, second], {"truncated": 1})])
    lengths = [len(item.rollout.completion.token_ids) for item in (first, second)]
    rewards = [item.outcome_reward + sum(item.step_scores) for item in (first, second)]
    assert figures["reward/total"] == pytest.approx(sum(rewards) / 2)
    assert figures["reward/correct"] == figures["reward/outcome"] == 0.5
    assert figures["rollout/tokens"] == sum(lengths)
    assert figures["rollout/tokens_max"] == max(lengths)
    assert figures["rollout/tokens_mean"] == sum(lengths) / 2
    assert figures["rollout/flat_groups"] == 0  # one group, one of two right
    assert figures["reward/count_truncated"] == 1


def test_a_component_that_only_some_rollouts_have_is_averaged_over_those(scored: list[ScoredRollout]) -> None:
    assert reduce_all([batch_metrics(graded(scored), {})])["reward/rare"] == 1.0


def test_success_rates_are_per_problem(scored: list[ScoredRollout]) -> None:
    # Right are 0, 3, 6, 9, … of 24: of the groups 0-3, 4-7, 8-11, 12-15, 16-19, 20-23.
    assert list(success_rates(graded(scored)).values()) == [0.5, 0.25, 0.25, 0.5, 0.25, 0.25]
    assert list(success_rates(scored)) == ["p0", "p1", "p2", "p3", "p4", "p5"]


def test_rows_line_up_tokens_advantages_and_steps(tiny_policy: Path, scored: list[ScoredRollout]) -> None:
    learner, _ = make_learner(job(tiny_policy))
    learner.update(scored)
    assert learner.last is not None and learner.last.advantages is not None
    rows = sample_rows(scored, learner.last, lambda ids: f"<{ids[0]}>", step=7, limit=5)
    assert len(rows) == 5
    assert json.loads(json.dumps(rows)) == rows
    for index, (row, item) in enumerate(zip(rows, scored, strict=False)):
        ids = item.rollout.completion.token_ids
        assert row["step"] == 7
        assert row["tokens"] == [f"<{token}>" for token in ids]
        assert row["advantages"] == pytest.approx(learner.last.advantages[index, : len(ids)].tolist(), abs=1e-4)
        assert [step["last_token"] for step in row["steps"]] == [step.last_token for step in item.steps]
        assert [step["score"] for step in row["steps"]] == item.step_scores
        assert (row["problem_id"], row["sample"]) == (item.rollout.problem.id, item.rollout.sample)
        assert (row["finish_reason"], row["policy_version"]) == (item.rollout.completion.finish_reason, 1)


def test_rows_without_an_update_have_no_advantages(scored: list[ScoredRollout]) -> None:
    [row] = sample_rows(scored[:1], None, lambda ids: "x", step=0, limit=8)
    assert row["advantages"] == []
    assert len(row["tokens"]) == len(scored[0].rollout.completion.token_ids)
