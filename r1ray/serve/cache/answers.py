"""The cache as the ingress sees it: requests in, whole answers out."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from r1ray.config.serve_parts import CacheConfig
from r1ray.serve.cache.key import Origin, is_deterministic, response_key
from r1ray.serve.cache.responses import Level, ResponseCache
from r1ray.serve.store.base import Store
from r1ray.serve.store.memory import MemoryStore


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """What a response has beside its id and its date."""

    choices: list[dict[str, Any]]
    usage: dict[str, Any]


@dataclass(slots=True)
class AnswerClaim:
    """See `responses.Claim`."""

    level: Level
    found: CachedAnswer | None
    computed: CachedAnswer | None = None


class AnswerCache:
    """Answers by request.

    Args:
        config: levels and which requests count.
        shared: the store of all replicas; used where `config.shared` says so.
    """

    def __init__(self, config: CacheConfig, shared: Store | None = None) -> None:
        local = MemoryStore(int(config.mib * 2**20)) if config.mib > 0 else None
        self._config = config
        self._responses = ResponseCache(local, shared if config.shared else None, ttl_s=config.ttl_s)
        self.claims = self._responses.claims
        """Requests by level: `l1`, `l3`, `flight`, `miss`, `off`."""

    def key(self, endpoint: str, fields: Mapping[str, Any], origin: Origin) -> str | None:
        """The key of a request; `None` where its answer is neither looked up nor kept. The field `cache` (a boolean)
        says it for one request, whatever it draws."""
        asked = fields.get("cache")
        wanted = asked if isinstance(asked, bool) else self._config.sampled or is_deterministic(fields)
        return response_key(endpoint, fields, origin) if self._config.enabled and wanted else None

    @asynccontextmanager
    async def claim(self, key: str | None) -> AsyncIterator[AnswerClaim]:
        """An answer, or the right to compute it: equal requests wait until the block is left."""
        async with self._responses.claim(key) as raw:
            found = None if raw.found is None else CachedAnswer(**json.loads(raw.found))
            claim = AnswerClaim(raw.level, found)
            yield claim
            if claim.computed is not None:
                raw.computed = json.dumps(asdict(claim.computed), separators=(",", ":")).encode()
