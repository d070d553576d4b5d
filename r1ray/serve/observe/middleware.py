"""Every HTTP request counted, timed to its last byte and traced: an ASGI middleware around the whole application."""

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from r1ray.serve.observe import tracing
from r1ray.serve.observe.metrics import ServeMetrics

CLIENT_LEFT = 499


class Observed:
    """Put it outermost, so that what other layers refuse is seen as well.

    Args:
        app: the application.
        metrics: gives the replica's metrics when a request comes.
    """

    def __init__(self, app: ASGIApp, metrics: Callable[[], ServeMetrics]) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), CLIENT_LEFT

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            with tracing.span("request", headers, method=scope["method"], path=scope["path"]):
                await self._app(scope, receive, watched)
        except Exception:
            status = 500 if status == CLIENT_LEFT else status
            raise
        finally:
            self._metrics().request(scope["path"], status, time.perf_counter() - started)
