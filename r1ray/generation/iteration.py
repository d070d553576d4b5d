"""Engines that advance one iteration at a time, for serving: requests join and leave between two iterations.

    add ──► waiting ──► running ──step──► events (new tokens, their log-probs) ──► … ──► finish_reason
                                   cancel: gone before the next iteration

A batch engine (`generation/engine.py`) answers when everything is finished; this one answers token by token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from r1ray.types import FinishReason


class TokenGrammar(Protocol):
    """What may come next under a grammar. One object a request: it moves along as tokens are chosen."""

    def mask_(self, logits: Tensor) -> None:
        """Set the logits (V,) of forbidden tokens to minus infinity, in place."""
        ...

    def accept(self, token: int) -> None:
        """The token was chosen."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """Contrastive decoding: a weaker model, the amateur, is asked as well, and what both know counts less (Li et al.
    2022, arXiv 2210.15097; in the form of O'Brien and Lewis 2023, arXiv 2309.09117, section 3)."""

    beta: float = 0.5
    """How much of what the amateur thinks is taken off; 0 = nothing."""
    alpha: float = 0.1
    """Only tokens count that the model itself finds at least so likely, as a share of the likeliest one's
    probability."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodingParams:
    """How one request's tokens are drawn."""

    max_new_tokens: int = 256
    temperature: float = 1.0
    """0 = greedy."""
    top_p: float = 1.0
    """Nucleus mass; 1 = off."""
    top_k: int = 0
    """Keep the k likeliest tokens; 0 = off."""
    seed: int = 0
    sample: int = 0
    """Which of a prompt's samples: each has its own stream, a function of (seed, sample)."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer. Who asked cuts them off."""
    ignore_end: bool = False
    """Go on behind an end token."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of single tokens."""
    presence_penalty: float = 0.0
    """Taken off the logits of tokens that the answer already has."""
    frequency_penalty: float = 0.0
    """The same, for each time that it has them."""
    logprobs: bool = False
    """Whether chosen tokens come with their log-probs: the model's own, at temperature 1, before biases."""
    top_logprobs: int = 0
    """How many of the likeliest tokens come with each."""
    prompt_logprobs: bool = False
    """Whether the prompt's tokens come with theirs, in the first event."""
    contrast: Contrast | None = None
    """Contrastive decoding; log-probs stay those of the model that serves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineRequest:
    """One answer wanted."""

    id: str
    prompt_ids: Sequence[int]
    params: DecodingParams
    answer_ids: Sequence[int] = ()
    """Tokens that the answer has already: another engine wrote them and died. They count as drawn."""
    grammar: str = ""
    """What the answer must match, as `generation/grammar.py` spells it; empty = anything."""
    whole: bool = False
    """Nobody reads it before its end: it may be handed over in large pieces."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenScore:
    """A token's log-prob, and the likeliest tokens in its place."""

    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineEvent:
    """What one iteration gave one request."""

    id: str
    token_ids: tuple[int, ...]
    scores: tuple[TokenScore, ...] = ()
    """One for each token, where they were asked for."""
    prompt_scores: tuple[TokenScore | None, ...] | None = None
    """For each prompt token (None for the first), in the first event, where they were asked for."""
    cached_tokens: int = 0
    """Prompt tokens whose keys and values were found in the cache; in the first event."""
    finish_reason: FinishReason | None = None
    version: int = 0
    """Of the weights that gave it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineLoad:
    """How busy an engine is."""

    running: int
    waiting: int
    waiting_tokens: int
    """Prompt and answer tokens that waiting requests may still need."""
    free_tokens: int
    """Places for keys and values that nobody holds."""
    total_tokens: int
    cached_tokens: int
    """Prompt tokens found in the prefix cache so far."""
    prompt_tokens: int
    """Prompt tokens seen so far."""
    iterations: int


class IterationEngine(Protocol):
    """Requests in, tokens out, one iteration at a time. Not thread-safe: one thread owns it."""

    @property
    def version(self) -> int:
        """Of its weights; 0 before the first `load_weights`."""
        ...

    @property
    def busy(self) -> bool:
        """Whether anything waits or runs."""
        ...

    @property
    def context_length(self) -> int:
        """Most tokens of a prompt and its answer together."""
        ...

    def add(self, request: EngineRequest) -> None:
        """Queue a request. Raises `DataError` if it can never fit."""
        ...

    def step(self) -> list[EngineEvent]:
        """One iteration: what each running request got."""
        ...

    def wake(self) -> None:
        """From any thread: something is to be added, so a `step` that only waits should return."""
        ...

    def cancel(self, request_id: str) -> bool:
        """Forget a request and free what it holds, at once. False if it is not here."""
        ...

    def load(self) -> EngineLoad:
        """How busy it is now."""
        ...

    def load_weights(self, weights: Any, version: int) -> None:
        """Take new weights, as the factory's `read_weights` gives them; what is cached under the old ones is
        forgotten."""
        ...
