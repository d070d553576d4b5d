"""A block of token rows: what is read, verified and cached at once. A parquet row group in a shard, Arrow in memory."""

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from r1ray.data.shards.rows import ShardRow

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("token_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("learned", pa.list_(pa.int32()), nullable=False),
        pa.field("length", pa.int32(), nullable=False),
        pa.field("pack", pa.int32(), nullable=False),
    ]
)
"""`pack` counts from 0 in each block, and rows of a pack are neighbours."""


class Block:
    """Rows of one block, of which single ones can be taken out.

    Args:
        table: with the columns of `SCHEMA`.
    """

    def __init__(self, table: pa.Table) -> None:
        self.batch: pa.RecordBatch = table.combine_chunks().to_batches()[0]
        self.ids: list[str] = self.batch.column("id").to_pylist()
        self._token_ids, self._token_ends = _flat(self.batch.column("token_ids"))
        self._learned, self._learned_ends = _flat(self.batch.column("learned"))
        packs = self.batch.column("pack").to_numpy()
        starts = np.flatnonzero(np.diff(packs, prepend=-1)).tolist()
        self.packs = [range(begin, end) for begin, end in pairwise([*starts, len(packs)])]
        """Rows of each pack."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return int(self.batch.nbytes)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        found: list[int] = self.batch.column("length").to_pylist()
        return found

    def row(self, index: int) -> ShardRow:
        """One row."""
        return ShardRow(
            id=self.ids[index],
            token_ids=self._token_ids[self._token_ends[index] : self._token_ends[index + 1]].tolist(),
            learned=self._learned[self._learned_ends[index] : self._learned_ends[index + 1]].tolist(),
        )

    def digest(self) -> str:
        """SHA-256 of the content, whichever library version, compression or file it came through."""
        found = hashlib.sha256()
        columns: list[Any] = [
            np.fromiter((len(name.encode()) for name in self.ids), np.int32, len(self.ids)),
            self._token_ends, self._learned_ends, self._token_ids, self._learned,
            self.batch.column("length").to_numpy(), self.batch.column("pack").to_numpy(),
        ]  # fmt: skip
        for values in columns:
            found.update(len(values).to_bytes(8, "little"))
            found.update(np.ascontiguousarray(values, "<i4").tobytes())
        found.update("".join(self.ids).encode())
        return found.hexdigest()


def make_block(rows: Sequence[ShardRow], packs: Sequence[Sequence[int]]) -> Block:
    """A block of these rows, pack after pack."""
    order = [(rows[index], pack) for pack, members in enumerate(packs) for index in members]
    columns = [
        [row.id for row, _ in order],
        [row.token_ids for row, _ in order],
        [row.learned for row, _ in order],
        [len(row.token_ids) for row, _ in order],
        [pack for _, pack in order],
    ]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
    return Block(pa.Table.from_arrays(arrays, schema=SCHEMA))


def to_bytes(block: Block) -> bytes:
    """As the cache folder keeps it: the SHA-256 of what follows, then an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, block.batch.schema) as writer:
        writer.write_batch(block.batch)
    payload: bytes = sink.getvalue().to_pybytes()
    return hashlib.sha256(payload).digest() + payload


def from_bytes(content: bytes) -> Block | None:
    """The block, or None where the bytes are not those that were written."""
    view = memoryview(content)
    if hashlib.sha256(view[32:]).digest() != content[:32]:
        return None
    return Block(pa.ipc.open_stream(pa.py_buffer(view[32:])).read_all())


def _flat(column: pa.ListArray) -> tuple[Any, Any]:
    """Values one after the other, and where each row's begin and end."""
    offsets = column.offsets.to_numpy()
    values = column.values.to_numpy()[offsets[0] : offsets[-1]]
    return values, offsets - offsets[0]
