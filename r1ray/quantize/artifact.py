"""What lies beside an artifact: `artifact.json`, with verdict, figures, files and the parent that it came from."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from r1ray.models.checkpoint import file_hashes
from r1ray.models.stored import stored_tensors
from r1ray.quantize.distributions import Divergence
from r1ray.quantize.gate import Examined, Verdict, share_equal
from r1ray.quantize.recipe import Built, Recipe
from r1ray.runs import manifest as origin
from r1ray.runs.files import write_json
from r1ray.statistics import mcnemar, wilson

FILE = "artifact.json"
BASE_DTYPE = "bfloat16"
"""Of the headline ratio: what the parent would take in this type. Against float32 every ratio is twice as large."""
_SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8}


def figures(parent: Examined, child: Examined, divergence: Divergence, base_bytes: int) -> dict[str, Any]:
    """Everything that the gate looked at, as numbers."""
    test, count = mcnemar(parent.correct, child.correct), len(child.correct)
    interval = wilson(sum(child.correct), count)
    found: dict[str, Any] = {
        "problems": count,
        "accuracy_parent": parent.accuracy,
        "accuracy": child.accuracy,
        "accuracy_interval": [interval.low, interval.high],
        "difference": test.difference,
        "difference_interval": [test.interval.low, test.interval.high],
        "gained": test.gained,
        "lost": test.lost,
        "p_value": test.p_value,
        **asdict(divergence),
        "bytes": child.bytes,
        "bytes_parent": parent.bytes,
        "base_dtype": BASE_DTYPE,
        "bytes_ratio": base_bytes / child.bytes,
        "bytes_ratio_float32": 2 * base_bytes / child.bytes,
    }
    for role, one in (("", child), ("_parent", parent)):
        if one.footprint is not None:
            found[f"resident{role}"] = one.footprint.resident
            found[f"tokens_per_s{role}"] = one.footprint.tokens_per_s
    if child.footprint is not None:
        found["same_text"] = share_equal(child.footprint.texts, child.engine_texts)
    return found


def base_bytes(parent: Path) -> int:
    """What the parent's weights would take on disk in `BASE_DTYPE`."""
    total = 0
    for name, file in stored_tensors(parent):
        piece = file.get_slice(name)
        total += math.prod(piece.get_shape()) * min(2, _SIZES.get(piece.get_dtype(), 1))
    return total


def write_artifact(
    folder: Path,
    *,
    recipe: Recipe,
    built: Built,
    verdict: Verdict,
    found: Mapping[str, Any],
    parent: Path,
    sensitivity: Mapping[str, float],
    repairs: int,
) -> dict[str, Any]:
    """Write `artifact.json` into the artifact's folder; returns what it says."""
    hashes = file_hashes(folder)
    hashes.pop(FILE, None)
    told = {
        "recipe": recipe.name,
        "summary": recipe.summary,
        "runs_on": list(recipe.runs_on),
        "model": built.model.name if built.model.is_file() else ".",
        "verdict": verdict.word,
        "reasons": list(verdict.reasons),
        "repairs": repairs,
        "figures": dict(found),
        "parent": origin.describe(parent),
        "files": hashes,
        "details": built.details,
        "sensitivity": dict(sensitivity),
        "versions": origin.versions(),
    }
    write_json(folder / FILE, told)
    return told
