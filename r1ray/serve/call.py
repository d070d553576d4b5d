"""One request on its way through the service, and what its choices are made of."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from r1ray.generation.iteration import DecodingParams
from r1ray.serve.access.access import Principal
from r1ray.serve.api.answers import Answer, Head, ScoredToken, usage
from r1ray.serve.api.requests import ChatRequest, CompletionRequest
from r1ray.serve.canary.controller import Choice
from r1ray.serve.served import ServedModel


@dataclass(slots=True, eq=False)
class Call:
    """A request that was let in."""

    id: str
    path: str
    request: ChatRequest | CompletionRequest
    principal: Principal
    model: ServedModel
    choice: Choice
    prompts: Sequence[Sequence[int]]
    params: DecodingParams
    grammar: str
    text: str
    """What the guard sees of it."""
    head: Head
    tools: bool = False
    forced_call: bool = False
    started: float = field(default_factory=time.monotonic)
    first_token_s: float | None = None
    weights: set[int] = field(default_factory=set)
    """Versions of the weights that wrote it: several where a roll-out came in between."""
    cache_level: str = "off"
    guard_rule: str = ""
    status: int = 200

    @property
    def chat(self) -> bool:
        """Whether it is a chat."""
        return isinstance(self.request, ChatRequest)

    @property
    def wanted(self) -> int:
        """Choices that each prompt gets."""
        return self.request.n or 1

    @property
    def drawn(self) -> int:
        """Choices that are made of each prompt."""
        return max(self.wanted, self.request.best_of or 0)

    @property
    def reserved(self) -> int:
        """Most tokens that it may cost."""
        return sum(len(ids) + self.drawn * self.params.max_new_tokens for ids in self.prompts)

    def used(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """Tokens that it cost, those of choices that were not chosen included."""
        cached = {index // self.drawn: 0 for index in range(self.drawn * len(self.prompts))}
        for answer in answers:
            place = answer.index // self.drawn
            cached[place] = max(cached[place], answer.cached_tokens)
        return usage(sum(map(len, self.prompts)), sum(len(answer.tokens) for answer in answers), sum(cached.values()))


@dataclass(frozen=True, slots=True)
class Delta:
    """What one choice got."""

    index: int
    content: str = ""
    reasoning: str = ""
    tokens: tuple[ScoredToken, ...] = ()
    prompt_tokens: tuple[ScoredToken, ...] = ()
    echo: str = ""
    cached_tokens: int = 0
    finish_reason: str | None = None


def fold(answer: Answer, delta: Delta) -> None:
    """Add a piece to what is there."""
    answer.text += delta.content
    answer.reasoning += delta.reasoning
    answer.tokens += delta.tokens
    answer.prompt_tokens += delta.prompt_tokens
    answer.echo += delta.echo
    answer.cached_tokens = max(answer.cached_tokens, delta.cached_tokens)
    if delta.finish_reason is not None:
        answer.finish_reason = delta.finish_reason
