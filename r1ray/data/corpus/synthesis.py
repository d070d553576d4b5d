"""Stage `synthesize`: problems grown from the corpus's own, as rows of its schema."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq

from r1ray.config.jobs import CorpusJobConfig
from r1ray.data.corpus.left import Parts, smallest_rows
from r1ray.data.corpus.pieces import Pieces
from r1ray.data.corpus.prepare import prepare
from r1ray.data.corpus.read import ROWS
from r1ray.data.corpus.rows import Row, annotated, to_table
from r1ray.data.dedup.shingles import Ints

SYNTHESIZE = "synthesize"
GENERATIONS = "generations"
"""The engine's own folder, beside the pieces: a run that was killed asks its teacher nothing twice."""
_FIELDS = ("question", "solution", "answer")


def synthesize_rows(
    pieces: Pieces, bases: Ints, parts: Parts, config: CorpusJobConfig, make_teacher: Callable[[], Any] | None = None
) -> dict[str, Any]:
    """Grow problems from those that are left, and write them as rows.

    A grown problem goes through the steps that every row goes through; what they drop is counted in the report. One
    whose answer a program computed is of tier L3; one that the teacher's samples agree on, of L2 at least.

    Args:
        make_teacher: for tests; None = the one that `synthesize.teacher` names.
    """
    from r1ray.data.synthesize.evolve import synthesize  # torch, through the engine: only where it is asked for

    seeds = smallest_rows(pieces, bases, parts, config.synthesize.seeds, _is_worked)
    report: dict[str, Any] = {"seeds": {"used": 0}}
    rows: list[Row] = []
    if seeds:
        grown = synthesize(
            [_seed(row) for row in seeds],
            config.synthesize,
            pieces.root / GENERATIONS,
            teacher=(make_teacher or (lambda: _teacher(config)))(),
        )
        prepared = prepare(_raw_rows(grown.rows, seeds), config)
        rows = [_labelled(row) for row in prepared.rows]
        dropped = [drop.reason for _, drop in prepared.dropped]
        report = {**grown.report, "dropped": {reason: dropped.count(reason) for reason in sorted(set(dropped))}}
    with pieces.writing(SYNTHESIZE) as folder:
        pq.write_table(to_table(rows), folder / ROWS, compression="zstd")
        return pieces.save_result(folder, {"rows": len(rows), "report": report})


def _is_worked(row: Mapping[str, Any]) -> bool:
    return bool(row["question"] and row["solution"] and row["answer"])


def _seed(row: Row) -> Row:
    """As the engine takes it, with the program's annotations where there are any."""
    whole = annotated(row)[1]
    return {"id": row["id"], **{name: whole[name] for name in _FIELDS}}


def _raw_rows(grown: Sequence[Mapping[str, Any]], seeds: Sequence[Row]) -> list[Row]:
    """Grown problems before cleaning. The parent is the seed at the root: rows between may be dropped."""
    family = {row["id"]: row["family"] for row in seeds}
    roots = {seed: seed for seed in family}
    rows: list[Row] = []
    for one in grown:
        roots[one["id"]] = root = roots[one["parent"]]
        facts = {"pattern": one["pattern"]} | (
            {"solve_rate": f"{one['solve_rate']:.3g}"} if one["solve_rate"] is not None else {}
        )
        provenance = {
            "operator": one["operator"], "seed": one["augment_seed"], "generation": one["generation"],
            "name": one["id"], "from": one["parent"], "check": one["check"], "reason": one["check_reason"],
            "teacher": one["teacher"],
        }  # fmt: skip
        rows.append(
            {
                **{name: one[name] for name in _FIELDS},
                "text": "",
                "family": family[root],
                "level": 0,
                "metadata": json.dumps(facts, sort_keys=True),
                "parent": root,
                "operator": one["operator"],
                "provenance": provenance,
            }
        )
    return rows


def _labelled(row: Row) -> Row:
    """With the tier that its verification deserves."""
    provenance = json.loads(row["provenance"])
    if provenance["reason"].startswith("program"):
        provenance["tier_by"] = f"{row['operator']}: program"
        return {**row, "tier": "L3", "provenance": json.dumps(provenance, sort_keys=True)}
    if row["tier"] != "L3":
        provenance["tier_by"] = f"{row['operator']}: {provenance['reason']}"
        return {**row, "tier": "L2", "provenance": json.dumps(provenance, sort_keys=True)}
    return row


def _teacher(config: CorpusJobConfig) -> Any:
    import torch

    from r1ray.data.synthesize.factory import make_teacher

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return make_teacher(config.synthesize, config.policy, config.engine, device)
