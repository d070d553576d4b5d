"""What a pipeline's stages are worth, side by side: accuracies on the very same held-out problems."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from r1ray.statistics import mcnemar, wilson
from r1ray.train.examine import evaluations

MODELS = (("base", "sft", "before"), ("sft", "sft", "after"), ("ppo", "ppo", "after"))
"""(name, stage, evaluation) of each policy along the way."""


def rows_of(summaries: Sequence[Mapping[str, Any]], folders: Mapping[str, Path]) -> list[dict[str, Any]]:
    """One row a policy or stage: `stage`, `minutes`, `accuracy` with its interval on the problems that *every* policy
    was given, `p_value` against the policy before (McNemar), and `figure`, what the stage itself reports."""
    by_stage = {summary["stage"]: summary for summary in summaries}
    answers = {
        name: dict(zip(kept[evaluation]["problem_ids"], kept[evaluation]["correct"], strict=True))
        for name, stage, evaluation in MODELS
        if evaluation in (kept := evaluations(folders[stage]) if stage in folders else {})
    }
    shared = sorted(set.intersection(*map(set, answers.values()))) if answers else []
    rows: list[dict[str, Any]] = []
    before: list[bool] | None = None
    for name in ("base", *by_stage):
        stage = by_stage.get(name, {})
        row = {
            "stage": name,
            "minutes": stage.get("minutes"),
            "accuracy": None,
            "problems": 0,
            "p_value": None,
            "figure": figure(name, stage),
        }
        if name in answers and shared:
            correct = [answers[name][problem] for problem in shared]
            interval = wilson(sum(correct), len(correct))
            row |= {"accuracy": sum(correct) / len(correct), "problems": len(correct)}
            row |= {"low": interval.low, "high": interval.high}
            if before is not None:
                row["p_value"] = mcnemar(before, correct).p_value
            before = correct
        rows.append(row)
    return rows


def figure(stage: str, summary: Mapping[str, Any]) -> str:
    """What a stage says of itself, in a few words."""
    if stage == "corpus" and "rows_out" in summary:
        return f"{summary['rows_out']:,} rows of {summary['rows_in']:,}"
    if stage == "reward_model" and summary.get("value") is not None:
        baseline = summary.get("baseline")
        return f"{summary['metric']} {summary['value']:.3f}" + (
            f" (baseline {baseline:.3f})" if baseline is not None else ""
        )
    return ""


def show(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The rows for a rich console."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("stage", "minutes", "held-out accuracy", "95 % interval", "p", "figure"):
        table.add_column(column, justify="left" if column in ("stage", "figure") else "right")
    for row in rows:
        known = row["accuracy"] is not None
        table.add_row(
            row["stage"],
            "" if row["minutes"] is None else f"{row['minutes']:.1f}",
            f"{row['accuracy']:.1%} of {row['problems']}" if known else "",
            f"{row['low']:.1%} – {row['high']:.1%}" if known else "",
            "" if row["p_value"] is None else f"{row['p_value']:.1e}",
            row["figure"],
        )
    return table
