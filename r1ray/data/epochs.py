"""An endless row of shuffled epochs in which no id comes back too soon."""

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from random import Random


class EpochStream:
    """Every id once an epoch, in a new order each epoch; any `spacing` ids in a row are different, as far as there are
    so many.

    An ordinary shuffle would let the end of one epoch and the beginning of the next put one id into a batch twice.
    """

    def __init__(self, ids: Sequence[str], *, spacing: int, seed: str) -> None:
        self._ids = list(ids)
        self._spacing = min(spacing, len(self._ids))
        self._seed = seed
        self._first = self._shuffled(0)
        self._epoch, self._order = 0, self._first

    def __len__(self) -> int:
        """Ids in an epoch."""
        return len(self._ids)

    def take(self, start: int, count: int) -> list[str]:
        """The ids at positions `start` … `start + count - 1` of the row."""
        taken = []
        for position in range(start, start + count):
            epoch, offset = divmod(position, len(self._ids))
            taken.append(self._ids[self._order_of(epoch)[offset]])
        return taken

    def _order_of(self, epoch: int) -> list[int]:
        """Each epoch's order depends on the one before it, so going back means beginning anew."""
        if epoch < self._epoch:
            self._epoch, self._order = 0, self._first
        while self._epoch < epoch:
            self._epoch += 1
            self._order = self._spaced(self._order, self._shuffled(self._epoch))
        return self._order

    def _shuffled(self, epoch: int) -> list[int]:
        order = list(range(len(self._ids)))
        Random(f"{self._seed}/{epoch}").shuffle(order)
        return order

    def _spaced(self, before: list[int], shuffled: list[int]) -> list[int]:
        """The shuffled order, but what ended the epoch before waits until it is `spacing` places away."""
        rank = {index: place for place, index in enumerate(shuffled)}
        free = len(before) - self._spacing
        waiting = [rank[index] for index in before[:free]]
        heapify(waiting)
        order = []
        for index in before[free:]:
            heappush(waiting, rank[index])
            order.append(shuffled[heappop(waiting)])
        return order + [shuffled[place] for place in sorted(waiting)]
