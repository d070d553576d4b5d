"""Variants of the rows that are left: made by the operators of `data/augment`, in the corpus's own schema.

Stage `pool`, where the operator `mixing` asks for it: the rows with features that it may mix with, the same for all.
"""

import functools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1ray.config.augment import AugmentConfig
from r1ray.config.jobs import CorpusJobConfig
from r1ray.data.augment.rows import Augmenter
from r1ray.data.augment.variant import Variant
from r1ray.data.augment.worked import without_tags
from r1ray.data.corpus.left import Parts, smallest_rows
from r1ray.data.corpus.pieces import Pieces
from r1ray.data.corpus.prepare import evaluation_index, mask
from r1ray.data.corpus.rows import Row, annotated, finish_row, joined
from r1ray.data.corpus.structured import lines_of, stored_structure, structure_of, with_structure
from r1ray.data.decontaminate import find_leaks
from r1ray.data.dedup.shingles import Ints

POOL = "pool"
POOL_ROWS = 2000
"""Rows that `mixing` may mix with: it measures the distance to each of them."""
_POOL_FILE = "pool.jsonl"


@dataclass(kw_only=True, slots=True)
class Grown:
    """What came of a batch of rows."""

    rows: list[Row] = field(default_factory=list)
    """Variants, finished."""
    labelled: list[dict[str, Any]] = field(default_factory=list)
    """Solutions with judged steps, for process reward models: no rows of a corpus, since they are wrong on purpose."""
    checks: Counter[str] = field(default_factory=Counter)
    """Attempts by `operator: check`."""
    examples: list[dict[str, Any]] = field(default_factory=list)


def make_pool(pieces: Pieces, bases: Ints, parts: Parts) -> dict[str, Any]:
    """Write the pool: rows that are left and have features, as `mixing` takes them."""
    chosen = smallest_rows(pieces, bases, parts, POOL_ROWS, lambda row: "features" in stored_structure(row))
    with pieces.writing(POOL) as folder:
        lines = [json.dumps({"id": row["id"], **stored_structure(row)}) + "\n" for row in chosen]
        (folder / _POOL_FILE).write_text("".join(lines), encoding="utf-8")
        return pieces.save_result(folder, {"rows": len(chosen)})


def wants_pool(config: AugmentConfig) -> bool:
    """Whether an operator compares rows with others."""
    return "mixing" in config.probabilities()


def grow(rows: Sequence[Row], config: CorpusJobConfig, pieces: Pieces | None = None) -> Grown:
    """Variants of these rows. A verified one is of tier L3, any other of L1; none contains an evaluation problem.

    Args:
        rows: that are left, of the schema.
        pieces: where stage `pool` has written.
    """
    result = Grown()
    if not config.augment.operators or not rows:
        return result
    originals = {row["id"]: annotated(row)[0] for row in rows}
    allowed = ("verified",) if config.augment.keep == "verified" else ("verified", "unverified")
    pool = pieces.folder(POOL) / _POOL_FILE if pieces and wants_pool(config.augment) else None
    for variant in make_augmenter(config.augment, pool).variants([_filled(annotated(row)[1]) for row in rows]):
        result.checks[f"{variant.operator}: {variant.check}"] += 1
        if variant.check not in allowed:
            continue
        if "labels" in variant.row:
            lineage = {"parent": variant.parent, "operator": variant.operator, "check": variant.check}
            result.labelled.append({**variant.row, **lineage})
            continue
        result.rows.append(_row(variant, originals[variant.parent], config))
    if config.decontaminate.against and result.rows:
        texts = [joined(row, config.corpus.text_fields) for row in result.rows]
        leaks = find_leaks(texts, evaluation_index(config.decontaminate))
        result.checks.update("leaked" for leak in leaks if leak is not None)
        result.rows = [row for row, leak in zip(result.rows, leaks, strict=True) if leak is None]
    return result


def _row(variant: Variant, original: Row, config: CorpusJobConfig) -> Row:
    provenance = {
        "operator": variant.operator, "seed": variant.seed, "check": variant.check, "reason": variant.reason,
        "tier_by": f"{variant.operator}: {variant.reason}" if variant.check == "verified" else "",
    }  # fmt: skip
    row = {**original, **{name: variant.row.get(name, "") for name in ("question", "solution", "answer", "text")}}
    if structure := structure_of(variant.row):
        if row["text"] == lines_of(stored_structure(original)):
            row["text"] = lines_of(structure)
        row["metadata"] = with_structure(original["metadata"], structure)
    row["solution"] = without_tags(row["solution"])
    row["level"] = variant.row.get("level", original["level"])
    row |= {"parent": original["id"], "operator": variant.operator, "provenance": provenance}
    masked, _ = mask(row, config)  # an annotated solution has not been masked before
    return finish_row({**masked, "tier": "L3" if variant.check == "verified" else "L1"}, config.corpus.text_fields)


def _filled(row: Row) -> Row:
    """Without the columns that do not apply: an operator tells a problem from a text by what is there."""
    return {name: value for name, value in row.items() if value != ""} | stored_structure(row)


@functools.lru_cache(maxsize=2)
def make_augmenter(config: AugmentConfig, pool: Path | None = None) -> Augmenter:
    """The operators and what they need, once in each process."""
    rows = [json.loads(line) for line in pool.read_text(encoding="utf-8").splitlines()] if pool else []
    return Augmenter(config, pool=rows)
