"""Answers that end when their client leaves."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from r1ray.serve.errors import ApiError


class EventStream(Response):
    """Server-sent events as they come. Starlette's `StreamingResponse` does the same with a task group and a task more
    a request, which costs as much as an event does."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> None:
        self.status_code, self.background, self._events = 200, None, events
        self.init_headers({**headers, "Cache-Control": "no-cache", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them, until there are no more or the client leaves."""
        with contextlib.suppress(ApiError):  # it has left: nobody is to be told
            async with contextlib.aclosing(self._events), until_gone(receive):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                async for event in self._events:
                    await send({"type": "http.response.body", "body": event, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})


@contextlib.asynccontextmanager
async def until_gone(receive: Receive) -> AsyncIterator[None]:
    """Cancels what runs inside once the client has left.

    Raises:
        ApiError: 499, then.
    """
    task, left = asyncio.current_task(), False
    assert task is not None

    async def watch() -> None:
        nonlocal left
        while (await receive())["type"] != "http.disconnect":
            pass
        left = True
        task.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if left and task.uncancel() == 0:
            raise ApiError(499, "The client left.", "disconnected") from None
        raise
    finally:
        watching.cancel()
