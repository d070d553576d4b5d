"""The bodies of answers, whole and in chunks, in the shapes of the OpenAI API."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from r1ray.generation.iteration import TokenScore
from r1ray.serve.text import TokenNames

ScoredToken = tuple[int, TokenScore | None]


@dataclass(slots=True)
class Answer:
    """One finished choice."""

    index: int
    text: str = ""
    reasoning: str = ""
    finish_reason: str = "stop"
    tokens: list[ScoredToken] = field(default_factory=list)
    prompt_tokens: list[ScoredToken] = field(default_factory=list)
    """With their scores, where the request wants its prompt back."""
    echo: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] | None = None
    cached_tokens: int = 0

    @property
    def mean_logprob(self) -> float:
        """Of its tokens; minus infinity where it has none."""
        scores = [score.logprob for _, score in self.tokens if score is not None]
        return sum(scores) / len(scores) if scores else float("-inf")


@dataclass(frozen=True, slots=True)
class Head:
    """What all bodies of one request share."""

    id: str
    model: str
    created: int
    chat: bool

    @staticmethod
    def of(request_id: str, model: str, chat: bool) -> "Head":
        """For a request that begins now."""
        return Head(("chatcmpl-" if chat else "cmpl-") + request_id, model, int(time.time()), chat)

    def body(
        self, choices: Sequence[Any], usage: dict[str, Any] | None = None, *, chunk: bool = False
    ) -> dict[str, Any]:
        """An answer, or a chunk of one."""
        kind = ("chat.completion" + (".chunk" if chunk else "")) if self.chat else "text_completion"
        body = {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": list(choices)}
        if usage is not None or not chunk:
            body["usage"] = usage
        return body


def usage(prompt: int, answer: int, cached: int) -> dict[str, Any]:
    """Tokens that the request cost."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def chat_choice(answer: Answer, names: TokenNames, logprobs: bool) -> dict[str, Any]:
    """One choice of a chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = answer.tool_calls
        message["content"] = answer.text or None
    choice = {"index": answer.index, "message": message, "finish_reason": answer.finish_reason}
    choice["logprobs"] = {"content": chat_logprobs(answer.tokens, names), "refusal": None} if logprobs else None
    if answer.steps is not None:
        choice["steps"] = answer.steps
    return choice


def chat_logprobs(tokens: Sequence[ScoredToken], names: TokenNames) -> list[dict[str, Any]]:
    """Log-probs as chats have them."""

    def entry(token: int, logprob: float) -> dict[str, Any]:
        return {"token": names.text(token), "logprob": _finite(logprob), "bytes": names.bytes(token)}

    return [
        {**entry(token, score.logprob), "top_logprobs": [entry(*one) for one in score.top]}
        for token, score in tokens
        if score is not None
    ]


def text_choice(answer: Answer, names: TokenNames, logprobs: bool) -> dict[str, Any]:
    """One choice of a plain completion."""
    choice: dict[str, Any] = {
        "index": answer.index,
        "text": answer.echo + answer.text,
        "finish_reason": answer.finish_reason,
    }
    choice["logprobs"] = text_logprobs([*answer.prompt_tokens, *answer.tokens], names) if logprobs else None
    return choice


def text_logprobs(tokens: Sequence[ScoredToken], names: TokenNames, offset: int = 0) -> dict[str, Any]:
    """Log-probs as plain completions have them: parallel lists; the first token of a prompt has none."""
    texts = [names.text(token) for token, _ in tokens]
    offsets = []
    for text in texts:
        offsets.append(offset)
        offset += len(text)
    return {
        "tokens": texts,
        "token_logprobs": [None if score is None else _finite(score.logprob) for _, score in tokens],
        "top_logprobs": [_top(token, score, names) for token, score in tokens],
        "text_offset": offsets,
    }


def _top(token: int, score: TokenScore | None, names: TokenNames) -> dict[str, float] | None:
    """The likeliest tokens by text, the chosen one always among them; of two with one text the likelier counts."""
    if score is None:
        return None
    top: dict[str, float] = {}
    for other, logprob in (*score.top, (token, score.logprob)):
        top.setdefault(names.text(other), _finite(logprob))
    return top


def _finite(logprob: float) -> float:
    """JSON has no infinity."""
    return max(logprob, -9999.0)
