"""The engine that a service stands on, called in a loop of one process: what a service costs is measured by it."""

import time
from collections import Counter

from benchmarks._load import Load, LoadResult, Request, prompts, summarise
from r1ray.generation.iteration import DecodingParams, EngineRequest, IterationEngine


def drive_engine(engine: IterationEngine, tokenizer, load: Load, *, ignore_end: bool = False) -> LoadResult:  # type: ignore[no-untyped-def]
    """The closed loop of `drive`, without threads, sockets or an event loop."""
    params = DecodingParams(max_new_tokens=load.new_tokens, temperature=0.0, ignore_end=ignore_end)
    waiting = iter([tokenizer(prompt)["input_ids"] for prompt in prompts(load)])
    begun: dict[str, float] = {}
    first: dict[str, float] = {}
    tokens: Counter[str] = Counter()
    done: list[Request] = []

    def begin() -> None:
        ids = next(waiting, None)
        if ids is not None:
            name = str(len(begun))
            begun[name] = time.perf_counter()
            engine.add(EngineRequest(id=name, prompt_ids=ids, params=params))

    start = time.perf_counter()
    for _ in range(load.streams):
        begin()
    while engine.busy:
        for event in engine.step():
            now = time.perf_counter()
            first.setdefault(event.id, now - begun[event.id])
            tokens[event.id] += len(event.token_ids)
            if event.finish_reason is not None:
                done.append(Request(first[event.id], now - begun[event.id], tokens[event.id]))
                begin()
    return summarise(done, time.perf_counter() - start, {})
