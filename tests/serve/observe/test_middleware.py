"""Every request is counted with its status, whatever becomes of it."""

import asyncio
import contextlib

import pytest

from r1ray.serve.observe.metrics import ServeMetrics
from r1ray.serve.observe.middleware import Observed


def count(app, status: str) -> float:
    metrics = ServeMetrics()

    async def send(message) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": "/health", "headers": [(b"x", b"\xff")]}
    with contextlib.suppress(RuntimeError):
        asyncio.run(Observed(app, lambda: metrics)(scope, None, send))
    return metrics.registry.get_sample_value("r1ray_serve_requests_total", {"path": "/health", "status": status}) or 0


async def answers(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 404})


async def fails(scope, receive, send) -> None:
    raise RuntimeError("a bug")


async def breaks(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200})
    raise RuntimeError("a bug in the stream")


async def leaves(scope, receive, send) -> None:
    """The client is gone before anything was sent."""


@pytest.mark.parametrize(
    ("app", "status"),
    [(answers, "404"), (fails, "500"), (breaks, "200"), (leaves, "499")],
    ids=lambda one: str(one)[:12],
)
def test_a_request_is_counted_once_with_its_status(app, status):
    assert count(app, status) == 1
