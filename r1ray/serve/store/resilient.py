"""A shared store whose failure no request notices: while it is down, this replica's own store stands in."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from r1ray.serve.store.base import Bucket, Store

T = TypeVar("T")


class ResilientStore:
    """Every call goes to the shared store; one that fails or is late is answered by the local one instead.

    After a failure the shared store is left alone for `cooldown_s`, so that a dead one costs one timeout now and then
    rather than one a request. Limits are then kept per replica, and cached values are this replica's own.

    Args:
        shared: Redis, or a handle to an actor.
        local: of this process.
        timeout_s: of one call to the shared store.
        cooldown_s: how long it is left alone after a failure.
        clock: seconds.
    """

    def __init__(
        self,
        shared: Store,
        local: Store,
        *,
        timeout_s: float = 0.5,
        cooldown_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared, self._local = shared, local
        self._timeout_s, self._cooldown_s, self._clock = timeout_s, cooldown_s, clock
        self._again_at = float("-inf")
        self.failures = 0
        """Calls that the shared store failed."""

    @property
    def is_degraded(self) -> bool:
        """Whether the shared store is being left alone."""
        return self._clock() < self._again_at

    async def get(self, key: str) -> bytes | None:
        """The value."""
        return await self._either(lambda store: store.get(key))

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value."""
        await self._either(lambda store: store.put(key, value, ttl_s))

    async def add(self, key: str, amount: int, ttl_s: float) -> int:
        """Add to a counter."""
        return await self._either(lambda store: store.add(key, amount, ttl_s))

    async def take(self, key: str, cost: float, bucket: Bucket) -> float:
        """Take from a bucket."""
        return await self._either(lambda store: store.take(key, cost, bucket))

    async def _either(self, call: Callable[[Store], Awaitable[T]]) -> T:
        if not self.is_degraded:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await call(self._shared)
            except Exception:  # whatever a client of a network raises
                self.failures += 1
                self._again_at = self._clock() + self._cooldown_s
        return await call(self._local)
