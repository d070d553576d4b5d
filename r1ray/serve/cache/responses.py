"""Answers by key: the replica's memory, then the shared store, then whoever is already computing it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from r1ray.serve.store.base import Store

Level = Literal["l1", "l3", "flight", "miss", "off"]


@dataclass(slots=True)
class Claim:
    """One request's dealings with the cache."""

    level: Level
    """Where the answer was found; `flight` = an equal request was being computed; `off` = the request has no key."""
    found: bytes | None = None
    """The answer. Where it is `None`, the holder of the claim computes it."""
    computed: bytes | None = None
    """What the holder leaves for others. A holder that fails, or is cancelled, leaves nothing."""


class ResponseCache:
    """Two levels and single flight.

    Args:
        local: this replica's memory; `None` = no first level.
        shared: what all replicas share; `None` = no third level. It must not raise: see `ResilientStore`.
        ttl_s: how long answers are kept.
    """

    def __init__(self, local: Store | None, shared: Store | None, *, ttl_s: float) -> None:
        self._local, self._shared, self._ttl_s = local, shared, ttl_s
        self._flights: dict[str, asyncio.Future[bytes | None]] = {}
        self.claims: Counter[str] = Counter()
        """Requests by level."""

    @asynccontextmanager
    async def claim(self, key: str | None) -> AsyncIterator[Claim]:
        """The answer under `key`, or the right to compute it: others with the same key wait until the block is left.

        Where the holder leaves no answer, the next one in line gets the claim; a failure is not shared.
        """
        if key is None:
            self.claims["off"] += 1
            yield Claim("off")
            return
        claim = await self._look_up(key)
        if claim is None:
            flight = self._flights[key]
            claim = Claim("miss")
            try:
                if found := await self._look_in_shared(key):
                    claim.level, claim.found = "l3", found
                self.claims[claim.level] += 1
                yield claim
            finally:
                answer = claim.found if claim.found is not None else claim.computed
                del self._flights[key]
                flight.set_result(answer)
            await self._keep(key, claim)
        else:
            self.claims[claim.level] += 1
            yield claim

    async def _look_up(self, key: str) -> Claim | None:
        """An answer; or `None`, and this request now leads the flight."""
        while True:
            if self._local is not None and (found := await self._local.get(key)) is not None:
                return Claim("l1", found)
            if (flight := self._flights.get(key)) is None:
                self._flights[key] = asyncio.get_running_loop().create_future()
                return None
            # Shielded: a waiter that leaves must not take the others' answer along.
            if (found := await asyncio.shield(flight)) is not None:
                return Claim("flight", found)

    async def _look_in_shared(self, key: str) -> bytes | None:
        return None if self._shared is None else await self._shared.get(key)

    async def _keep(self, key: str, claim: Claim) -> None:
        answer = claim.found if claim.found is not None else claim.computed
        if answer is None:
            return
        if self._local is not None:
            await self._local.put(key, answer, self._ttl_s)
        if self._shared is not None and claim.level == "miss":
            await self._shared.put(key, answer, self._ttl_s)
