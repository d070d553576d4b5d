"""The rows that deduplication has left, read a row group at a time."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from r1ray.data.corpus.duplicates import dropped_rows
from r1ray.data.corpus.keys import numbers
from r1ray.data.corpus.pieces import Pieces
from r1ray.data.corpus.read import ROWS, STAGE
from r1ray.data.corpus.rows import Row
from r1ray.data.dedup.shingles import Ints

Parts = Mapping[str, int]
"""The stages of deduplication that have run, and how many pieces each has."""


def left_mask(pieces: Pieces, unit: int, base: int, parts: Parts) -> NDArray[np.bool_]:
    """Which rows of a unit no stage took out.

    Args:
        base: rows in the units before this one.
    """
    gone = [dropped_rows(pieces, stage, count) for stage, count in parts.items()]
    names = numbers(pieces.folder(STAGE, unit), base)
    return ~np.isin(names, np.concatenate([np.zeros(0, np.int64), *gone]))


def left_tables(
    pieces: Pieces, unit: int, base: int, parts: Parts, columns: list[str] | None = None
) -> Iterator[pa.Table]:
    """The rows of a unit that are left."""
    left, start = left_mask(pieces, unit, base, parts), 0
    with pq.ParquetFile(pieces.folder(STAGE, unit) / ROWS) as file:
        for number in range(file.num_row_groups):
            table = file.read_row_group(number, columns=columns)
            yield table.filter(pa.array(left[start : start + len(table)]))
            start += len(table)


def smallest_rows(
    pieces: Pieces, bases: Ints, parts: Parts, count: int, wanted: Callable[[dict[str, Any]], bool]
) -> list[Row]:
    """Of the wanted rows that are left those with the smallest ids: a sample that depends on no cut into units."""
    found: list[Row] = []
    for unit, base in enumerate(bases[:-1].tolist()):
        for table in left_tables(pieces, unit, base, parts):
            if len(found) == count:  # few rows of a large corpus come further than this
                table = table.filter(pc.less(table.column("id"), found[-1]["id"]))
            found += filter(wanted, table.to_pylist())
            found = sorted(found, key=lambda row: str(row["id"]))[:count]
    return found
