"""Who comes first goes first, and nobody is forgotten."""

import asyncio
from typing import Any

from r1ray.serve.api.pace import Paced

POST = {"type": "http", "method": "POST"}
STEPS = 8


def run(requests: list[dict[str, Any]], *, leaves: frozenset[int] = frozenset()) -> list[tuple[int, int]]:
    """Send them all at once to an application that takes `STEPS` turns for each; (request, step) as they came."""
    done: list[tuple[int, int]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for step in range(STEPS):
            done.append((scope["number"], step))
            await asyncio.sleep(0)

    async def main() -> None:
        paced: Any = Paced(app, passes=STEPS)
        tasks = [
            asyncio.create_task(paced({**one, "number": number}, None, None)) for number, one in enumerate(requests)
        ]
        await asyncio.sleep(0)
        for number in leaves:
            tasks[number].cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)

    asyncio.run(main())
    return done


def test_requests_that_come_at_once_go_through_one_behind_the_other() -> None:
    done = run([POST] * 5)
    assert sorted(done) == [(number, step) for number in range(5) for step in range(STEPS)]
    ends = [done.index((number, STEPS - 1)) for number in range(5)]
    starts = [done.index((number, 0)) for number in range(5)]
    assert ends == sorted(ends)
    assert all(starts[number + 1] >= ends[number] - 1 for number in range(4)), "the next begins when one is through"


def test_who_left_while_waiting_is_passed_over() -> None:
    done = run([POST] * 4, leaves=frozenset({1, 2}))
    assert {number for number, _ in done} == {0, 3}


def test_other_requests_do_not_wait() -> None:
    get = {"type": "http", "method": "GET"}
    done = run([POST, POST, get])
    assert done.index((2, 0)) < done.index((0, 1))
