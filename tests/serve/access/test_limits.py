"""Rates and quotas hold over replicas; refused requests cost nothing; what is not used comes back."""

import asyncio
import pickle

import pytest

from r1ray.serve.access.errors import AccessDenied, RateLimited
from r1ray.serve.access.gate import Gate
from r1ray.serve.access.limits import Limiter, Limits
from r1ray.serve.store.memory import MemoryStore

NOON = 86400 * 20000 + 43200.0


class Clock:
    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def admitted(limiter: Limiter, limits: Limits, tokens: int = 10, key: str = "k") -> float:
    """0, or the seconds to wait."""
    try:
        await limiter.admit(key, tokens, limits)
    except RateLimited as error:
        return error.retry_after_s
    return 0.0


def test_two_replicas_keep_one_rate_together_and_keys_are_apart():
    async def scenario() -> None:
        store, limits = MemoryStore(clock=Clock()), Limits(requests_per_minute=6)
        replicas = Limiter(store), Limiter(store)
        waits = [await admitted(replicas[number % 2], limits) for number in range(7)]
        assert waits[:6] == [0] * 6
        assert waits[6] == pytest.approx(10)
        assert await admitted(replicas[0], limits, key="other") == 0

    asyncio.run(scenario())


def test_tokens_that_were_reserved_and_not_used_come_back():
    async def scenario() -> None:
        limiter, limits = Limiter(MemoryStore(clock=Clock())), Limits(tokens_per_minute=100)
        assert await admitted(limiter, limits, 80) == 0
        assert await admitted(limiter, limits, 80) == pytest.approx(36)
        await limiter.settle("k", 80, 20, limits)
        assert await admitted(limiter, limits, 80) == 0

    asyncio.run(scenario())


def test_a_request_that_one_limit_refuses_costs_nothing_at_the_others():
    async def scenario() -> None:
        clock = Clock()
        limiter = Limiter(MemoryStore(clock=clock), Clock(NOON))
        limits = Limits(requests_per_minute=2, tokens_per_minute=100, tokens_per_day=150)
        assert await admitted(limiter, limits, 100) == 0
        assert await admitted(limiter, limits, 100) > 0, "tokens of the minute"
        clock.now = 60.0
        assert await admitted(limiter, limits, 60) == 43200, "quota of the day, until midnight"
        assert await admitted(limiter, limits, 50) == 0
        assert await admitted(limiter, Limits(requests_per_minute=2), 1) == 0

    asyncio.run(scenario())


def test_a_quota_begins_anew_at_midnight():
    async def scenario() -> None:
        now = Clock(NOON)
        limiter, limits = Limiter(MemoryStore(), now), Limits(tokens_per_day=100)
        assert await admitted(limiter, limits, 100) == 0
        assert await admitted(limiter, limits, 1) > 0
        now.now += 43200
        assert await admitted(limiter, limits, 100) == 0

    asyncio.run(scenario())


def test_use_beyond_what_was_reserved_counts_towards_the_quota():
    async def scenario() -> None:
        limiter, limits = Limiter(MemoryStore(), Clock(NOON)), Limits(tokens_per_day=100)
        await limiter.admit("k", 10, limits)
        await limiter.settle("k", 10, 95, limits)
        assert await admitted(limiter, limits, 10) > 0

    asyncio.run(scenario())


def test_without_limits_the_store_is_not_asked():
    class Untouchable:
        def __getattr__(self, name: str) -> None:
            raise AssertionError(name)

    asyncio.run(Limiter(Untouchable()).admit("k", 10**9, Limits()))


def test_a_gate_counts_what_is_in_flight_and_forgets_what_failed():
    gate = Gate(2)
    with gate.enter("a"), gate.enter("a"), gate.enter("b"):
        with pytest.raises(RateLimited), gate.enter("a"):
            pass
        assert gate.in_flight == {"a": 2, "b": 1}
    with pytest.raises(RuntimeError), gate.enter("a"):
        raise RuntimeError
    assert not gate.in_flight


@pytest.mark.parametrize("error", [AccessDenied(401, "c", "why"), RateLimited(1.5, "why")])
def test_refusals_cross_processes(error):
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), vars(again)) == ("why", vars(error))
