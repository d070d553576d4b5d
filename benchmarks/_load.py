"""Load on anything that streams tokens: closed loop or Poisson arrivals, common beginnings of prompts, percentiles."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

_COMMON = """
    the of and to in is you that it he was for on are as with his they at be this have from or one had by word but not
    what all were we when your can said there use an each which she do how their if will up other about out many then
    them these so some her would make like him into time has look two more write go see number no way could people my
    than first water been call who oil its now find long down day did get come made may part
"""
WORDS = _COMMON.split()
Ask = Callable[[str, int], AsyncIterator[int]]
"""A prompt and a number of new tokens; yields how many tokens came, each time some do. Raises `Failed`."""


class Failed(Exception):
    """A request without a whole answer."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What is asked, and how fast."""

    requests: int = 64
    streams: int = 16
    """Requests in flight in the closed loop: one ends, the next begins."""
    rate: float = 0.0
    """Requests a second in the open loop, at random times (Poisson), whatever the server does; 0 = closed loop."""
    prompt_tokens: int = 128
    new_tokens: int = 64
    shared_prefix: float = 0.0
    """Share of the prompt that all requests have in common."""
    seed: int = 0


@dataclass(kw_only=True, slots=True)
class LoadResult:
    """Milliseconds, and tokens a second over the whole of the load."""

    tokens_per_s: float
    requests_per_s: float
    ttft_ms: dict[str, float]
    ms_per_token: dict[str, float]
    e2e_ms: dict[str, float]
    new_tokens: int
    answered: int
    errors: dict[str, int] = field(default_factory=dict)

    def line(self) -> str:
        """For people."""
        return (
            f"{self.tokens_per_s:8.1f} tokens/s  ttft {_pair(self.ttft_ms)}  per token {_pair(self.ms_per_token)}  "
            f"end to end {_pair(self.e2e_ms)} ms  answered {self.answered}"
            + (f"  errors {self.errors}" if self.errors else "")
        )


@dataclass(slots=True)
class Request:
    """Seconds to the first token and to the last, and the number of tokens."""

    first: float
    total: float
    tokens: int


def prompts(load: Load) -> list[str]:
    """About `prompt_tokens` tokens each: common words are one token. No two are equal beyond their common beginning."""
    rng = random.Random(load.seed)
    common = round(load.shared_prefix * load.prompt_tokens)
    beginning = rng.choices(WORDS, k=common)
    return [" ".join([*beginning, *rng.choices(WORDS, k=load.prompt_tokens - common)]) for _ in range(load.requests)]


async def drive(ask: Ask, load: Load) -> LoadResult:
    """Put the load on and wait for all of it."""
    done: list[Request] = []
    errors: Counter[str] = Counter()

    async def one(prompt: str) -> None:
        start = time.perf_counter()
        first, tokens = 0.0, 0
        try:
            async for count in ask(prompt, load.new_tokens):
                first = first or time.perf_counter() - start
                tokens += count
        except Failed as error:
            errors[error.kind] += 1
            return
        if not tokens:
            errors["no tokens"] += 1
            return
        done.append(Request(first, time.perf_counter() - start, tokens))

    start = time.perf_counter()
    asked = prompts(load)
    if load.rate > 0:
        rng, tasks = random.Random(load.seed + 1), []
        due = start
        for prompt in asked:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(one(prompt)))
            due += rng.expovariate(load.rate)
        await asyncio.gather(*tasks)
    else:
        rest = iter(asked)

        async def stream() -> None:
            for prompt in rest:
                await one(prompt)

        await asyncio.gather(*(stream() for _ in range(load.streams)))
    return summarise(done, time.perf_counter() - start, errors)


def summarise(done: Sequence[Request], seconds: float, errors: Mapping[str, int]) -> LoadResult:
    """Percentiles over requests."""
    tokens = sum(request.tokens for request in done)
    return LoadResult(
        tokens_per_s=round(tokens / seconds, 2),
        requests_per_s=round(len(done) / seconds, 3),
        ttft_ms=_percentiles([request.first for request in done]),
        ms_per_token=_percentiles(
            [(request.total - request.first) / (request.tokens - 1) for request in done if request.tokens > 1]
        ),
        e2e_ms=_percentiles([request.total for request in done]),
        new_tokens=tokens,
        answered=len(done),
        errors=dict(errors),
    )


class OpenAIServer:
    """Any OpenAI-compatible server, over one pool of connections. Use as an asynchronous context manager.

    Args:
        url: up to and including `/v1`.
        model: as the server names it.
        key: bearer token; empty = none.
        chat: `/chat/completions` instead of `/completions`.
        extra: more fields of the request, such as `{"ignore_eos": True}` where the server knows it.
    """

    def __init__(
        self, url: str, model: str, *, key: str = "", chat: bool = False, extra: Mapping[str, Any] | None = None
    ) -> None:
        self._url, self._model, self._key, self._chat = url.rstrip("/"), model, key, chat
        self._extra = dict(extra or {})

    async def __aenter__(self) -> "OpenAIServer":
        import aiohttp

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._session = aiohttp.ClientSession(
            # A connection each: servers that close idle ones would break the request that comes just then.
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=600),
            headers=headers,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, prompt: str, new_tokens: int) -> AsyncIterator[int]:
        """Stream one answer. Tokens are the server's own count where its last chunk has one."""
        import aiohttp

        body: dict[str, Any] = {
            "model": self._model, "max_tokens": new_tokens, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True}, **self._extra,
        }  # fmt: skip
        if self._chat:
            body["messages"] = [{"role": "user", "content": prompt}]
        else:
            body["prompt"] = prompt
        seen, ended = 0, False
        try:
            async with self._session.post(
                f"{self._url}/{'chat/' if self._chat else ''}completions", json=body
            ) as response:
                if response.status != 200:
                    raise Failed(str(response.status))
                async for line in response.content:
                    if not line.startswith(b"data:"):
                        continue
                    data = line[5:].strip()
                    if data == b"[DONE]":
                        ended = True
                        break
                    chunk = json.loads(data)
                    if "error" in chunk:
                        raise Failed("error in the stream")
                    choices = chunk.get("choices") or []
                    if choices and _has_text(choices[0]):
                        seen += 1
                        yield 1
                    if (usage := chunk.get("usage")) and usage.get("completion_tokens", 0) > seen:
                        yield usage["completion_tokens"] - seen
                        seen = usage["completion_tokens"]
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Failed(type(error).__name__) from error
        if not ended and not seen:
            raise Failed("broken off")


async def run_load(
    url: str,
    model: str,
    *,
    key: str | None = None,
    chat: bool = False,
    extra: Mapping[str, Any] | None = None,
    **load: Any,
) -> LoadResult:
    """`Load(**load)` on a server."""
    async with OpenAIServer(url, model, key=key or "", chat=chat, extra=extra) as server:
        return await drive(server.ask, Load(**load))


def to_json(result: LoadResult) -> dict[str, Any]:
    """For a benchmark's last line."""
    return asdict(result)


def _has_text(choice: Mapping[str, Any]) -> bool:
    delta = choice.get("delta") or {}
    return bool(choice.get("text") or delta.get("content") or delta.get("reasoning_content"))


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {}
    values = np.percentile(np.asarray(seconds) * 1000, [50, 90, 95, 99])
    return {f"p{share}": round(float(value), 2) for share, value in zip((50, 90, 95, 99), values, strict=True)}


def _pair(figures: Mapping[str, float]) -> str:
    return f"{figures.get('p50', float('nan')):.1f}/{figures.get('p95', float('nan')):.1f}"
