"""The in-process store, its stand-in for a shared one that fails, and the token bucket's arithmetic."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.serve.store import bucket as buckets
from r1ray.serve.store.base import Bucket
from r1ray.serve.store.memory import MemoryStore
from r1ray.serve.store.resilient import ResilientStore


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_least_recently_used_value_goes_first():
    async def scenario() -> None:
        store = MemoryStore(max_bytes=30)
        await store.put("a", b"x" * 9, 60)
        await store.put("b", b"y" * 9, 60)
        await store.get("a")
        await store.put("c", b"z" * 14, 60)
        assert await store.get("a") == b"x" * 9
        assert await store.get("b") is None
        assert await store.get("c") == b"z" * 14
        assert store.bytes == 25

    asyncio.run(scenario())


def test_a_value_beyond_the_bound_is_not_kept_and_drives_nothing_out():
    async def scenario() -> None:
        store = MemoryStore(max_bytes=20)
        await store.put("a", b"x", 60)
        await store.put("b", b"y" * 20, 60)
        assert await store.get("a") == b"x"
        assert await store.get("b") is None

    asyncio.run(scenario())


def test_values_and_counters_end():
    async def scenario() -> None:
        clock = Clock()
        store = MemoryStore(clock=clock)
        await store.put("a", b"x", 10)
        assert [await store.add("n", 2, 10), await store.add("n", 3, 10)] == [2, 5]
        clock.now = 10.0
        assert await store.get("a") is None
        assert store.bytes == 0
        assert await store.add("n", 1, 10) == 1

    asyncio.run(scenario())


def test_dead_counters_and_full_buckets_are_swept():
    async def scenario() -> None:
        clock = Clock()
        store = MemoryStore(clock=clock)
        for number in range(4096):
            await store.add(f"n{number}", 1, 10)
            await store.take(f"b{number}", 1, Bucket(1, 1))
        clock.now += 100
        await store.add("last", 1, 10)
        await store.take("last", 1, Bucket(1, 1))
        assert len(store._counters) == 1
        assert len(store._buckets) == 1

    asyncio.run(scenario())


def test_a_bucket_says_how_long_to_wait_and_fills_again():
    async def scenario() -> None:
        clock = Clock()
        store = MemoryStore(clock=clock)
        bucket = Bucket(rate=2.0, burst=3.0)
        assert [await store.take("k", 1, bucket) for _ in range(3)] == [0, 0, 0]
        assert await store.take("k", 1, bucket) == pytest.approx(0.5)
        clock.now += 0.5
        assert await store.take("k", 1, bucket) == 0
        assert await store.take("k", -1, bucket) == 0, "tokens are given back"
        assert await store.take("k", 1, bucket) == 0

    asyncio.run(scenario())


def test_a_cost_beyond_the_burst_is_delayed_rather_than_impossible():
    tokens, wait = buckets.take(10.0, 0.0, 25.0, Bucket(rate=5.0, burst=10.0))
    assert (tokens, wait) == (-15.0, 0.0)
    assert buckets.take(tokens, 0.0, 1.0, Bucket(5.0, 10.0)) == (-15.0, pytest.approx(16 / 5))


@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0.1, 4)), max_size=60),
    st.floats(0.1, 5),
    st.floats(4, 10),
)
def test_no_schedule_gets_more_than_burst_plus_rate_times_time(calls, rate, burst):
    bucket = Bucket(rate, burst)
    tokens, taken, elapsed = burst, 0.0, 0.0
    for gap, cost in calls:
        elapsed += gap
        tokens, wait = buckets.take(tokens, gap, cost, bucket)
        taken += cost if wait == 0 else 0
        assert taken <= burst + rate * elapsed + 1e-6


class Broken:
    """A store that is down."""

    def __init__(self) -> None:
        self.calls = 0

    async def get(self, *_: Any) -> Any:
        self.calls += 1
        raise ConnectionError("refused")

    put = add = take = get


def test_a_store_that_is_down_is_noticed_by_nobody_and_asked_only_after_a_while():
    async def scenario() -> None:
        clock, broken = Clock(), Broken()
        store = ResilientStore(broken, MemoryStore(), cooldown_s=5, clock=clock)
        await store.put("a", b"x", 60)
        assert await store.get("a") == b"x"
        assert await store.add("n", 2, 60) == 2
        assert broken.calls == 1
        assert store.is_degraded
        clock.now = 5.0
        assert await store.take("k", 1, Bucket(1, 1)) == 0
        assert (broken.calls, store.failures) == (2, 2)

    asyncio.run(scenario())


def test_a_store_that_hangs_is_given_up():
    class Hanging(MemoryStore):
        async def get(self, key: str) -> bytes | None:
            await asyncio.sleep(60)
            return b"too late"

    async def scenario() -> None:
        store = ResilientStore(Hanging(), MemoryStore(), timeout_s=0.01)
        assert await store.get("a") is None
        assert store.failures == 1

    asyncio.run(scenario())


def test_a_store_that_recovers_is_used_again():
    async def scenario() -> None:
        clock, shared, local = Clock(), MemoryStore(), MemoryStore()
        store = ResilientStore(shared, local, cooldown_s=5, clock=clock)
        await store.put("a", b"x", 60)
        assert await shared.get("a") == b"x"
        assert await local.get("a") is None

    asyncio.run(scenario())
