"""Three tiers of blocks: memory for those needed soonest, a local folder for the next, the source for the rest.

What is needed soonest is known: the order of the epochs is. So each tier evicts the block whose next use is furthest
away, which no other rule can better (Belady 1966). Where the order is not known, the block that was used least goes.
"""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from r1ray.data.shards.block import Block, from_bytes, to_bytes
from r1ray.data.shards.source import ShardSource

MEMORY, DISK, SOURCE, DAMAGED = "memory", "disk", "source", "damaged"
_SUFFIX = ".block"
_HEADER = 4096
"""Bytes by which a file may be larger than its block is in memory: hash, schema, padding."""


@dataclass(slots=True)
class _Resident:
    """A block in a tier."""

    nbytes: int
    next_use: int
    block: Block | None = None


class TieredStore:
    """Blocks by number, from the fastest tier that has them. Safe for many threads.

    Args:
        source: reads and verifies.
        memory_bytes: bound of the first tier.
        disk_bytes: bound of the second.
        cache: folder of the second, for this process alone. What a former process left there is taken over.
        next_use: (block, position) -> position of its next use; None = unknown, uses are counted instead.
    """

    def __init__(
        self,
        source: ShardSource,
        *,
        memory_bytes: int,
        disk_bytes: int,
        cache: Path | None,
        next_use: Callable[[int, int], int] | None = None,
    ) -> None:
        self._source = source
        self._next_use = next_use or (lambda block, position: 0)
        self._bounds = {MEMORY: memory_bytes, DISK: disk_bytes if cache else 0}
        self._cache = cache
        self._tiers: dict[str, dict[int, _Resident]] = {MEMORY: {}, DISK: {}}
        self._sizes = {MEMORY: 0, DISK: 0}
        self._uses: Counter[int] = Counter()
        self._loading: dict[int, Future[Block]] = {}
        self._lock = threading.RLock()
        self.hits: Counter[str] = Counter()
        """Requests served by `memory`, `disk` and `source`; cache files found `damaged` are also the source's."""
        if cache and disk_bytes:
            cache.mkdir(parents=True, exist_ok=True)
            self._adopt()

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes that each tier holds."""
        return dict(self._sizes)

    def get(self, number: int, position: int = 0) -> Block:
        """The block.

        Args:
            number: of the block.
            position: first position in the order that this request does not serve; next uses are looked for from here.
        """
        with self._lock:
            self._uses[number] += 1
            next_use = self._next_use(number, position)
            for tier in self._tiers.values():
                if number in tier:
                    tier[number].next_use = next_use
            found = self._tiers[MEMORY].get(number)
            if found is not None:
                self.hits[MEMORY] += 1
                assert found.block is not None
                return found.block
            loading = self._loading.get(number)
            if loading is None:
                mine: Future[Block] = Future()
                self._loading[number] = mine
            else:
                self.hits[MEMORY] += 1  # somebody else's read serves this request too
        if loading is not None:
            return loading.result()
        try:
            block = self._load(number)
        except BaseException as error:
            with self._lock:
                del self._loading[number]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._loading[number]
            self._keep(MEMORY, number, _Resident(block.nbytes, next_use, block))
        mine.set_result(block)
        return block

    def _load(self, number: int) -> Block:
        if number in self._tiers[DISK]:
            block = self._from_disk(number)
            with self._lock:
                if block is not None:
                    self.hits[DISK] += 1
                    return block
                if number in self._tiers[DISK]:  # else it was evicted a moment ago
                    self.hits[DAMAGED] += 1
                    self._drop(DISK, number)
        block = self._source.read(number)
        with self._lock:
            self.hits[SOURCE] += 1
        return block

    def _from_disk(self, number: int) -> Block | None:
        """None where the file is gone or is not what was written."""
        try:
            content = self._file(number).read_bytes()
        except OSError:
            return None
        return from_bytes(content)

    def _keep(self, name: str, number: int, resident: _Resident) -> None:
        """Put a block into a tier if it is hotter than what would have to go; what does not stay goes one tier down."""
        tier = self._tiers[name]
        if name == DISK:
            resident = _Resident(resident.nbytes + _HEADER, resident.next_use, resident.block)
            if number in tier:
                tier[number].next_use = resident.next_use
                return
        room = self._bounds[name] - self._sizes[name]
        victims: list[int] = []
        for victim in self._coldest_first(name) if room < resident.nbytes else ():
            if room >= resident.nbytes:
                break
            if self._coldness(name, victim, tier[victim]) <= self._coldness(name, number, resident):
                break
            victims.append(victim)
            room += tier[victim].nbytes
        stays = room >= resident.nbytes and (name == MEMORY or self._to_disk(number, resident))
        if stays:
            moved = [(victim, self._drop(name, victim)) for victim in victims]
            tier[number] = resident if name == MEMORY else _Resident(resident.nbytes, resident.next_use)
            self._sizes[name] += resident.nbytes
        else:
            moved = [(number, resident)]
        if name == MEMORY:
            for below, left in moved:
                self._keep(DISK, below, left)

    def _coldest_first(self, name: str) -> list[int]:
        tier = self._tiers[name]
        return sorted(tier, key=lambda number: self._coldness(name, number, tier[number]), reverse=True)

    def _coldness(self, name: str, number: int, resident: _Resident) -> tuple[bool, int, int, int]:
        """Greater = goes first. A file whose block is in memory too is needed least of all."""
        doubled = name == DISK and number in self._tiers[MEMORY]
        return doubled, resident.next_use, -self._uses[number], number

    def _drop(self, name: str, number: int) -> _Resident:
        resident = self._tiers[name].pop(number)
        self._sizes[name] -= resident.nbytes
        if name == DISK:
            with suppress(OSError):
                self._file(number).unlink()
        return resident

    def _to_disk(self, number: int, resident: _Resident) -> bool:
        """Whether the file is there in the end: a full disk costs speed, nothing else."""
        if self._cache is None or resident.block is None:
            return False
        path = self._file(number)
        temporary = path.with_suffix(".tmp")
        try:
            content = to_bytes(resident.block)
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            return False
        return True

    def _file(self, number: int) -> Path:
        assert self._cache is not None
        return self._cache / f"{self._source.entries[number].digest}{_SUFFIX}"

    def _adopt(self) -> None:
        """Take over the files that are there, as far as the bound goes; all others are removed."""
        assert self._cache is not None
        names = {f"{entry.digest}{_SUFFIX}": number for number, entry in enumerate(self._source.entries)}
        for path in sorted(self._cache.iterdir()):
            number = names.get(path.name)
            nbytes = path.stat().st_size
            if number is None or self._sizes[DISK] + nbytes > self._bounds[DISK]:
                path.unlink(missing_ok=True)
                continue
            self._tiers[DISK][number] = _Resident(nbytes, self._next_use(number, 0))
            self._sizes[DISK] += nbytes
