"""The choices of one request, side by side: engine events become pieces of text, in the order in which they come."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from itertools import zip_longest

from r1ray.generation.iteration import EngineEvent, EngineRequest
from r1ray.serve.api.answers import ScoredToken
from r1ray.serve.call import Call, Delta
from r1ray.serve.hooks import OutputGuard
from r1ray.serve.text import Detokenizer, Part, ReasoningSplitter, StopCutter


async def deltas(call: Call, guards: Sequence[OutputGuard]) -> AsyncGenerator[Delta, None]:
    """Pieces of every choice; `guards` has one for each. Leaving the iteration cancels all of them."""
    choices = [
        _choice(call, prompt * call.drawn + sample, prompt, sample, guards[prompt * call.drawn + sample])
        for prompt in range(len(call.prompts))
        for sample in range(call.drawn)
    ]
    if len(choices) == 1:
        async with contextlib.aclosing(choices[0]) as only:
            async for delta in only:
                yield delta
        return
    queue: asyncio.Queue[Delta | Exception | None] = asyncio.Queue()

    async def pump(choice: AsyncGenerator[Delta, None]) -> None:
        try:
            async for delta in choice:
                queue.put_nowait(delta)
            queue.put_nowait(None)
        except Exception as error:
            queue.put_nowait(error)

    tasks = [asyncio.create_task(pump(choice)) for choice in choices]
    try:
        running = len(tasks)
        while running:
            item = await queue.get()
            if isinstance(item, Exception):
                raise item
            if item is None:
                running -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for choice in choices:
            await choice.aclose()


async def _choice(call: Call, index: int, prompt: int, sample: int, guard: OutputGuard) -> AsyncGenerator[Delta, None]:
    ids, params = call.prompts[prompt], replace(call.params, sample=sample)
    detokenizer, cutter = Detokenizer(call.model.tokenizer), StopCutter(params.stop)
    splitter = ReasoningSplitter(call.model.prompts.opens_thought(ids)) if call.chat else None
    request = EngineRequest(
        id=f"{call.id}/{index}", prompt_ids=ids, params=params, grammar=call.grammar, whole=not call.request.stream
    )
    first = True
    async with contextlib.aclosing(call.model.engine.generate(request)) as stream:
        async for events in stream:
            tokens, reason = _tokens(events), events[-1].finish_reason
            call.weights.update(event.version for event in events)
            text = cutter.feed("".join(detokenizer.feed(token) for token, _ in tokens))
            finish: str | None = "stop" if cutter.stopped else reason
            if finish is not None:
                text += cutter.finish()
            checked = await guard.feed(text)
            shown, blocked = checked.text, checked.blocked
            if finish is not None and not blocked:
                rest = await guard.finish()
                shown, blocked, checked = shown + rest.text, rest.blocked, rest
            if blocked:
                finish, call.guard_rule = "content_filter", checked.rule
            part = splitter.feed(shown, final=finish is not None) if splitter else Part(content=shown)
            echo, prompt_tokens = "", tuple[ScoredToken, ...]()
            if first and getattr(call.request, "echo", None):
                echo = call.model.prompts.decode(ids)
                scores = events[0].prompt_scores
                prompt_tokens = tuple(zip(ids, scores, strict=True)) if scores is not None else ()
            cached = events[0].cached_tokens if first else 0
            yield Delta(index, part.content, part.reasoning, tuple(tokens), prompt_tokens, echo, cached, finish)
            first = False
            if finish is not None:
                return


def _tokens(events: list[EngineEvent]) -> list[ScoredToken]:
    return [pair for event in events for pair in zip_longest(event.token_ids, event.scores)]
