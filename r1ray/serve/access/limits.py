"""Rates and quotas of a key, the same for all replicas: token buckets and counters in the shared store."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from r1ray.serve.access.errors import RateLimited
from r1ray.serve.store.base import Bucket, Store

_DAY = 86400


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Of one key; 0 = none."""

    requests_per_minute: float = 0.0
    tokens_per_minute: float = 0.0
    tokens_per_day: int = 0


class Limiter:
    """Takes before the work, gives back after it what was not used.

    Args:
        store: shared by all replicas; it must not raise.
        now: seconds since 1970.
    """

    def __init__(self, store: Store, now: Callable[[], float] = time.time) -> None:
        self._store, self._now = store, now

    async def admit(self, key_id: str, tokens: int, limits: Limits) -> None:
        """Take a request and the tokens that it may come to.

        Raises:
            RateLimited: a limit is reached; then nothing is taken.
        """
        if limits.requests_per_minute:
            wait = await self._take(key_id, "requests", 1, limits.requests_per_minute)
            if wait:
                raise RateLimited(wait, f"Rate limit reached: {limits.requests_per_minute:g} requests a minute.")
        if limits.tokens_per_minute:
            wait = await self._take(key_id, "tokens", tokens, limits.tokens_per_minute)
            if wait:
                await self._give_back(key_id, limits, requests=1)
                raise RateLimited(
                    wait, f"Rate limit reached: {limits.tokens_per_minute:g} tokens a minute; this takes {tokens}."
                )
        if limits.tokens_per_day:
            used = await self._store.add(self._quota(key_id), tokens, 2 * _DAY)
            if used > limits.tokens_per_day:
                await self._store.add(self._quota(key_id), -tokens, 2 * _DAY)
                await self._give_back(key_id, limits, requests=1, tokens=tokens)
                raise RateLimited(
                    _DAY - self._now() % _DAY,
                    f"Quota reached: {limits.tokens_per_day} tokens a day, of which {used - tokens} are used and this "
                    f"request takes {tokens}.",
                )

    async def settle(self, key_id: str, reserved: int, used: int, limits: Limits) -> None:
        """Give back what was reserved and not used; or take what was used beyond."""
        spare = reserved - used
        if spare and limits.tokens_per_day:
            await self._store.add(self._quota(key_id), -spare, 2 * _DAY)
        if spare > 0:
            await self._give_back(key_id, limits, tokens=spare)

    async def _give_back(self, key_id: str, limits: Limits, *, requests: int = 0, tokens: int = 0) -> None:
        if requests and limits.requests_per_minute:
            await self._take(key_id, "requests", -requests, limits.requests_per_minute)
        if tokens and limits.tokens_per_minute:
            await self._take(key_id, "tokens", -tokens, limits.tokens_per_minute)

    async def _take(self, key_id: str, what: str, cost: float, per_minute: float) -> float:
        return await self._store.take(f"rate/{what}/{key_id}", cost, Bucket(per_minute / 60, per_minute))

    def _quota(self, key_id: str) -> str:
        return f"quota/{key_id}/{int(self._now() // _DAY)}"
