"""Bodies beyond the bound never reach the application; others arrive whole."""

import asyncio
import json
from typing import Any

import pytest

from r1ray.serve.access.body import BodyLimit


def ask(chunks: list[bytes], *, limit: int = 10, headers: tuple[Any, ...] = (), method: str = "POST"):
    seen, sent = [], []
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks[:-1]]
    messages.append({"type": "http.request", "body": chunks[-1], "more_body": False})

    async def app(scope, receive, send) -> None:
        seen.append((await receive())["body"])

    async def receive():
        return messages.pop(0)

    async def send(message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "headers": list(headers)}
    asyncio.run(BodyLimit(app, limit)(scope, receive, send))
    return seen, sent


def test_a_body_in_pieces_arrives_whole():
    assert ask([b"12345", b"67890"]) == ([b"1234567890"], [])


@pytest.mark.parametrize(
    ("chunks", "headers"),
    [([b"123456", b"78901"], ()), ([b""], ((b"content-length", b"11"),))],
    ids=["read", "declared"],
)
def test_a_large_body_is_refused_in_the_usual_shape(chunks, headers):
    seen, sent = ask(chunks, headers=headers)
    assert seen == []
    assert sent[0]["status"] == 413
    assert json.loads(sent[1]["body"])["error"]["code"] == "request_too_large"


def test_requests_without_a_body_are_left_alone():
    assert ask([b"x" * 20], method="GET")[0] == [b"x" * 20]
