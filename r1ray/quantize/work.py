"""One recipe from its start to its verdict: build, examine, judge, repair, write down. No Ray here."""

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from r1ray.config.jobs import QuantizeJobConfig
from r1ray.quantize.artifact import base_bytes, figures, write_artifact
from r1ray.quantize.bench import Bench
from r1ray.quantize.examination import examine_beside_parent, examine_model
from r1ray.quantize.gate import Examined, judge
from r1ray.quantize.recipe import Built
from r1ray.quantize.recipes import RECIPES
from r1ray.quantize.repair import finetune, widen
from r1ray.quantize.sensitivity import block_sensitivity


def examine_parent(bench: Bench) -> Examined:
    """The parent's own figures, made once for all recipes."""
    return examine_model(bench, bench.parent)


def run_recipe(bench: Bench, name: str, parent: Examined) -> dict[str, Any]:
    """Make an artifact and judge it; returns what its `artifact.json` says, `folder` beside it."""
    settings, recipe = bench.config.quantize, RECIPES[name]
    out = fresh(bench.folder / name)
    bench.note("building")
    started = time.monotonic()
    built, sensitivity, number = recipe.build(bench, out), dict[str, float](), 0
    seconds_building = time.monotonic() - started
    while True:
        child, apart = examine_beside_parent(bench, built.model)
        verdict = judge(parent, child, apart, bench.config.gate)
        again = not verdict.accepted and settings.repair != "none" and built.plan is not None
        again = again and number < settings.repair_rounds
        if not sensitivity and built.plan is not None and (settings.sensitivity or again):
            rows = bench.solutions(settings.sensitivity or QuantizeJobConfig().quantize.sensitivity)
            sensitivity = block_sensitivity(bench.network().to(bench.device), built.plan.schemes, rows, bench.note)
        told = write_artifact(
            out,
            recipe=recipe,
            built=built,
            verdict=verdict,
            found=figures(parent, child, apart, base_bytes(bench.parent))
            | {"seconds_building": seconds_building, "seconds": time.monotonic() - started},
            parent=bench.parent,
            sensitivity=sensitivity,
            repairs=number,
        )
        if not again:
            return told | {"folder": str(out)}
        number += 1
        out = fresh(bench.folder / f"{name}-repair{number}")
        built = _repaired(bench, built, sensitivity, number, parent, child, out)


def _repaired(
    bench: Bench,
    built: Built,
    sensitivity: dict[str, float],
    number: int,
    parent: Examined,
    child: Examined,
    out: Path,
) -> Built:
    if bench.config.quantize.repair == "finetune" and built.method != "gguf":
        return finetune(bench, built, parent, child, out)
    # Each round starts from the recipe's own plan, or what was widened once would be widened again.
    return replace(widen(bench, built, sensitivity, number, out), plan=built.plan)


def fresh(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
