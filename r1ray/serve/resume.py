"""An answer survives the engine that writes it: another one goes on where it stopped.

Draws are a function of (seed, sample, position), so the continuation is the one that the dead engine would have
written, up to the order in which floats are added.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from r1ray.generation.iteration import EngineEvent, EngineRequest
from r1ray.serve.errors import ApiError, unavailable

Generate = Callable[[EngineRequest], AsyncGenerator[list[EngineEvent], None]]


class EngineLost(Exception):
    """The engine, or the way to it, broke while it answered."""


async def resumed(
    generate: Generate, request: EngineRequest, *, attempts: int = 8, pause_s: float = 0.5
) -> AsyncGenerator[list[EngineEvent], None]:
    """The events of a request, from as many engines as it takes. `generate` raises `EngineLost` when one breaks.

    Raises:
        ApiError: 503, after so many engines.
    """
    written = list(request.answer_ids)
    told = False
    for attempt in range(attempts):
        try:
            async with contextlib.aclosing(generate(replace(request, answer_ids=tuple(written)))) as stream:
                async for events in stream:
                    for event in events:
                        written += event.token_ids
                    if told:  # the prompt's scores and cached tokens were told by the first engine
                        events = [replace(events[0], prompt_scores=None, cached_tokens=0), *events[1:]]
                    told = True
                    yield events
                    if events[-1].finish_reason is not None:
                        return
            raise EngineLost("the stream ended before the answer did")
        except EngineLost as error:
            if attempt + 1 == attempts:
                raise unavailable(f"The answer was lost {attempts} times: {error}") from error
            request = replace(request, id=f"{request.id}+")
            await asyncio.sleep(pause_s * min(attempt, 4))
        except ApiError as error:
            if error.status != 503 or attempt + 1 == attempts:
                raise
            await asyncio.sleep(pause_s * min(attempt + 1, 4))
