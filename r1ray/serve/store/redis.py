"""A store in Redis, shared by every replica on every host. Needs the extra `r1ray[serve]`."""

from typing import Any

from r1ray.errors import ConfigError
from r1ray.serve.store.base import Bucket

_TAKE = """
local now = redis.call('TIME')
now = tonumber(now[1]) + tonumber(now[2]) / 1e6
local cost, rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local held = redis.call('HMGET', KEYS[1], 'tokens', 'seen')
local tokens, seen = tonumber(held[1]) or burst, tonumber(held[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - seen) * rate)
local wait = 0
if cost <= 0 then
  tokens = math.min(burst, tokens - cost)
else
  local missing = math.min(cost, burst) - tokens
  if missing <= 1e-9 then tokens = tokens - cost
  elseif rate > 0 then wait = missing / rate
  else wait = -1 end
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.17g', tokens), 'seen', string.format('%.17g', now))
if rate > 0 then redis.call('EXPIRE', KEYS[1], math.ceil((burst - tokens) / rate) + 1) end
return string.format('%.17g', wait)
"""


class RedisStore:
    """Values, counters and buckets under a prefix of one Redis database.

    Redis bounds its own memory: start it with `maxmemory` and `maxmemory-policy allkeys-lru`, or `volatile-lru` where
    it holds other things as well.

    Args:
        url: `redis://host:6379/0`, `rediss://user:password@host/0` or `unix:///path`.
        prefix: of every key.
        timeout_s: after which a call fails.
    """

    def __init__(self, url: str, *, prefix: str = "r1ray:", timeout_s: float = 0.25) -> None:
        try:
            from redis.asyncio import Redis
        except ImportError as error:
            raise ConfigError(
                f"{url} needs the package redis: pip install 'r1ray[serve]'. An empty URL is the embedded store."
            ) from error
        self._client: Any = Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
        self._take = self._client.register_script(_TAKE)
        self._prefix = prefix

    async def get(self, key: str) -> bytes | None:
        """The value."""
        value: bytes | None = await self._client.get(self._prefix + key)
        return value

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value."""
        await self._client.set(self._prefix + key, value, px=max(1, round(ttl_s * 1000)))

    async def add(self, key: str, amount: int, ttl_s: float) -> int:
        """Add to a counter; both commands in one transaction."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.incrby(self._prefix + key, amount)
            pipe.expire(self._prefix + key, max(1, round(ttl_s)), nx=True)
            value, _ = await pipe.execute()
        return int(value)

    async def take(self, key: str, cost: float, bucket: Bucket) -> float:
        """Take from a bucket, by the server's clock."""
        wait = float(await self._take(keys=[self._prefix + key], args=[cost, bucket.rate, bucket.burst]))
        return float("inf") if wait < 0 else wait

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()
