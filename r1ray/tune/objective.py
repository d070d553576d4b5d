"""What a trial is worth: held-out accuracy less the price of its KL, with how sure that is. Never a training reward."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from r1ray.config.tune import TuneConfig
from r1ray.errors import ConfigError
from r1ray.statistics import wilson

ACCURACY = ("evaluation/accuracy", "accuracy", "accuracy_after")
"""Names under which steps, and summaries of jobs, have it."""
KL = ("ppo/ref_kl", "kl")
INTERVAL = ("low", "high")


@dataclass(frozen=True, kw_only=True, slots=True)
class Worth:
    """The objective of a trial, and what it was made of."""

    objective: float
    """NaN where the trial has no figure for it."""
    accuracy: float | None = None
    low: float | None = None
    """Ends of the objective's 95 % interval: Wilson's of the accuracy, less the same price."""
    high: float | None = None
    kl: float | None = None
    """Nats per rollout against the start; None where the job has no reference."""
    problems: int | None = None

    def figures(self) -> dict[str, float]:
        """What is known, by name."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {name: float(value) for name, value in found.items() if value is not None}


def worth(tune: TuneConfig, figures: Mapping[str, Any], problems: int | None = None) -> Worth:
    """The worth of a trial with these figures (a step's metrics, or a job's summary).

    Args:
        tune: the objective, and the price of a nat.
        figures: by name.
        problems: how many problems the accuracy was measured on, where the figures do not say.

    Raises:
        ConfigError: the figures have no metric of the name that `tune.objective` gives.
    """
    if tune.objective != "held_out":
        if tune.objective not in figures:
            known = ", ".join(sorted(map(str, figures)))
            raise ConfigError(f"tune.objective is {tune.objective!r}; a trial reported {known}.")
        return Worth(objective=_number(figures[tune.objective]))
    accuracy = next((_number(figures[name]) for name in ACCURACY if name in figures), None)
    if accuracy is None and "value" in figures:  # a reward model's agreement with held-out labels
        accuracy = _number(figures["value"])
    if accuracy is None or math.isnan(accuracy):
        return Worth(objective=math.nan)
    kl = next((_number(figures[name]) for name in KL if name in figures), None)
    price = tune.kl_weight * (kl or 0.0)
    count = int(figures.get("problems") or problems or 0)
    interval = wilson(round(accuracy * count), count) if count else None
    return Worth(
        objective=accuracy - price,
        accuracy=accuracy,
        low=interval.low - price if interval else None,
        high=interval.high - price if interval else None,
        kl=kl,
        problems=count or None,
    )


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
