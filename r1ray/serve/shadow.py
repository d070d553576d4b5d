"""The canary's shadow: it answers the same request unseen, and scores the stable version's tokens."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace

from r1ray.generation.iteration import EngineRequest
from r1ray.serve.api.answers import Answer
from r1ray.serve.call import Call
from r1ray.serve.canary.controller import Canary
from r1ray.serve.canary.outcomes import Outcome
from r1ray.serve.served import ServedModel


async def shadow(models: Mapping[str, ServedModel], call: Call, answer: Answer, canary: Canary) -> None:
    """Run and book every shadow of a call whose first choice is `answer`. A shadow that fails is an outcome too."""
    tokens = [token for token, _ in answer.tokens]
    known = [score.logprob for _, score in answer.tokens if score is not None]
    canary.record(
        Outcome(
            version=call.choice.version,
            request_id=call.id,
            ok=True,
            ttft_s=call.first_token_s or 0.0,
            seconds=time.monotonic() - call.started,
            tokens=len(tokens),
            logprobs=known,
            paired_with=call.id,
        )
    )
    for version in call.choice.shadow:
        began, first, count, ok = time.monotonic(), 0.0, 0, True
        logprobs: list[float] | None = None
        engine, prompt = models[version].engine, list(call.prompts[0])
        try:
            request = EngineRequest(
                id=f"{call.id}/{version}", prompt_ids=prompt, params=call.params, grammar=call.grammar
            )
            async with contextlib.aclosing(engine.generate(request)) as stream:
                async for events in stream:
                    first = first or time.monotonic() - began
                    count += sum(len(event.token_ids) for event in events)
            seconds = time.monotonic() - began
            score = replace(
                call.params, max_new_tokens=0, logprobs=True, top_logprobs=0, prompt_logprobs=True, contrast=None
            )
            request = EngineRequest(id=f"{call.id}/{version}/score", prompt_ids=[*prompt, *tokens], params=score)
            async with contextlib.aclosing(engine.generate(request)) as stream:
                async for events in stream:
                    found = (events[0].prompt_scores or ())[len(prompt) :]
                    logprobs = [one.logprob for one in found if one is not None]
        except Exception:
            ok, seconds = False, time.monotonic() - began
        canary.record(
            Outcome(
                version=version,
                request_id=f"{call.id}/{version}",
                ok=ok,
                ttft_s=first,
                seconds=seconds,
                tokens=count,
                logprobs=logprobs,
                paired_with=call.id,
            )
        )
