"""A store in this process: the embedded default, and what an actor holds for several replicas."""

import time
from collections import OrderedDict
from collections.abc import Callable

from r1ray.serve.store import bucket as buckets
from r1ray.serve.store.base import Bucket

_SWEEP = 4096
"""Counters and buckets beyond which the dead ones are looked for."""


class MemoryStore:
    """Values up to a bound in bytes, the least recently used going first; counters and buckets besides.

    Args:
        max_bytes: of all values and their keys together.
        clock: seconds; only differences count.
    """

    def __init__(self, max_bytes: int = 64 * 2**20, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes, self._clock = max_bytes, clock
        self._values: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._counters: dict[str, tuple[int, float]] = {}
        self._buckets: dict[str, tuple[float, float, float]] = {}
        self.bytes = 0
        """Held now."""

    async def get(self, key: str) -> bytes | None:
        """The value; it is now the most recently used."""
        if (found := self._values.get(key)) is None:
            return None
        if found[1] <= self._clock():
            self._forget(key)
            return None
        self._values.move_to_end(key)
        return found[0]

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value; one that alone exceeds the bound is not kept."""
        if key in self._values:
            self._forget(key)
        if len(key) + len(value) > self._max_bytes:
            return
        self._values[key] = (value, self._clock() + ttl_s)
        self.bytes += len(key) + len(value)
        while self.bytes > self._max_bytes:
            self._forget(next(iter(self._values)))

    async def add(self, key: str, amount: int, ttl_s: float) -> int:
        """Add to a counter."""
        now = self._clock()
        value, ends = self._counters.get(key, (0, 0.0))
        if ends <= now:
            value, ends = 0, now + ttl_s
        self._counters[key] = (value + amount, ends)
        if len(self._counters) > _SWEEP:
            self._counters = {name: entry for name, entry in self._counters.items() if entry[1] > now}
        return value + amount

    async def take(self, key: str, cost: float, bucket: Bucket) -> float:
        """Take from a bucket."""
        now = self._clock()
        tokens, seen, _ = self._buckets.get(key, (bucket.burst, now, 0.0))
        left, wait = buckets.take(tokens, now - seen, cost, bucket)
        full_at = now + (bucket.burst - left) / bucket.rate if bucket.rate > 0 else float("inf")
        self._buckets[key] = (left, now, full_at)
        if len(self._buckets) > _SWEEP:  # a full bucket is as good as none
            self._buckets = {name: entry for name, entry in self._buckets.items() if entry[2] > now}
        return wait

    def _forget(self, key: str) -> None:
        value, _ = self._values.pop(key)
        self.bytes -= len(key) + len(value)
