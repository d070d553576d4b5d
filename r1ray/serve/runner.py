"""One thread that owns an iteration engine, and the event loop's side of it: requests in, batches of events out.

event loop: generate() ──inbox──►  thread: add / cancel ─► step ─► step ─► …
                ▲                                             │
                └──────────── one delivery a step ◄───────────┘
"""

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from typing import Any

from r1ray.config.serve import ServeConfig
from r1ray.errors import R1RayError, WorkerError
from r1ray.generation.iteration import EngineEvent, EngineLoad, EngineRequest, IterationEngine
from r1ray.serve.errors import invalid, overloaded, unavailable

WHOLE_S = 1.0
"""Seconds between two deliveries of an answer that nobody reads before its end: what a dead engine can lose."""


class _Sink:
    """Where one request's events wait for their reader."""

    def __init__(self, tokens: int) -> None:
        self.tokens, self.started = tokens, False
        self.events: list[EngineEvent] = []
        self.ready, self.done = asyncio.Event(), asyncio.Event()
        self.error: Exception | None = None

    def put(self, event: EngineEvent) -> None:
        self.events.append(event)
        self.started = True
        self.ready.set()
        if event.finish_reason is not None:
            self.done.set()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.ready.set()
        self.done.set()


def _joined(events: Sequence[EngineEvent]) -> EngineEvent:
    """Neighbouring events of one request under the same weights as one: it costs less on its way."""
    return replace(
        events[0],
        token_ids=tuple(token for event in events for token in event.token_ids),
        scores=tuple(score for event in events for score in event.scores),
        finish_reason=events[-1].finish_reason,
    )


