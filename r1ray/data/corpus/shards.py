"""Stages `split` and `shards`: the rows that are left, sorted by the hash that names them, in files of equal size."""

import hashlib
import json
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from r1ray.config.jobs import CorpusJobConfig
from r1ray.data.corpus.figures import Figures
from r1ray.data.corpus.grow import grow
from r1ray.data.corpus.left import Parts, left_tables
from r1ray.data.corpus.pieces import Pieces
from r1ray.data.corpus.read import ROWS
from r1ray.data.corpus.rows import SCHEMA, Row, annotated, joined, to_table
from r1ray.data.corpus.synthesis import SYNTHESIZE
from r1ray.data.dedup.shingles import Ints
from r1ray.runs.files import hash_file

SPLIT, SHARDS = "split", "shards"
LABELLED = "labelled.jsonl"
_PARTS, _INDEX = "parts.arrow", "parts.json"
_ROW_GROUP = 2000


def split_unit(
    pieces: Pieces, unit: int, base: int, parts: Parts, shards: int, config: CorpusJobConfig
) -> dict[str, Any]:
    """The rows of a unit that are no duplicates, and their variants, cut by shard.

    Args:
        base: rows in the units before this one.
        parts: the stages of deduplication.
        shards: how many the corpus has.
    """
    figures, count = Figures(), 0
    with pieces.writing(SPLIT, unit) as folder:
        with _Cut(folder, shards) as cut, (folder / LABELLED).open("w", encoding="utf-8") as labelled:
            for table in left_tables(pieces, unit, base, parts):
                count += len(table)
                if config.grows:
                    rows = table.to_pylist()
                    grown = grow(rows, config, pieces)
                    table = to_table([*(annotated(row)[0] for row in rows), *grown.rows])
                    figures.count("attempts", grown.checks.elements())
                    labelled.writelines(json.dumps(row) + "\n" for row in grown.labelled)
                cut.add(table)
        return pieces.save_result(folder, {"rows": count, "figures": figures.to_json()})


def split_synthesis(pieces: Pieces, unit: int, shards: int) -> dict[str, Any]:
    """The synthesized problems, cut by shard, as one more unit behind those of the input."""
    with pieces.writing(SPLIT, unit) as folder:
        with _Cut(folder, shards) as cut, pq.ParquetFile(pieces.folder(SYNTHESIZE) / ROWS) as file:
            for number in range(file.num_row_groups):
                cut.add(file.read_row_group(number))
        return pieces.save_result(folder, {"rows": 0, "figures": Figures().to_json()})


class _Cut:
    """Rows in an Arrow file, those of one shard in batches of their own, and an index of the batches."""

    def __init__(self, folder: Path, shards: int) -> None:
        self._folder, self._shards, self._written = folder, shards, 0
        self._index: list[list[int]] = [[] for _ in range(shards)]

    def __enter__(self) -> Self:
        self._sink = pa.OSFile(str(self._folder / _PARTS), "wb")
        self._writer = pa.ipc.new_file(self._sink, SCHEMA)
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
        self._sink.close()
        (self._folder / _INDEX).write_text(json.dumps(self._index), encoding="utf-8")

    def add(self, table: pa.Table) -> None:
        """The next rows."""
        homes = home_shards(table.column("id").to_pylist(), self._shards)
        for shard in np.unique(homes).tolist():
            part = table.filter(pa.array(homes == shard)).combine_chunks()
            self._writer.write_batch(part.to_batches()[0])
            self._index[shard].append(self._written)
            self._written += 1


def write_shard(pieces: Pieces, shard: int, units: int, shards: int, config: CorpusJobConfig) -> dict[str, Any]:
    """One shard: its rows from all units, sorted by id, each id once."""
    tables = [_part(pieces, unit, shard) for unit in range(units)]
    rows: list[Row] = pa.concat_tables(tables).to_pylist()
    rows.sort(key=lambda row: (row["id"], bool(row["operator"]), row["provenance"]))
    # A variant may be what it was made from, or what another one is.
    unique = [
        row for place, row in enumerate(rows)
        if not (row["operator"] and place and row["id"] == rows[place - 1]["id"])
    ]  # fmt: skip
    figures = Figures()
    figures.describe(unique, config.corpus.text_fields)
    figures.show("sample", ({**row, "text": row["text"][:600]} for row in unique[:3]))
    content = hashlib.sha256()
    for row in unique:
        content.update(json.dumps(row, sort_keys=True).encode("utf-8", "surrogatepass"))
    name = f"part-{shard:05d}-of-{shards:05d}.parquet"
    with pieces.writing(SHARDS, shard) as folder:
        pq.write_table(to_table(unique), folder / name, compression="zstd", row_group_size=_ROW_GROUP)
        entry = {
            "name": name,
            "rows": len(unique),
            "variants": sum(bool(row["operator"]) for row in unique),
            "bytes": (folder / name).stat().st_size,
            "sha256": hash_file(folder / name),
            "content": content.hexdigest(),
            "characters": sum(len(joined(row, config.corpus.text_fields)) for row in unique),
        }
        result = {"shard": entry, "repeated": len(rows) - len(unique), "figures": figures.to_json()}
        return pieces.save_result(folder, result)


def home_shards(ids: list[str], shards: int) -> Ints:
    """The shard of each id: equal ranges of the hash, so that shards in their order are sorted by id."""
    heads = np.array([int(name[:8], 16) for name in ids], np.int64)
    return heads * shards >> 32


def _part(pieces: Pieces, unit: int, shard: int) -> pa.Table:
    folder = pieces.folder(SPLIT, unit)
    numbers_of_batches = json.loads((folder / _INDEX).read_text(encoding="utf-8"))[shard]
    if not numbers_of_batches:
        return SCHEMA.empty_table()
    with pa.memory_map(str(folder / _PARTS)) as source:
        reader = pa.ipc.open_file(source)
        return pa.Table.from_batches([reader.get_batch(number) for number in numbers_of_batches], SCHEMA)
