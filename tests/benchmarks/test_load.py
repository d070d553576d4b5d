"""The load generator, against a server whose figures are known."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from benchmarks._load import Failed, Load, drive, prompts, run_load


def test_prompts_share_their_beginning_and_nothing_else():
    found = prompts(Load(requests=8, prompt_tokens=20, shared_prefix=0.5))
    assert {len(prompt.split()) for prompt in found} == {20}
    assert len({tuple(prompt.split()[:10]) for prompt in found}) == 1
    assert len({tuple(prompt.split()[10:]) for prompt in found}) == 8


def test_the_closed_loop_never_has_more_in_flight_than_it_says():
    in_flight = peak = 0

    async def ask(prompt: str, new_tokens: int) -> AsyncIterator[int]:
        nonlocal in_flight, peak
        in_flight += 1
        peak = max(peak, in_flight)
        for _ in range(new_tokens):
            await asyncio.sleep(0)
            yield 1
        in_flight -= 1

    result = asyncio.run(drive(ask, Load(requests=20, streams=3, new_tokens=4)))
    assert (peak, result.answered, result.new_tokens) == (3, 20, 80)
    assert result.e2e_ms["p50"] >= result.ttft_ms["p50"] > 0


def test_the_open_loop_does_not_wait_for_answers():
    in_flight = peak = 0

    async def ask(prompt: str, new_tokens: int) -> AsyncIterator[int]:
        nonlocal in_flight, peak
        in_flight += 1
        peak = max(peak, in_flight)
        await asyncio.sleep(0.05)
        in_flight -= 1
        yield 1

    asyncio.run(drive(ask, Load(requests=30, streams=1, rate=2000)))
    assert peak > 10


def test_failures_are_counted_by_kind_and_are_no_answers():
    async def ask(prompt: str, new_tokens: int) -> AsyncIterator[int]:
        yield 1
        raise Failed("503")

    result = asyncio.run(drive(ask, Load(requests=5)))
    assert (result.errors, result.answered, result.tokens_per_s) == ({"503": 5}, 0, 0)


@pytest.mark.parametrize("chat", [False, True])
def test_a_server_is_asked_as_openai_describes_it(chat):
    seen = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append((request.path, request.headers["Authorization"], await request.json()))
        if len(seen) == 3:
            return web.json_response({"error": {}}, status=429)
        response = web.StreamResponse()
        await response.prepare(request)
        piece = {"delta": {"content": "two tokens"}} if chat else {"text": "two tokens"}
        for chunk in ({"choices": [piece]}, {"choices": [], "usage": {"completion_tokens": 2}}):
            await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    async def scenario():
        app = web.Application()
        app.router.add_post("/v1/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            return await run_load(f"http://127.0.0.1:{port}/v1", "m", key="k", chat=chat, requests=3, streams=1)
        finally:
            await runner.cleanup()

    result = asyncio.run(scenario())
    assert (result.answered, result.new_tokens, result.errors) == (2, 4, {"429": 1})
    path, key, body = seen[0]
    assert (path, key) == ("/v1/chat/completions" if chat else "/v1/completions", "Bearer k")
    assert ("messages" if chat else "prompt") in body
    assert body["stream_options"] == {"include_usage": True}