class EngineRunner:
    """Drives an engine; `generate` may be called by any number of tasks of one event loop.

    Args:
        engine: made before, used by the thread alone from now on.
        queued_tokens: prompt and answer tokens that may wait; beyond, requests are refused.
        deliveries_per_s: of all requests together; tokens behind a request's first, and before its end, wait for each
            other. 0 = every token is handed over by itself.
    """

    def __init__(
        self,
        engine: IterationEngine,
        *,
        queued_tokens: int = 2**31,
        deliveries_per_s: float = 0.0,
    ) -> None:
        self._engine, self._queued_tokens, self._per_s = engine, queued_tokens, deliveries_per_s
        self._sinks: dict[str, _Sink] = {}
        self._inbox: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._failure: Exception | None = None
        self._tokens_per_s = 0.0
        self._load = engine.load()
        self._loop = asyncio.get_running_loop()
        self.context_length = engine.context_length
        self.first_token_s: deque[float] = deque(maxlen=64)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @staticmethod
    def under(config: ServeConfig, engine: IterationEngine) -> "EngineRunner":
        """With the limits of a service."""
        cpus = len(os.sched_getaffinity(0))
        return EngineRunner(
            engine, queued_tokens=config.queued_tokens, deliveries_per_s=config.deliveries_per_cpu * cpus
        )

    async def load(self) -> EngineLoad:
        """How busy the engine was after its last step."""
        return self._load

    @property
    def queued_tokens(self) -> int:
        """Tokens of requests that have not begun."""
        return sum(sink.tokens for sink in self._sinks.values() if not sink.started)

    @property
    def active(self) -> int:
        """Requests that wait or run."""
        return len(self._sinks)

    async def check(self) -> None:
        """Raises `ApiError` if the engine has stopped."""
        if self._failure is not None or self._closed:
            raise unavailable(f"The engine has stopped: {self._failure or 'it was closed'}")

    async def generate(self, request: EngineRequest) -> AsyncGenerator[list[EngineEvent], None]:
        """The request's events as they come, the first at once; what came meanwhile is one event, or one for each
        version of the weights. Leaving the iteration cancels the request.

        Raises:
            ApiError: too much waits (429), the request does not fit (400), or the engine has died (503).
        """
        await self.check()
        wanted = len(request.prompt_ids) + request.params.max_new_tokens
        waiting = self.queued_tokens
        if waiting and waiting + wanted > self._queued_tokens:
            raise overloaded(
                f"{waiting} tokens wait already, at most {self._queued_tokens} may. Try again later.",
                waiting / max(self._tokens_per_s, 100.0),
            )
        sink = self._sinks[request.id] = _Sink(wanted)
        began, last = time.monotonic(), 0.0
        self._post(lambda: self._add(request))
        try:
            while True:
                await sink.ready.wait()
                pause = last + self._interval(request) - time.monotonic()
                if last and pause > 0 and not sink.done.is_set():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(sink.done.wait(), pause)
                events, sink.events = sink.events, []
                sink.ready.clear()
                if events:
                    if not last:
                        self.first_token_s.append(time.monotonic() - began)
                    last = time.monotonic()
                    yield [_joined(list(same)) for _, same in groupby(events, key=attrgetter("version"))]
                    if events[-1].finish_reason is not None:
                        return
                if sink.error is not None:
                    raise sink.error
        finally:
            del self._sinks[request.id]
            self._post(lambda: self._cancel(request.id))

    def _interval(self, request: EngineRequest) -> float:
        """Seconds between two deliveries: few streams get each token as it comes, many share what deliveries cost."""
        if request.whole:
            return WHOLE_S
        return len(self._sinks) / self._per_s if self._per_s and len(self._sinks) > 2 else 0.0

    async def load_weights(self, weights: Any, version: int) -> None:
        """Swap between two steps; what runs goes on under the new weights."""
        await self._call(lambda: self._engine.load_weights(weights, version))

    @property
    def failure(self) -> Exception | None:
        """What the engine died of."""
        return self._failure

    def stop(self) -> None:
        """End after the step that runs, from any thread; what is not finished is told."""
        with self._wake:
            self._closed = True
            self._wake.notify()

    async def close(self) -> None:
        """The same, and wait for it."""
        self.stop()
        await asyncio.to_thread(self._thread.join)

    async def _call(self, work: Callable[[], Any]) -> Any:
        future: asyncio.Future[Any] = self._loop.create_future()

        def done(result: Any, error: Exception | None) -> None:
            if not future.done():
                future.set_exception(error) if error else future.set_result(result)

        def do() -> None:
            try:
                result, error = work(), None
            except Exception as problem:
                result, error = None, problem
            self._loop.call_soon_threadsafe(done, result, error)

        self._post(do)
        return await future

    def _post(self, work: Callable[[], None]) -> None:
        with self._wake:
            self._inbox.append(work)
            self._wake.notify()
        self._engine.wake()

    # ── the thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            while True:
                with self._wake:
                    while not self._inbox and not self._engine.busy and not self._closed:
                        self._wake.wait()
                    if self._closed:
                        break
                    inbox, self._inbox = self._inbox, deque()
                for work in inbox:
                    work()
                if self._engine.busy:
                    started = time.perf_counter()
                    events = self._engine.step()
                    seconds = time.perf_counter() - started
                    share = min(1.0, seconds)  # a mean over the last second or so
                    self._tokens_per_s += share * (len(events) / max(seconds, 1e-6) - self._tokens_per_s)
                    self._load = self._engine.load()
                    self._tell(self._deliver, events)
                else:
                    self._load = self._engine.load()
        except Exception as error:  # everything that waits must hear of it, and the replica's health check
            self._failure = error
        self._tell(self._fail_all)

    def _tell(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(work, *arguments)
        except RuntimeError:  # the loop has been closed: nobody listens any more
            self._closed = True

    def _add(self, request: EngineRequest) -> None:
        try:
            self._engine.add(request)
        except WorkerError as error:
            self._tell(self._fail_one, request.id, unavailable(str(error)))
        except R1RayError as error:
            self._tell(self._fail_one, request.id, invalid(str(error)))

    def _cancel(self, request_id: str) -> None:
        self._engine.cancel(request_id)

    # ── back on the loop ────────────────────────────────────────────────────────────────────────────────────────────

    def _deliver(self, events: list[EngineEvent]) -> None:
        for event in events:
            if sink := self._sinks.get(event.id):
                sink.put(event)

    def _fail_one(self, request_id: str, error: Exception) -> None:
        if sink := self._sinks.get(request_id):
            sink.fail(error)

    def _fail_all(self) -> None:
        for sink in self._sinks.values():
            sink.fail(unavailable(f"The engine has stopped: {self._failure or 'it was closed'}"))
