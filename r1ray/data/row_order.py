"""Which rows come when: a function of (seed, epoch, offset) over stable row ids, so a resumed run sees the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from r1ray.data.epochs import EpochStream
from r1ray.data.ids import dataset_fingerprint
from r1ray.errors import CheckpointError, DataError


@dataclass(frozen=True, slots=True)
class Position:
    """Where the next batch begins."""

    epoch: int = 0
    offset: int = 0
    """Rows of the epoch that lie behind."""


class RowOrder:
    """Shuffled epochs. A batch never reaches into the next epoch, so an epoch shows every row exactly once.

    Rows of other domains may be mixed in: each epoch then takes so many of a domain's rows that they make up its share,
    going round a domain for itself, however small or large it is.
    """

    def __init__(
        self,
        lengths: Mapping[str, int],
        seed: int,
        mix: Mapping[str, tuple[Mapping[str, int], float]] | None = None,
        others: Mapping[str, int] | None = None,
    ) -> None:
        """
        Args:
            lengths: tokens of each row, by its id.
            seed: of the shuffles.
            mix: (lengths of its rows by id, share of all rows) of each further domain, by its name.
            others: lengths of rows that have no place in the order and may take that of one that has.

        Raises:
            DataError: there is no row, or one id names two.
        """
        if not lengths:
            raise DataError("There is no row to learn from.")
        self._main = sorted(lengths)
        self._lengths = {**lengths, **(others or {})}
        self._seed = seed
        self._extra: list[tuple[EpochStream, int]] = []
        domains = mix or {}
        own = 1.0 - sum(share for _, share in domains.values())
        for name, (rows, share) in sorted(domains.items()):
            if not rows or rows.keys() & self._lengths.keys():
                raise DataError(f"Domain {name!r} has no rows, or rows that another one has too.")
            count = max(1, round(len(self._main) * share / own))
            self._extra.append((EpochStream(sorted(rows), spacing=1, seed=f"{seed}/{name}"), count))
            self._lengths |= rows
        self.rows_per_epoch = len(self._main) + sum(count for _, count in self._extra)
        self.fingerprint = dataset_fingerprint(self._lengths)
        self._epoch, self._order = -1, list[str]()

    def length(self, row: str) -> int:
        """Tokens of a row."""
        return self._lengths[row]

    def take(self, at: Position, *, rows: int = 0, tokens: int = 0) -> tuple[list[str], Position]:
        """The next `rows` rows, or as many as `tokens` hold (one at least); and where the batch after them begins."""
        order = self._of(at.epoch)
        end = at.offset + rows if rows else at.offset
        if not rows:
            load = 0
            while end < len(order) and (end == at.offset or load + self._lengths[order[end]] <= tokens):
                load += self._lengths[order[end]]
                end += 1
        end = min(end, len(order))
        after = Position(at.epoch, end) if end < len(order) else Position(at.epoch + 1, 0)
        return order[at.offset : end], after

    def batches(self, epochs: int, **size: int) -> int:
        """Batches in `epochs` epochs, where all are of one size (as `take` has it)."""
        count, at = 0, Position()
        while at.epoch < epochs:
            _, at = self.take(at, **size)
            count += 1
        return count

    def fraction(self, at: Position, epochs: int) -> float:
        """Share of `epochs` epochs that lies behind a position."""
        return min(1.0, (at.epoch + at.offset / self.rows_per_epoch) / epochs)

    def state(self) -> dict[str, Any]:
        """What a position is worth nothing without; JSON-serialisable."""
        return {"fingerprint": self.fingerprint, "rows": len(self._lengths), "seed": self._seed}

    def check(self, state: Mapping[str, Any]) -> None:
        """Compare with the `state` of the run that is resumed.

        Raises:
            CheckpointError: the rows, or the order of them, are not what they were.
        """
        if dict(state) != self.state():
            raise CheckpointError(
                f"The checkpoint was made with other rows: {state['rows']} with fingerprint {state['fingerprint']} and "
                f"seed {state['seed']}; these are {len(self._lengths)} with {self.fingerprint} and seed {self._seed}. "
                "Resume with the same files and settings, or start a new run from its weights (--policy.path)."
            )

    def _of(self, epoch: int) -> list[str]:
        if epoch != self._epoch:
            order = list(self._main)
            for stream, count in self._extra:
                order += stream.take(epoch * count, count)
            Random(f"{self._seed}/rows/{epoch}").shuffle(order)
            self._epoch, self._order = epoch, order
        return self._order


def share_of(rows: list[str], length: Callable[[str], int], rank: int, ranks: int) -> list[str]:
    """This rank's rows of a batch: dealt out longest first, so that ranks have about as much to do."""
    ranked = sorted(rows, key=lambda row: (-length(row), row))
    loads, shares = [0] * ranks, [list[str]() for _ in range(ranks)]
    for row in ranked:
        least = min(range(ranks), key=lambda r: loads[r])
        loads[least] += length(row)
        shares[least].append(row)
    return shares[rank]
