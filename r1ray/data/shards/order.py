"""In which order the items of shards come: a function of seed and epoch, so a run goes on wherever it stopped.

Items (rows or packs) are numbered through all blocks. A key is computed for each from (seed, epoch, number) by integer
arithmetic alone, and sorting by it shuffles: the same order in every process, on every machine, with every library.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
NEVER = 1 << 62
"""Position of a use that never comes."""
_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)  # of SplitMix64


class ShardOrder:
    """An endless row of shuffled epochs over N items; position p is item p mod N of epoch p div N.

    Args:
        items_per_block: how many items each block has.
        seed: of the shuffles.
        window_blocks: blocks whose items are shuffled with each other; 0 = all.
        batch: positions of one step, all ranks together.
        rank: whose uses `next_use` looks for.
        world: number of ranks.
    """

    def __init__(
        self, items_per_block: Sequence[int], *, seed: int, window_blocks: int, batch: int, rank: int, world: int
    ) -> None:
        self._counts = np.asarray(items_per_block, np.int64)
        self._ends = np.cumsum(self._counts)
        self._seed, self._window = seed, window_blocks or len(self._counts)
        self._batch, self._rank, self._world = batch, rank, world
        self._epochs: dict[int, Ints] = {}
        self._uses: dict[int, tuple[Ints, Ints]] = {}

    def __len__(self) -> int:
        """Items in an epoch."""
        return int(self._ends[-1])

    def items(self, begin: int, end: int) -> list[tuple[int, int]]:
        """(block, place in it) of the items at these positions that belong to the rank: every `world`-th of a step."""
        positions = np.arange(begin, end)
        positions = positions[self._mine(positions)]
        items = np.array([self._epoch(p // len(self))[p % len(self)] for p in positions.tolist()], np.int64)
        blocks = np.searchsorted(self._ends, items, "right")
        return list(zip(blocks.tolist(), (items - self._ends[blocks] + self._counts[blocks]).tolist(), strict=True))

    def next_use(self, block: int, position: int) -> int:
        """The first position from `position` on at which the rank reads from this block, as far as the end of the next
        epoch; `NEVER` where there is none."""
        for epoch in (position // len(self), position // len(self) + 1):
            positions, ends = self._uses_in(epoch)
            uses = positions[ends[block] : ends[block + 1]]
            place = int(np.searchsorted(uses, position))
            if place < len(uses):
                return int(uses[place])
        return NEVER

    def _mine(self, positions: Ints) -> NDArray[np.bool_]:
        mine: NDArray[np.bool_] = positions % self._batch % self._world == self._rank
        return mine

    def _epoch(self, epoch: int) -> Ints:
        """Item numbers in the order of this epoch."""
        order = self._epochs.get(epoch)
        if order is None:
            ranks = np.argsort(np.argsort(self._keys("blocks", epoch, len(self._counts)), kind="stable"), kind="stable")
            windows = np.repeat(ranks // self._window, self._counts)
            order = np.lexsort((self._keys("items", epoch, len(self)), windows)).astype(np.int64)
            # A new dictionary, and no second look into it: other threads ask for next uses meanwhile.
            self._epochs = {key: kept for key, kept in self._epochs.items() if abs(key - epoch) <= 2} | {epoch: order}
        return order

    def _uses_in(self, epoch: int) -> tuple[Ints, Ints]:
        """The rank's positions in this epoch, block after block, and where each block's begin and end."""
        if epoch not in self._uses:
            positions = epoch * len(self) + np.arange(len(self))
            mine = self._mine(positions)
            blocks = np.searchsorted(self._ends, self._epoch(epoch)[mine], "right")
            by_block = positions[mine][np.argsort(blocks, kind="stable")]
            ends = np.concatenate([[0], np.cumsum(np.bincount(blocks, minlength=len(self._counts)))])
            kept = {key: uses for key, uses in self._uses.items() if abs(key - epoch) <= 2}
            self._uses = kept | {epoch: (by_block, ends.astype(np.int64))}
        return self._uses[epoch]

    def _keys(self, name: str, epoch: int, count: int) -> NDArray[np.uint64]:
        """SplitMix64 (Steele, Lea and Flood 2014) of the numbers 0 … count-1, from a start that the name gives."""
        start = hashlib.sha256(f"{self._seed}/{epoch}/{name}".encode()).digest()[:8]
        with np.errstate(over="ignore"):
            keys = np.uint64(int.from_bytes(start, "little")) + np.arange(count, dtype=np.uint64) * np.uint64(_MIX[0])
            keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(_MIX[1])
            keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(_MIX[2])
            mixed: NDArray[np.uint64] = keys ^ (keys >> np.uint64(31))
        return mixed
