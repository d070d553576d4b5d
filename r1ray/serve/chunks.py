"""The chunks of a streamed answer."""

from collections.abc import Iterator, Sequence
from typing import Any

from r1ray.serve.api.answers import Answer, chat_logprobs, text_logprobs
from r1ray.serve.cache.answers import CachedAnswer
from r1ray.serve.call import Call, Delta


def delta_chunk(call: Call, answer: Answer, delta: Delta) -> dict[str, Any] | None:
    """One piece of one choice; None where there is nothing to show. `answer` has the piece already.

    The reason of the end comes in `final_chunks`, when calls have been read and steps scored. Where tools are in play
    the text waits for the end too: only then it is known what of it is a call.
    """
    names, request = call.model.names, call.request
    if call.chat:
        first = len(answer.tokens) == len(delta.tokens)
        message: dict[str, Any] = {"role": "assistant", "content": ""} if first else {}
        if delta.content and not call.tools:
            message["content"] = delta.content
        if delta.reasoning:
            message["reasoning_content"] = delta.reasoning
        logprobs = None
        if request.logprobs and delta.tokens:
            logprobs = {"content": chat_logprobs(delta.tokens, names), "refusal": None}
        if not message and logprobs is None:
            return None
        choice = {"index": delta.index, "delta": message, "logprobs": logprobs, "finish_reason": None}
    else:
        text = delta.echo + delta.content
        scored = [*delta.prompt_tokens, *delta.tokens]
        logprobs = None
        if request.logprobs is not None and scored:
            before = len(answer.echo) + len(answer.text) - len(text)
            logprobs = text_logprobs(scored, names, before)
        if not text and logprobs is None:
            return None
        choice = {"index": delta.index, "text": text, "logprobs": logprobs, "finish_reason": None}
    return call.head.body([choice], chunk=True)


def final_chunks(call: Call, answers: Sequence[Answer], with_usage: bool) -> Iterator[dict[str, Any]]:
    """How each choice ended, then what it all cost."""
    for answer in answers:
        if call.chat:
            message: dict[str, Any] = {}
            if call.tools and answer.text:
                message["content"] = answer.text
            if answer.tool_calls:
                message["tool_calls"] = [{"index": i, **one} for i, one in enumerate(answer.tool_calls)]
            choice: dict[str, Any] = {"index": answer.index, "delta": message, "logprobs": None}
            if answer.steps is not None:
                choice["steps"] = answer.steps
        else:
            choice = {"index": answer.index, "text": "", "logprobs": None}
        choice["finish_reason"] = answer.finish_reason
        yield call.head.body([choice], chunk=True)
    if with_usage:
        yield call.head.body([], call.used(answers), chunk=True)


def cached_chunks(call: Call, found: CachedAnswer, with_usage: bool) -> Iterator[dict[str, Any]]:
    """An answer that was remembered, as a stream: one piece a choice."""
    for choice in found.choices:
        shown = dict(choice)
        if call.chat:
            message = {key: value for key, value in shown.pop("message").items() if value is not None}
            if calls := message.get("tool_calls"):
                message["tool_calls"] = [{"index": i, **one} for i, one in enumerate(calls)]
            shown["delta"] = message
        yield call.head.body([shown], chunk=True)
    if with_usage:
        yield call.head.body([], found.usage, chunk=True)
