"""The arithmetic of a token bucket, in one place: the in-process store calls it, the Redis script says it in Lua."""

from r1ray.serve.store.base import Bucket


def take(tokens: float, elapsed_s: float, cost: float, bucket: Bucket) -> tuple[float, float]:
    """(tokens left, seconds to wait; 0 = taken) of a bucket that had `tokens` some seconds ago."""
    tokens = min(bucket.burst, tokens + max(0.0, elapsed_s) * bucket.rate)
    if cost <= 0:
        return min(bucket.burst, tokens - cost), 0.0
    missing = min(cost, bucket.burst) - tokens
    if missing <= 1e-9:
        return tokens - cost, 0.0
    return tokens, missing / bucket.rate if bucket.rate > 0 else float("inf")
