"""Batches of token rows for one rank: drawn by `order`, fetched ahead through the tiers, resumed exactly."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from r1ray.config.shards import LoaderConfig
from r1ray.data.shards.order import ShardOrder
from r1ray.data.shards.rows import ShardRow
from r1ray.data.shards.source import ShardSource
from r1ray.data.shards.tiers import DAMAGED, DISK, MEMORY, SOURCE, TieredStore
from r1ray.errors import CheckpointError, ConfigError

_Taken = tuple[list[int], Future[list[list[ShardRow]]]]
"""Places in the batch, and the rows that come there."""


class ShardLoader:
    """Iterate over it for the rank's share of one step after the other.

    A step draws `config.batch` rows or packs; rank r takes each `world`-th of them, from the r-th on: together the
    ranks take every one once. Where the tiers stand, how many threads there are and how far ahead they read changes
    speed alone.

    Args:
        source: an open folder of shards.
        config: batch, order, tiers.
        rank: of this process.
        world: number of ranks.
        epochs: after so many the iteration ends, the last step with what is left; None = it never does.
    """

    def __init__(
        self, source: ShardSource, config: LoaderConfig, *, rank: int = 0, world: int = 1, epochs: int | None = None
    ) -> None:
        if not 0 <= rank < world or config.batch < world:
            raise ConfigError(
                f"Rank {rank} of {world} takes part in batches of {config.batch}; expected 0 <= rank < ranks, and "
                "loader.batch of at least one for each rank."
            )
        counts = [entry.rows if config.unit == "row" else entry.packs for entry in source.entries]
        self._order = ShardOrder(
            counts, seed=config.seed, window_blocks=config.window_blocks, batch=config.batch, rank=rank, world=world
        )
        self._config, self._source = config, source
        self._end = None if epochs is None else epochs * len(self._order)
        self._position = 0
        self._store = open_store(source, config, rank, next_use=self._order.next_use)

    def __iter__(self) -> Iterator[list[ShardRow]]:
        with ThreadPoolExecutor(self._config.threads, thread_name_prefix="shards") as pool:
            ahead: deque[tuple[int, list[_Taken]]] = deque()
            begin = self._position
            try:
                while True:
                    while len(ahead) <= self._config.prefetch and (self._end is None or begin < self._end):
                        end = begin - begin % self._config.batch + self._config.batch
                        end = end if self._end is None else min(end, self._end)
                        ahead.append((end, self._request(pool, begin, end)))
                        begin = end
                    if not ahead:
                        return
                    reached, taken = ahead.popleft()
                    batch = _assemble(taken)
                    self._position = reached
                    yield batch
            finally:
                for _, taken in ahead:
                    for _, future in taken:
                        future.cancel()

    def state(self) -> dict[str, Any]:
        """Where the next batch begins, for a checkpoint; the same on every rank, and whatever their number."""
        epoch, offset = divmod(self._position, len(self._order))
        return {**self._settings(), "epoch": epoch, "offset": offset}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; takes effect on the next iteration.

        Raises:
            CheckpointError: it was taken with other shards or another order.
        """
        for name, value in self._settings().items():
            if state.get(name) != value:
                raise CheckpointError(
                    f"The checkpoint's rows were drawn with {name} = {state.get(name)}, this run has {value}. Resume "
                    "with the same shards and loader.* settings, or start a new run from its weights."
                )
        self._position = state["epoch"] * len(self._order) + state["offset"]

    @property
    def items_per_epoch(self) -> int:
        """Rows, or packs."""
        return len(self._order)

    def figures(self) -> dict[str, float]:
        """How many requests each tier served so far, and the bytes that the tiers hold."""
        counts = {f"data/{tier}_hits": float(self._store.hits[tier]) for tier in (MEMORY, DISK, SOURCE, DAMAGED)}
        return counts | {f"data/{tier}_bytes": float(size) for tier, size in self._store.sizes.items()}

    def _settings(self) -> dict[str, Any]:
        config = self._config
        names = {name: getattr(config, name) for name in ("batch", "unit", "seed", "window_blocks")}
        return {"content_hash": self._source.manifest.content_hash, **names}

    def _request(self, pool: ThreadPoolExecutor, begin: int, end: int) -> list[_Taken]:
        """One task for each block that the batch needs."""
        by_block: dict[int, tuple[list[int], list[int]]] = {}
        for place, (block, index) in enumerate(self._order.items(begin, end)):
            places, indices = by_block.setdefault(block, ([], []))
            places.append(place)
            indices.append(index)
        return [(places, pool.submit(self._take, block, indices, end)) for block, (places, indices) in by_block.items()]

    def _take(self, number: int, indices: list[int], position: int) -> list[list[ShardRow]]:
        """The rows of each item."""
        block = self._store.get(number, position)
        if self._config.unit == "row":
            return [[block.row(index)] for index in indices]
        return [[block.row(row) for row in block.packs[index]] for index in indices]


def open_store(
    source: ShardSource, config: LoaderConfig, rank: int, next_use: Callable[[int, int], int] | None = None
) -> TieredStore:
    """Tiers of the sizes that the configuration gives; small shards stay in memory whole."""
    total = sum(entry.nbytes for entry in source.entries)
    small = total <= config.small_bytes
    disk_bytes = 0 if small else min(config.disk_bytes, int(config.disk_share * total))
    return TieredStore(
        source,
        memory_bytes=config.small_bytes if small else min(config.memory_bytes, int(config.memory_share * total)),
        disk_bytes=disk_bytes,
        cache=cache_folder(config.cache, source.manifest.content_hash, rank) if disk_bytes else None,
        next_use=next_use,
    )


def cache_folder(folder: str, content_hash: str, rank: int) -> Path:
    """Where a rank's second tier lies: a folder of its own, so that bounds hold and no two processes share files."""
    root = (
        Path(folder).expanduser() if folder else Path(os.environ.get("R1RAY_CACHE") or Path.home() / ".cache" / "r1ray")
    )
    return root / "shards" / content_hash[:16] / f"rank-{rank}"


def _assemble(taken: list[_Taken]) -> list[ShardRow]:
    """The batch in its order, once all of it is there."""
    found: dict[int, list[ShardRow]] = {}
    for places, future in taken:
        found.update(zip(places, future.result(), strict=True))
    return [row for place in sorted(found) for row in found[place]]
