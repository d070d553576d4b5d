"""What runs for a client ends with it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from r1ray.serve.api.event_stream import EventStream, until_gone
from r1ray.serve.errors import ApiError


class Client:
    """One end of a request: leaves when it is told to."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.left = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)


def test_events_are_sent_as_they_come_with_the_headers_of_a_stream() -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        yield b"one"
        yield b"two"

    async def main() -> None:
        client = Client()
        await EventStream(events(), {"x-request-id": "7"})({}, client.receive, client.send)
        start, *bodies = client.sent
        headers = dict(start["headers"])
        assert start["status"] == 200 and headers[b"x-request-id"] == b"7" and b"content-length" not in headers
        assert headers[b"content-type"].startswith(b"text/event-stream") and headers[b"cache-control"] == b"no-cache"
        assert [(one["body"], one["more_body"]) for one in bodies] == [(b"one", True), (b"two", True), (b"", False)]

    asyncio.run(main())


def test_a_client_that_leaves_ends_its_stream() -> None:
    closed = []

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            yield b"one"
            await asyncio.sleep(60)
        finally:
            closed.append(True)

    async def main() -> None:
        client = Client()
        answer = asyncio.create_task(EventStream(events(), {})({}, client.receive, client.send))
        while len(client.sent) < 2:
            await asyncio.sleep(0)
        client.left.set()
        await asyncio.wait_for(answer, 5)
        assert closed and client.sent[-1]["more_body"]

    asyncio.run(main())


def test_leaving_is_told_from_being_cancelled() -> None:
    async def main() -> None:
        client = Client()

        async def work() -> None:
            async with until_gone(client.receive):
                await asyncio.sleep(60)

        stopped = asyncio.create_task(work())
        await asyncio.sleep(0)
        stopped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopped
        left = asyncio.create_task(work())
        await asyncio.sleep(0)
        client.left.set()
        with pytest.raises(ApiError) as error:
            await left
        assert error.value.status == 499
        async with until_gone(Client().receive):
            pass  # nobody left: nothing happens

    asyncio.run(main())
