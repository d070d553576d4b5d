"""Stages `split` and `shards`: the rows that are left, sorted by the hash that names them, in files of equal size."""

import hashlib
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from r1ray.config.jobs import CorpusJobConfig
from r1ray.data.corpus.duplicates import EXACT, VERIFY, dropped_rows
from r1ray.data.corpus.figures import Figures
from r1ray.data.corpus.grow import grow
from r1ray.data.corpus.keys import numbers
from r1ray.data.corpus.pieces import Pieces
from r1ray.data.corpus.read import ROWS
from r1ray.data.corpus.rows import SCHEMA, Row, annotated, joined, to_table
from r1ray.data.dedup.shingles import Ints
from r1ray.runs.files import hash_file

SPLIT, SHARDS = "split", "shards"
LABELLED = "labelled.jsonl"
_PARTS, _INDEX = "parts.arrow", "parts.json"
_ROW_GROUP = 2000


def split_unit(
    pieces: Pieces, unit: int, base: int, parts: tuple[int, int], shards: int, config: CorpusJobConfig
) -> dict[str, Any]:
    """The rows of a unit that are no duplicates, and their variants, cut by shard.

    Args:
        base: rows in the units before this one.
        parts: pieces of the stages `exact` and `verify`.
        shards: how many the corpus has.
    """
    names = numbers(pieces.folder("read", unit), base)
    gone = np.concatenate([dropped_rows(pieces, EXACT, parts[0]), dropped_rows(pieces, VERIFY, parts[1])])
    kept = ~np.isin(names, gone)
    index: list[list[int]] = [[] for _ in range(shards)]
    figures = Figures()
    start = written = 0
    with pieces.writing(SPLIT, unit) as folder:
        with (
            pq.ParquetFile(pieces.folder("read", unit) / ROWS) as file,
            pa.OSFile(str(folder / _PARTS), "wb") as sink,
            pa.ipc.new_file(sink, SCHEMA) as writer,
            (folder / LABELLED).open("w", encoding="utf-8") as labelled,
        ):
            for number in range(file.num_row_groups):
                table = file.read_row_group(number)
                mask = kept[start : start + len(table)]
                start += len(table)
                table = table.filter(pa.array(mask))
                if config.augment.operators:
                    rows = table.to_pylist()
                    grown = grow(rows, config)
                    table = to_table([*(annotated(row)[0] for row in rows), *grown.rows])
                    figures.count("attempts", grown.checks.elements())
                    labelled.writelines(json.dumps(row) + "\n" for row in grown.labelled)
                homes = home_shards(table.column("id").to_pylist(), shards)
                for shard in np.unique(homes).tolist():
                    part = table.filter(pa.array(homes == shard)).combine_chunks()
                    writer.write_batch(part.to_batches()[0])
                    index[shard].append(written)
                    written += 1
        (folder / _INDEX).write_text(json.dumps(index), encoding="utf-8")
        return pieces.save_result(folder, {"rows": int(kept.sum()), "figures": figures.to_json()})


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
