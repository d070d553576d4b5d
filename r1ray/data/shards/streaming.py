"""Shards through Ray Data: batches out of one rank's iterator of `Dataset.streaming_split`, handed in as it is.

Reading is Ray Data's then: it deals blocks out as ranks ask for them, so a fast rank gets more and nothing can be
resumed. For a repeatable order, and for resume, there is `ShardLoader`.

    ray.data.read_parquet([f"{folder}/{file.name}" for file in manifest.files]).streaming_split(world)[rank]
"""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from r1ray.data.shards.block import Block
from r1ray.data.shards.rows import ShardRow


class BatchIterator(Protocol):
    """What is used of `ray.data.DataIterator`."""

    def iter_batches(self, **options: Any) -> Iterable[Any]:
        """Batches as Arrow tables."""
        ...


def stream_batches(iterator: BatchIterator, batch: int, prefetch: int = 2) -> Iterator[list[ShardRow]]:
    """One epoch of the rank's rows, `batch` at a time.

    Args:
        iterator: of one rank.
        batch: rows of this rank in a step.
        prefetch: batches that Ray Data fetches ahead.
    """
    for table in iterator.iter_batches(batch_size=batch, batch_format="pyarrow", prefetch_batches=prefetch):
        block = Block(table)
        yield [block.row(index) for index in range(len(block))]
