"""The thread around an engine: delivery, refusal, cancellation and death."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
import torch

from r1ray.errors import DataError
from r1ray.generation.iteration import DecodingParams, EngineEvent, EngineLoad, EngineRequest
from r1ray.serve.errors import ApiError
from r1ray.serve.resume import EngineLost, resumed
from r1ray.serve.runner import EngineRunner


@dataclass
class CountingEngine:
    """Answers with 0, 1, 2 …; dies at the iteration that it is told."""

    version: int = 0
    context_length: int = 100
    dies_at: int = 10**9
    step_s: float = 0.0
    running: dict[str, EngineRequest] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)
    iterations: int = 0
    cancelled: list[str] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        return bool(self.running)

    def add(self, request: EngineRequest) -> None:
        if len(request.prompt_ids) > self.context_length:
            raise DataError("too long")
        self.running[request.id], self.written[request.id] = request, len(request.answer_ids)

    def step(self) -> list[EngineEvent]:
        self.iterations += 1
        time.sleep(self.step_s)
        if self.iterations >= self.dies_at:
            raise RuntimeError("broken")
        events = []
        for name, request in list(self.running.items()):
            token = self.written[name]
            self.written[name] += 1
            last = self.written[name] >= request.params.max_new_tokens
            events.append(EngineEvent(id=name, token_ids=(token,), finish_reason="length" if last else None))
            if last:
                del self.running[name]
        return events

    def wake(self) -> None:
        pass

    def cancel(self, request_id: str) -> bool:
        self.cancelled.append(request_id)
        return self.running.pop(request_id, None) is not None

    def load(self) -> EngineLoad:
        return EngineLoad(
            running=len(self.running), waiting=0, waiting_tokens=0, free_tokens=1, total_tokens=1, cached_tokens=0,
            prompt_tokens=0, iterations=self.iterations,
        )  # fmt: skip

    def load_weights(self, weights: Mapping[str, torch.Tensor], version: int) -> None:
        self.version = version


def asked(name: str, new: int = 5, prompt: int = 3) -> EngineRequest:
    return EngineRequest(id=name, prompt_ids=[1] * prompt, params=DecodingParams(max_new_tokens=new))


async def answer(runner: EngineRunner, request: EngineRequest) -> list[int]:
    return [token async for events in runner.generate(request) for event in events for token in event.token_ids]


def test_many_requests_are_answered_and_none_waits_for_another() -> None:
    async def main() -> None:
        engine = CountingEngine()
        runner = EngineRunner(engine, deliveries_per_s=1000.0)
        answers = await asyncio.gather(*(answer(runner, asked(str(n), 20 + n)) for n in range(12)))
        assert [len(one) for one in answers] == [20 + n for n in range(12)] and runner.active == 0
        await runner.load_weights({}, 4)
        assert engine.version == 4
        await runner.close()

    asyncio.run(main())


def test_too_much_is_refused_with_a_time_to_come_back() -> None:
    async def main() -> None:
        runner = EngineRunner(CountingEngine(), queued_tokens=50)
        streams = [runner.generate(asked(str(n), 30)) for n in range(2)]
        first = asyncio.ensure_future(anext(streams[0]))
        await asyncio.sleep(0)  # it waits, with 33 tokens
        with pytest.raises(ApiError) as refused:
            await anext(streams[1])
        assert refused.value.status == 429 and int(refused.value.headers()["Retry-After"]) >= 1
        await first
        await streams[0].aclose()
        with pytest.raises(ApiError, match="too long"):
            await answer(runner, asked("long", prompt=200))
        await runner.close()

    asyncio.run(main())


def test_leaving_frees_the_place_within_two_iterations() -> None:
    async def main() -> None:
        engine = CountingEngine(step_s=0.005)
        runner = EngineRunner(engine)
        stream = runner.generate(asked("left", 10**9))
        for _ in range(5):
            await anext(stream)
        left_at = engine.iterations
        await stream.aclose()
        while engine.busy:
            await asyncio.sleep(0.001)
        assert "left" in engine.cancelled and engine.iterations - left_at <= 2
        await runner.close()

    asyncio.run(main())


def test_a_dead_engine_is_told_to_all_and_fails_its_health_check() -> None:
    async def main() -> None:
        runner = EngineRunner(CountingEngine(dies_at=3))
        for _ in range(2):
            with pytest.raises(ApiError, match="stopped") as told:
                await answer(runner, asked("a", 10))
            assert told.value.status == 503
        with pytest.raises(ApiError):
            await runner.check()

    asyncio.run(main())


def test_an_answer_goes_on_in_another_engine() -> None:
    engines: list[CountingEngine] = []

    async def generate(request: EngineRequest):  # type: ignore[no-untyped-def]
        engine = CountingEngine(dies_at=4 if len(engines) < 2 else 10**9)
        engines.append(engine)
        engine.add(request)
        while engine.busy:
            try:
                yield engine.step()
            except RuntimeError as error:
                raise EngineLost("gone") from error

    async def main() -> None:
        stream = resumed(generate, asked("a", 10), pause_s=0.0)
        assert [token async for events in stream for event in events for token in event.token_ids] == list(range(10))
        assert len(engines) == 3
        engines[:] = []
        with pytest.raises(ApiError, match="lost 2 times"):
            [events async for events in resumed(generate, asked("a", 10), attempts=2, pause_s=0.0)]

    asyncio.run(main())


def test_tokens_behind_the_first_are_handed_over_together_where_many_stream() -> None:
    async def main() -> None:
        runner = EngineRunner(CountingEngine(step_s=0.001), deliveries_per_s=10.0)

        async def sizes(request: EngineRequest) -> list[int]:
            return [sum(len(one.token_ids) for one in events) async for events in runner.generate(request)]

        whole = await sizes(replace(asked("whole", 20), whole=True))
        assert whole[0] + sum(whole[1:]) == 20 and len(whole) == 2, "the first at once, the rest when it is over"
        many = await asyncio.gather(*(sizes(asked(str(n), 20)) for n in range(4)))
        assert all(sum(one) == 20 and len(one) <= 3 for one in many)
        assert len(await sizes(asked("alone", 20))) > 3
        await runner.close()

    asyncio.run(main())
