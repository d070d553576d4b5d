"""A run's summary as headline figures: accuracies with their intervals first, everything else as it is named."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from r1ray.statistics import wilson

ACCURACIES = {
    "accuracy_base": "base model",
    "accuracy_cold_start": "after cold start",
    "accuracy_before": "before",
    "accuracy_parent": "parent",
    "accuracy_baseline": "baseline",
    "accuracy_sft": "after SFT",
    "accuracy_ppo": "after PPO",
    "accuracy_after": "after training",
    "accuracy": "accuracy",
}
NAMES = {
    "p_value": "p-value",
    "problems": "held-out problems",
    "p95_ms": "95th percentile, ms",
    "docs_per_s": "documents per second",
}


@dataclass(frozen=True, slots=True)
class Card:
    """A headline figure."""

    label: str
    value: str
    note: str = ""


def accuracies(summary: Mapping[str, Any]) -> list[tuple[str, float, float, float]]:
    """(label, accuracy, low, high) of every accuracy in a summary, in the order of the run; the interval is Wilson's,
    95 %.

    A summary without `problems` gives no intervals, and so no rows.
    """
    problems = summary.get("problems")
    if not isinstance(problems, int) or problems <= 0:
        return []
    rows = []
    for key, label in ACCURACIES.items():
        value = summary.get(key)
        if isinstance(value, (int, float)) and 0 <= value <= 1:
            interval = wilson(round(value * problems), problems)
            rows.append((label, float(value), interval.low, interval.high))
    return rows


def cards(summary: Mapping[str, Any]) -> list[Card]:
    """The figures of a summary, one card each; the gain first where there is one. Accuracies that the chart shows are
    left out."""
    found = []
    charted = {key for key in ACCURACIES if accuracies(summary)} | {"run"}
    before, after = summary.get("accuracy_cold_start", summary.get("accuracy_before")), summary.get("accuracy_after")
    if isinstance(before, (int, float)) and isinstance(after, (int, float)):
        since = "over the cold start" if "accuracy_cold_start" in summary else "over the start"
        found.append(Card("gain", f"{(after - before) * 100:+.1f} points", since))
    found += [
        Card(NAMES.get(key, key.replace("_", " ")), show_value(key, value))
        for key, value in summary.items()
        if key not in charted and not isinstance(value, (list, dict))
    ]
    return found


def show_value(key: str, value: Any) -> str:
    """A figure as a person reads it."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, (int, float)):
        if not math.isfinite(value):
            return "–"
        if key.startswith("accuracy"):
            return f"{value:.1%}"
        if key == "p_value":
            return f"{value:.1e}" if value < 0.001 else f"{value:.3f}"
        return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return str(value)
