"""Which problems the gate asks: those that the parent's own run was about, unless the settings say otherwise."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from r1ray.config.problems import AS_PARENT, ProblemsConfig
from r1ray.config.serialise import from_dict
from r1ray.models.loading import resolve_model
from r1ray.runs.manifest import owning_run

INHERITED = ("path", "heldout_path", "families", "max_number", "system")
"""What makes a problem and its prompt. How many there are is the gate's own business."""


def parents_problems(asked: ProblemsConfig, policy: str) -> tuple[ProblemsConfig, str]:
    """The problems to take, and which they are and why, in words.

    Args:
        asked: the job's settings; `AS_PARENT` for the families stands for the parent's.
        policy: the parent, as `policy.path` has it.
    """
    if asked.path:
        return asked, f"{asked.path}, as set"
    if asked.families != (AS_PARENT,):
        return asked, f"{', '.join(asked.families)}, as set"
    run, defaults = _made_by(policy), ProblemsConfig()
    told = _told(run) if run is not None else None
    if told is None:
        taken = dataclasses.replace(asked, families=defaults.families)
        return taken, f"{', '.join(taken.families)}, by default: no run that names its problems made {policy}"
    inherited = {
        name: getattr(told, name)
        for name in INHERITED
        if name == "families" or getattr(asked, name) == getattr(defaults, name)  # what was set stays
    }
    taken = dataclasses.replace(asked, **inherited)
    return taken, f"{taken.path or ', '.join(taken.families)}, those of the policy's own run {run}"


def _made_by(policy: str) -> Path | None:
    """The run that the model lies in: a pipeline's stage before the pipeline, and before the cache of converted files
    the run whose file was converted."""
    places = [resolve_model(policy), *([Path(policy).resolve()] if Path(policy).exists() else [])]
    return next((run for place in places if (run := owning_run(place))), None)


def _told(run: Path) -> ProblemsConfig | None:
    """The problems in a run's configuration, if it has any."""
    try:
        told: dict[str, Any] = json.loads((run / "config.json").read_text(encoding="utf-8"))["problems"]
    except (OSError, ValueError, KeyError):
        return None
    return from_dict(ProblemsConfig(), {name: told[name] for name in INHERITED if name in told})
