"""What a shared store can do. Whoever holds one cannot tell an in-process store from an actor's or from Redis."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: it holds `burst` tokens at most and gains `rate` of them a second."""

    rate: float
    burst: float


class Store(Protocol):
    """Values, counters and token buckets by name; every operation is atomic."""

    async def get(self, key: str) -> bytes | None:
        """The value, or `None` where there is none (any more)."""
        ...

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep the value for `ttl_s` seconds at most; a full store may forget it sooner."""
        ...

    async def add(self, key: str, amount: int, ttl_s: float) -> int:
        """Add to a counter, which starts at 0 and lives for `ttl_s` seconds from its first addition; its new value."""
        ...

    async def take(self, key: str, cost: float, bucket: Bucket) -> float:
        """Take `cost` tokens from a bucket, which starts full; a negative cost gives tokens back.

        Returns 0 where they were there; else the seconds until they would be, and nothing is taken. A cost beyond
        `burst` waits for a full bucket and leaves it in debt: a large request is delayed, never refused for good.
        """
        ...
