"""Equal requests are computed once, whoever fails on the way; each level answers and is counted."""

import asyncio

import pytest

from r1ray.serve.cache.responses import ResponseCache
from r1ray.serve.store.memory import MemoryStore


async def ask(cache: ResponseCache, key: str | None, work: list[str], answer: bytes = b"4", seconds: float = 0.01):
    async with cache.claim(key) as claim:
        if claim.found is None:
            work.append("computed")
            await asyncio.sleep(seconds)
            claim.computed = answer
        return claim.found or claim.computed, claim.level


def test_the_second_equal_request_is_answered_from_memory():
    async def scenario() -> None:
        cache, work = ResponseCache(MemoryStore(), None, ttl_s=60), []
        cold = await ask(cache, "k", work)
        warm = await ask(cache, "k", work)
        assert cold == (b"4", "miss")
        assert warm == (b"4", "l1")
        assert len(work) == 1
        assert cache.claims == {"miss": 1, "l1": 1}

    asyncio.run(scenario())


def test_another_replica_finds_it_in_the_shared_store_and_then_has_it_itself():
    async def scenario() -> None:
        shared, work = MemoryStore(), []
        one, other = (ResponseCache(MemoryStore(), shared, ttl_s=60) for _ in range(2))
        await ask(one, "k", work)
        assert [await ask(other, "k", work) for _ in range(2)] == [(b"4", "l3"), (b"4", "l1")]
        assert len(work) == 1

    asyncio.run(scenario())


def test_equal_requests_in_flight_are_computed_once():
    async def scenario() -> None:
        cache, work = ResponseCache(MemoryStore(), MemoryStore(), ttl_s=60), []
        found = await asyncio.gather(*(ask(cache, "k", work) for _ in range(20)), ask(cache, "other", work, b"5"))
        assert [answer for answer, _ in found] == [b"4"] * 20 + [b"5"]
        assert len(work) == 2
        assert cache.claims["flight"] == 19

    asyncio.run(scenario())


def test_a_failure_is_not_shared_and_the_next_in_line_computes():
    async def scenario() -> None:
        cache, work = ResponseCache(MemoryStore(), None, ttl_s=60), []

        async def failing() -> None:
            async with cache.claim("k"):
                await asyncio.sleep(0.01)
                raise RuntimeError("the engine failed")

        first, *rest = await asyncio.gather(
            failing(), *(ask(cache, "k", work) for _ in range(5)), return_exceptions=True
        )
        assert isinstance(first, RuntimeError)
        assert [answer for answer, _ in rest] == [b"4"] * 5
        assert len(work) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("who", ["leader", "waiter"])
def test_a_client_that_leaves_takes_nobody_along(who):
    async def scenario() -> None:
        cache, work = ResponseCache(MemoryStore(), None, ttl_s=60), []
        tasks = [asyncio.create_task(ask(cache, "k", work, seconds=0.02)) for _ in range(3)]
        await asyncio.sleep(0.005)
        gone = tasks[0 if who == "leader" else 1]
        gone.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[tasks.index(gone)], asyncio.CancelledError)
        assert [entry[0] for entry in found if not isinstance(entry, BaseException)] == [b"4", b"4"]
        assert not cache._flights

    asyncio.run(scenario())


def test_requests_without_a_key_are_always_computed():
    async def scenario() -> None:
        cache, work = ResponseCache(MemoryStore(), MemoryStore(), ttl_s=60), []
        assert [(await ask(cache, None, work))[1] for _ in range(2)] == ["off", "off"]
        assert len(work) == 2

    asyncio.run(scenario())


def test_an_answer_is_forgotten_after_its_time():
    async def scenario() -> None:
        now = [0.0]
        cache, work = ResponseCache(MemoryStore(clock=lambda: now[0]), None, ttl_s=60), []
        await ask(cache, "k", work)
        now[0] = 61.0
        assert (await ask(cache, "k", work))[1] == "miss"

    asyncio.run(scenario())
