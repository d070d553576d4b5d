"""The headline figures of a PPO run, from the evaluations that it kept."""

from pathlib import Path
from typing import Any

from r1ray.train.examine import EVALUATIONS, evaluations, examine, keep, paired

__all__ = ["EVALUATIONS", "evaluations", "examine", "keep", "summary"]


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
        test, problems = paired(kept["cold_start"], kept["after"])
        figures |= {"p_value": test.p_value, "problems": problems}
    if "after" in kept:
        figures |= {f"pass_at_{k}": value for k, value in kept["after"]["pass_at_k"].items()}
    return figures
