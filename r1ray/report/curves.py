"""Which metrics share a chart: rows of `metrics.jsonl` to titled charts with their legends."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from r1ray.report.charts import PALETTE, Series, format_tick, line_chart, stacked_chart


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """What belongs on one chart: exact keys, or a whole group (`reward/`)."""

    title: str
    keys: tuple[str, ...]
    percent: bool = False
    stacked: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A drawn chart and its legend: (colour class, name, newest value)."""

    title: str
    svg: Markup
    legend: list[tuple[str, str, str]]


PANELS = (
    Panel(title="Accuracy", keys=("reward/correct", "evaluation/accuracy"), percent=True),
    Panel(title="Judged as labelled", keys=("train/steps_right", "train/pairs_right"), percent=True),
    Panel(title="Reward by component", keys=("reward/",)),
    Panel(title="KL", keys=("ppo/ref_kl", "ppo/policy_kl")),
    Panel(title="Entropy", keys=("ppo/entropy",)),
    Panel(title="Clip fraction", keys=("ppo/clip_fraction", "ppo/value_clip_fraction"), percent=True),
    Panel(title="Explained variance", keys=("ppo/explained_variance",)),
    Panel(title="Loss", keys=("ppo/policy_loss", "ppo/value_loss", "train/loss", "validation/loss", "evaluation/loss")),
    Panel(title="Validation perplexity", keys=("validation/perplexity",)),
    Panel(title="Learning rate", keys=("optim/lr",)),
    Panel(title="Gradient norm before clipping", keys=("optim/grad_norm",)),
    Panel(title="Answer length in tokens", keys=("rollout/tokens_mean", "evaluation/mean_tokens")),
    Panel(title="Time per phase in seconds", keys=("time/",), stacked=True),
    Panel(title="Throughput per second", keys=("throughput/",)),
)
NAMES = {
    "reward/correct": "training samples",
    "evaluation/accuracy": "held-out, greedy",
    "ppo/ref_kl": "to reference",
    "ppo/policy_kl": "of update",
}
WHOLES = ("time/step", "time/total")
"""Sums of the other parts of their group: not one more layer of the stack."""


def charts(rows: Sequence[Mapping[str, Any]]) -> tuple[list[Chart], list[Chart]]:
    """The charts that everybody looks at, and one for each metric that is on none of them."""
    keys = list(dict.fromkeys(key for row in rows for key in row if "/" in key))
    main, claimed = [], set[str]()
    for panel in PANELS:
        mine = [key for key in keys if key not in claimed and _belongs(key, panel)]
        claimed.update(mine)
        if mine:
            main.append(_draw(panel, mine, rows))
    rest = [_draw(Panel(title=key, keys=(key,)), [key], rows) for key in keys if key not in claimed]
    return [chart for chart in main if chart.svg], [chart for chart in rest if chart.svg]


def _belongs(key: str, panel: Panel) -> bool:
    if key.startswith("reward/count_"):
        return False  # events that a checker counted are no reward
    return any(key.startswith(wanted) if wanted.endswith("/") else key == wanted for wanted in panel.keys)


def _draw(panel: Panel, keys: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Chart:
    if panel.stacked:
        keys = [key for key in keys if key not in WHOLES] or keys
    series = [_series(key, rows, keep_gaps=panel.stacked) for key in keys]
    svg = stacked_chart(series) if panel.stacked else line_chart(series, percent=panel.percent)
    legend = [(f"s{i % PALETTE}", one.name, _newest(one, panel.percent)) for i, one in enumerate(series)]
    return Chart(title=panel.title, svg=svg, legend=legend)


def _series(key: str, rows: Sequence[Mapping[str, Any]], keep_gaps: bool) -> Series:
    # A metric that comes every few steps is a line through its points; one that came as null is a gap.
    mine = [row for row in rows if keep_gaps or key in row]
    values = [row.get(key) for row in mine]
    name = NAMES.get(key) or key.partition("/")[2].replace("_", " ")
    return Series(
        name, [float(row["step"]) for row in mine], [math.nan if value is None else float(value) for value in values]
    )


def _newest(one: Series, percent: bool) -> str:
    if not math.isfinite(one.last):
        return "–"
    return f"{one.last:.1%}" if percent else format_tick(float(f"{one.last:.3g}"))
