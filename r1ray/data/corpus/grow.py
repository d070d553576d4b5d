"""Variants of the rows that are left: made by the operators of `data/augment`, in the corpus's own schema."""

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from r1ray.config.augment import AugmentConfig
from r1ray.config.jobs import CorpusJobConfig
from r1ray.data.augment.rows import Augmenter
from r1ray.data.augment.variant import Variant
from r1ray.data.augment.worked import without_tags
from r1ray.data.corpus.prepare import evaluation_index
from r1ray.data.corpus.rows import Row, annotated, finish_row, joined
from r1ray.data.decontaminate import find_leaks


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


def grow(rows: Sequence[Row], config: CorpusJobConfig) -> Grown:
    """Variants of these rows. A verified one is of tier L3, any other of L1; none contains an evaluation problem."""
    result = Grown()
    if not config.augment.operators or not rows:
        return result
    originals = {row["id"]: annotated(row)[0] for row in rows}
    allowed = ("verified",) if config.augment.keep == "verified" else ("verified", "unverified")
    for variant in make_augmenter(config.augment).variants([_filled(annotated(row)[1]) for row in rows]):
        result.checks[f"{variant.operator}: {variant.check}"] += 1
        if variant.check not in allowed:
            continue
        if "labels" in variant.row:
            lineage = {"parent": variant.parent, "operator": variant.operator, "check": variant.check}
            result.labelled.append({**variant.row, **lineage})
            continue
        result.rows.append(_row(variant, originals[variant.parent], config.corpus.text_fields))
    if config.decontaminate.against and result.rows:
        texts = [joined(row, config.corpus.text_fields) for row in result.rows]
        leaks = find_leaks(texts, evaluation_index(config.decontaminate))
        result.checks.update("leaked" for leak in leaks if leak is not None)
        result.rows = [row for row, leak in zip(result.rows, leaks, strict=True) if leak is None]
    return result


def _row(variant: Variant, original: Row, fields: Sequence[str]) -> Row:
    provenance = {
        "operator": variant.operator, "seed": variant.seed, "check": variant.check, "reason": variant.reason,
        "tier_by": f"{variant.operator}: {variant.reason}" if variant.check == "verified" else "",
    }  # fmt: skip
    row = {**original, **{name: variant.row.get(name, "") for name in ("question", "solution", "answer", "text")}}
    row["solution"] = without_tags(row["solution"])
    row["level"] = variant.row.get("level", original["level"])
    row |= {"parent": original["id"], "operator": variant.operator, "provenance": provenance}
    return finish_row({**row, "tier": "L3" if variant.check == "verified" else "L1"}, fields)


def _filled(row: Row) -> Row:
    """Without the columns that do not apply: an operator tells a problem from a text by what is there."""
    return {name: value for name, value in row.items() if value != ""}


@functools.lru_cache(maxsize=2)
def make_augmenter(config: AugmentConfig) -> Augmenter:
    """The operators and what they need, once in each process."""
    return Augmenter(config)
