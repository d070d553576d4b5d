"""What is done with answers that are over: calls are read, steps scored, the best chosen."""

import asyncio
from collections.abc import Sequence
from typing import Any

from r1ray.reasoning.best_of_n import best_of, solution_score
from r1ray.reasoning.steps import step_spans
from r1ray.serve.api.answers import Answer, chat_choice, text_choice
from r1ray.serve.api.requests import ChatRequest
from r1ray.serve.api.tools import read_calls
from r1ray.serve.call import Call


async def finish(call: Call, answers: Sequence[Answer]) -> None:
    """Read the calls out of the texts, and score the steps where they are asked for or needed to choose."""
    for answer in answers:
        if call.tools and answer.finish_reason != "content_filter":
            answer.text, answer.tool_calls = read_calls(answer.text, call.forced_call)
            if answer.tool_calls and answer.finish_reason == "stop":
                answer.finish_reason = "tool_calls"
    wants_steps = isinstance(call.request, ChatRequest) and call.request.include_steps
    if wants_steps or (call.drawn > call.wanted and call.model.scorer is not None):
        steps = await asyncio.gather(
            *(_steps(call, answer) for answer in answers)
        )  # together: the scorer makes batches
        for answer, found in zip(answers, steps, strict=True):
            answer.steps = found


def choices(call: Call, answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """The wanted choices of every prompt, in the API's form."""
    chosen: list[Answer] = []
    for prompt in range(len(call.prompts)):
        group = list(answers[prompt * call.drawn : (prompt + 1) * call.drawn])
        while len(group) > call.wanted:  # the worst leaves until as many are left as are wanted
            ranks = [-_worth(answer) for answer in group]
            group.pop(best_of(ranks))
        chosen += sorted(group, key=_worth, reverse=True) if call.drawn > call.wanted else group
    for index, answer in enumerate(chosen):
        answer.index = index
    names = call.model.names
    if isinstance(call.request, ChatRequest):
        return [chat_choice(answer, names, bool(call.request.logprobs)) for answer in chosen]
    return [text_choice(answer, names, call.request.logprobs is not None) for answer in chosen]


async def _steps(call: Call, answer: Answer) -> list[dict[str, Any]]:
    tokens = [token for token, _ in answer.tokens]
    if call.model.scorer is not None and tokens:
        return await call.model.scorer.score(call.prompts[answer.index // call.drawn], tokens)
    text = answer.reasoning or answer.text
    return [{"text": text[start:end], "score": None} for start, end in step_spans(text)]


def _worth(answer: Answer) -> float:
    """Of best-of-n: the weakest step where steps are scored, else the mean log-prob."""
    if answer.steps is not None:
        return solution_score([step["score"] for step in answer.steps if step["score"] is not None])
    return answer.mean_logprob
