"""Stage `read`: one unit of input becomes rows, keys for deduplication, and books on every row that was read."""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow.parquet as pq

from r1ray.config.jobs import CorpusJobConfig
from r1ray.data.corpus.figures import Figures
from r1ray.data.corpus.formats import read_file, read_range
from r1ray.data.corpus.keys import Keys, save_keys
from r1ray.data.corpus.pieces import Pieces
from r1ray.data.corpus.prepare import prepare
from r1ray.data.corpus.rows import SCHEMA, Row, joined, to_row, to_table
from r1ray.data.corpus.units import Unit
from r1ray.data.dedup.exact import digest
from r1ray.data.files import RawRow
from r1ray.data.generators.generate import generate
from r1ray.data.quarantine import QuarantinedRow
from r1ray.data.sources import problem_row
from r1ray.data.verdict import Funnel

STAGE = "read"
ROWS = "rows.parquet"
QUARANTINE = "quarantine.jsonl"
DROPPED = "dropped.jsonl"
_BATCH = 1000
_BATCH_CHARACTERS = 4 * 2**20


def read_unit(pieces: Pieces, number: int, unit: Unit, config: CorpusJobConfig, partitions: int) -> dict[str, Any]:
    """Read one unit in batches, so that memory depends neither on the file nor on the corpus."""
    funnel, figures, keys = Funnel(), Figures(), Keys(config)
    rows = characters = 0
    with pieces.writing(STAGE, number) as folder:
        with (
            pq.ParquetWriter(folder / ROWS, SCHEMA, compression="zstd") as writer,
            (folder / QUARANTINE).open("w", encoding="utf-8", errors="replace") as quarantine,
            (folder / DROPPED).open("w", encoding="utf-8", errors="replace") as dropped,
        ):
            for batch in _batches(_rows_of(unit, config)):
                good = [row for row in batch if not isinstance(row, QuarantinedRow)]
                bad = [row for row in batch if isinstance(row, QuarantinedRow)]
                funnel.quarantine(row.reason for row in bad)
                figures.show_quarantined(bad)
                quarantine.writelines(json.dumps(dataclasses.asdict(row)) + "\n" for row in bad)
                done = prepare(good, config)
                funnel.count([*(drop for _, drop in done.dropped), *[None] * len(done.rows)])
                for row, drop in done.dropped:
                    entry = {**row["provenance"], "stage": drop.stage, "reason": drop.reason, "detail": drop.detail}
                    dropped.write(json.dumps(entry) + "\n")
                    figures.show(f"drop/{drop.stage}/{drop.reason}",
                                 [{**entry, "excerpt": joined(row, config.corpus.text_fields)[:200]}])  # fmt: skip
                figures.count("masked", done.masked.elements())
                for step, example in done.examples.items():
                    figures.show(f"changed/{step}", [example])
                if done.rows:
                    if not config.dedup.exact:
                        _tell_apart(done.rows)
                    keys.add(done.rows)
                    writer.write_table(to_table(done.rows))
                    figures.describe(done.rows, config.corpus.text_fields, prefix="read/")
                rows += len(done.rows)
                characters += sum(len(joined(row, config.corpus.text_fields)) for row in done.rows)
        save_keys(folder, keys, partitions)
        result = {
            "rows": rows,
            "characters": characters,
            "rows_read": funnel.rows_in,
            "funnel": _funnel_json(funnel),
            "figures": figures.to_json(),
        }
        return pieces.save_result(folder, result)


def _rows_of(unit: Unit, config: CorpusJobConfig) -> Iterator[Row | QuarantinedRow]:
    if unit.family:
        problems = generate((unit.family,), count=unit.count, max_number=config.corpus.max_number, seed=config.run.seed)
        for line, problem in enumerate(problems, start=1):
            yield {**problem_row(problem), "text": "", "parent": "", "provenance": {"file": unit.name, "line": line}}
        return
    limit = int(config.corpus.max_line_mib * 2**20)
    raws: Iterable[RawRow]
    if unit.end:
        raws = read_range(unit.path, unit.begin, unit.end, unit.first_line, limit)
    else:
        raws = read_file(unit.path, limit)
    for raw in raws:
        yield to_row(raw, unit.name, config.corpus.mapping, annotations=config.grows)


def _batches(rows: Iterator[Row | QuarantinedRow]) -> Iterator[list[Row | QuarantinedRow]]:
    """About a thousand rows, fewer where they are long."""
    batch: list[Row | QuarantinedRow] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += 0 if isinstance(row, QuarantinedRow) else len(row["text"]) + len(row.get("solution") or "")
        if len(batch) >= _BATCH or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _tell_apart(rows: list[Row]) -> None:
    """Where equal texts stay, a row's name is of its text and its place."""
    for row in rows:
        row["id"] = digest(row["id"] + row["provenance"])[:16]


def _funnel_json(funnel: Funnel) -> dict[str, Any]:
    dropped = [[stage, reason, count] for (stage, reason), count in sorted(funnel.dropped.items())]
    return {"rows_in": funnel.rows_in, "kept": funnel.kept, "quarantined": dict(funnel.quarantined), "dropped": dropped}
