"""Requests that come at once reach the engine one behind the other: an ASGI middleware."""

import asyncio
from collections import deque

from starlette.types import ASGIApp, Receive, Scope, Send


class Paced:
    """Lets a request in some passes of the event loop after the one before.

    An event loop takes turns: of sixty requests that come at once, each would be read and checked before the first one
    is sent to its engine, which idles meanwhile. A request that comes alone does not wait.

    Args:
        app: the application.
        passes: turns of the loop that a request takes from here to the engine, about.
    """

    def __init__(self, app: ASGIApp, passes: int = 12) -> None:
        self._app, self._passes = app, passes
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._held = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and scope["method"] == "POST":
            await self._turn()
        await self._app(scope, receive, send)

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        if self._held:
            turn = loop.create_future()
            self._waiting.append(turn)
            await turn
        self._held = True
        loop.call_soon(self._pass, loop, self._passes)

    def _pass(self, loop: asyncio.AbstractEventLoop, left: int) -> None:
        if left:
            loop.call_soon(self._pass, loop, left - 1)
            return
        self._held = False
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # its client is still there
                self._held = True
                turn.set_result(None)
                return
