"""Continuous batching, one iteration a call: waiting requests join, prompts are read piece by piece beside the answers
that are being written, finished and cancelled requests leave at once.

A request joins only when the pages of its longest possible answer are free, so that nothing that runs is ever put back.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from r1ray.errors import DataError, ModelError
from r1ray.generation.iteration import EngineEvent, EngineLoad, EngineRequest, TokenGrammar, TokenScore
from r1ray.generation.paged.blocks import BlockPool, prefix_hashes
from r1ray.generation.paged.choose import Chooser, choose, scores
from r1ray.generation.paged.model import PagedModel, Piece
from r1ray.generation.paged.rows import RowLimit
from r1ray.generation.stopping import StopRule
from r1ray.models.packed_weights import PackedMatrix
from r1ray.types import FinishReason


@dataclass(slots=True, eq=False)
class _Sequence:
    request: EngineRequest
    hashes: list[bytes]
    """Of the prompt's full pages, without its last token: that one is always computed, for its logits."""
    tokens: list[int]
    chooser: Chooser
    pages: list[int] = field(default_factory=list)
    computed: int = 0
    cached: int = 0
    published: int = 0
    told: bool = False
    """Whether its first event is out."""
    prompt_scores: list[TokenScore | None] = field(default_factory=lambda: [None])

    @property
    def prompt_length(self) -> int:
        return len(self.request.prompt_ids)

    @property
    def answer(self) -> list[int]:
        return self.tokens[self.prompt_length :]

    @property
    def most_tokens(self) -> int:
        return self.prompt_length + self.request.params.max_new_tokens


class PagedEngine:
    """An `IterationEngine` over any `PagedModel`."""

    def __init__(
        self,
        model: PagedModel,
        stop_rule: StopRule,
        *,
        rows: RowLimit,
        prefill_tokens: int = 512,
        prefix_cache: bool = True,
        grammars: Callable[[str], TokenGrammar] | None = None,
        amateur: PagedModel | None = None,
    ) -> None:
        """
        Args:
            model: the network.
            stop_rule: what ends an answer.
            rows: how many requests run side by side.
            prefill_tokens: prompt tokens that are read in one iteration.
            prefix_cache: whether prompts that begin alike share pages.
            grammars: from a grammar's text to the grammar; None = there are none.
            amateur: the weaker network of contrastive decoding, with pages like the model's; it reads what asks for it.
        """
        self._model, self._stop_rule, self._rows, self._grammars = model, stop_rule, rows, grammars
        self._prefill_tokens, self._prefix_cache, self._amateur = prefill_tokens, prefix_cache, amateur
        self._pool = BlockPool(model.pages, model.page_size)
        self._waiting: deque[_Sequence] = deque()
        self._running: list[_Sequence] = []
        self._version = self._iterations = self._cached_tokens = self._prompt_tokens = 0

    @property
    def version(self) -> int:
        """Of the weights."""
        return self._version

    @property
    def busy(self) -> bool:
        """Whether anything waits or runs."""
        return bool(self._waiting or self._running)

    @property
    def context_length(self) -> int:
        """Most tokens of a prompt and its answer together: the model's, or what the pages hold."""
        return min(self._model.context_length, self._pool.count * self._pool.size)

    def add(self, request: EngineRequest) -> None:
        """Queue a request. Raises `DataError` if it can never fit."""
        prompt, limit = list(request.prompt_ids), request.params.max_new_tokens
        if not prompt:
            raise DataError("An empty prompt has no next token: give at least one token.")
        if (wanted := len(prompt) + limit) > self.context_length:
            raise DataError(
                f"The prompt has {len(prompt)} tokens and asks for {limit} more, {wanted} in all; "
                f"at most {self.context_length} fit. Shorten the prompt or ask for fewer tokens."
            )
        grammar = None
        if request.grammar:
            if self._grammars is None:
                raise DataError("This engine has no grammars: install llguidance, or ask without a response format.")
            grammar = self._grammars(request.grammar)
        if request.params.contrast:
            if self._amateur is None:
                raise DataError("Contrastive decoding needs an amateur, and this engine was started without one.")
            if wanted > self._amateur.context_length:
                raise DataError(f"The amateur reads {self._amateur.context_length} tokens at most, not {wanted}.")
        chooser = Chooser(request.params, grammar)
        for token in request.answer_ids:
            chooser.took(token)
        reusable = self._prefix_cache and not request.params.prompt_logprobs
        salt = b"with the amateur's" if request.params.contrast else b""  # its keys and values lie in no other pages
        hashes = prefix_hashes(prompt[:-1], self._pool.size, salt) if reusable else []
        self._waiting.append(_Sequence(request, hashes, [*prompt, *request.answer_ids], chooser))

    def wake(self) -> None:
        """Its steps wait for nobody."""

    def cancel(self, request_id: str) -> bool:
        """Forget a request and free what it holds, at once. False if it is not here."""
        for sequence in self._waiting:
            if sequence.request.id == request_id:
                self._waiting.remove(sequence)
                return True
        for sequence in self._running:
            if sequence.request.id == request_id:
                self._leave(sequence)
                return True
        return False

    def load(self) -> EngineLoad:
        """How busy it is now."""
        return EngineLoad(
            running=len(self._running),
            waiting=len(self._waiting),
            waiting_tokens=sum(sequence.most_tokens for sequence in self._waiting),
            free_tokens=self._pool.free * self._pool.size,
            total_tokens=self._pool.count * self._pool.size,
            cached_tokens=self._cached_tokens,
            prompt_tokens=self._prompt_tokens,
            iterations=self._iterations,
        )

    def load_weights(self, weights: Mapping[str, Tensor | PackedMatrix], version: int) -> None:
        """Take new weights; no prefix is reused from the old ones. What runs goes on under the new ones."""
        self._model.load_weights(weights)
        self._pool.forget()
        for sequence in (*self._running, *self._waiting):
            sequence.hashes = []  # keys and values of two versions must not be shared under one name
        self._version = version

    @torch.inference_mode()
    def step(self) -> list[EngineEvent]:
        """One iteration: what each running request got."""
        started = time.perf_counter()
        self._admit()
        work = self._pieces()
        if not work:
            return []
        logits = self._model.forward([piece for _, piece in work])
        self._iterations += 1
        _check(logits, "model")
        self._ask_amateur([one for one in work if one[0].request.params.contrast])
        ready: list[_Sequence] = []
        rows: list[int] = []
        row = 0
        for sequence, piece in work:
            if sequence.request.params.prompt_logprobs and sequence.computed < sequence.prompt_length:
                self._score_prompt(sequence, piece, logits[row : row + len(piece.outputs)])
            row += len(piece.outputs)
            sequence.computed += len(piece.tokens)
            self._publish(sequence)
            if sequence.computed == len(sequence.tokens):
                ready.append(sequence)
                rows.append(row - 1)
        events = self._events(ready, logits, rows)
        self._rows.after_step(time.perf_counter() - started, len(self._running), len(self._waiting))
        return events

    def _admit(self) -> None:
        # What others are computing right now is worth an iteration's wait: then it is shared.
        coming = {digest for one in self._running if one.computed < one.prompt_length for digest in one.hashes}
        later: list[_Sequence] = []
        while self._waiting and len(self._running) < self._rows.now:
            sequence = self._waiting.popleft()
            shared = self._pool.cached(sequence.hashes)
            if len(shared) < len(sequence.hashes) and sequence.hashes[len(shared)] in coming:
                later.append(sequence)
                continue
            self._pool.hold(shared)
            more = -(-sequence.most_tokens // self._pool.size) - len(shared)
            if more > self._pool.free:
                self._pool.release(shared)
                later.append(sequence)
                break  # in the order of arrival: a short request does not overtake a long one for ever
            sequence.pages = shared + self._pool.take(more)
            sequence.computed = sequence.cached = len(shared) * self._pool.size
            sequence.published = len(shared)
            coming.update(sequence.hashes)
            self._cached_tokens += sequence.cached
            self._prompt_tokens += sequence.prompt_length
            self._running.append(sequence)
        self._waiting.extendleft(reversed(later))

    def _pieces(self) -> list[tuple[_Sequence, Piece]]:
        work, budget = [], self._prefill_tokens
        for sequence in self._running:
            missing = len(sequence.tokens) - sequence.computed
            if missing > 1 or sequence.computed < sequence.prompt_length:  # else one token of an answer, always taken
                missing = min(missing, budget)
                budget -= missing
            if not missing:
                continue
            start = sequence.computed
            tokens = sequence.tokens[start : start + missing]
            last = start + missing == len(sequence.tokens)
            if sequence.request.params.prompt_logprobs and start < sequence.prompt_length:
                outputs: range | tuple[int, ...] = range(missing)
            else:
                outputs = (missing - 1,) if last else ()
            work.append((sequence, Piece(tokens, start, sequence.pages, outputs)))
        if work and not any(piece.outputs for _, piece in work):  # a pass without logits has no output to ask for
            sequence, piece = work[-1]
            work[-1] = (sequence, Piece(piece.tokens, piece.past, piece.pages, (len(piece.tokens) - 1,)))
        return work

    def _ask_amateur(self, work: list[tuple[_Sequence, Piece]]) -> None:
        if not work or self._amateur is None:
            return
        found = self._amateur.forward([replace(piece, outputs=(len(piece.tokens) - 1,)) for _, piece in work])
        _check(found, "amateur")
        for (sequence, _), logits in zip(work, found, strict=True):
            sequence.chooser.amateur = logits

    def _score_prompt(self, sequence: _Sequence, piece: Piece, logits: Tensor) -> None:
        following = sequence.tokens[piece.past + 1 : min(piece.past + 1 + len(piece.tokens), sequence.prompt_length)]
        if following:
            logprobs = torch.log_softmax(logits[: len(following)], dim=-1)
            width = sequence.request.params.top_logprobs
            sequence.prompt_scores += scores(logprobs, following, [width] * len(following))

    def _publish(self, sequence: _Sequence) -> None:
        full = min(sequence.computed // self._pool.size, len(sequence.hashes))
        for index in range(sequence.published, full):
            self._pool.publish(sequence.pages[index], sequence.hashes[index])
        sequence.published = max(sequence.published, full)

    def _events(self, ready: list[_Sequence], logits: Tensor, rows: list[int]) -> list[EngineEvent]:
        choosing = [index for index, one in enumerate(ready) if one.request.params.max_new_tokens > 0]
        tokens: list[int] = []
        found: list[TokenScore | None] = []
        if choosing:
            picked = (
                logits
                if len(rows) == len(logits) and len(choosing) == len(rows)
                else logits[[rows[i] for i in choosing]]
            )
            tokens, found = choose(picked, [ready[i].chooser for i in choosing])
        chosen = dict(zip(choosing, zip(tokens, found, strict=True), strict=True))
        events = []
        for index, sequence in enumerate(ready):
            first = not sequence.told
            sequence.told = True
            new: tuple[int, ...] = ()
            score: TokenScore | None = None
            reason: FinishReason | None = "length"
            if index in chosen:
                token, score = chosen[index]
                sequence.tokens.append(token)
                new, reason = (token,), self._ends(sequence)
            params = sequence.request.params
            events.append(
                EngineEvent(
                    id=sequence.request.id,
                    token_ids=new,
                    scores=(score,) if score is not None else (),
                    prompt_scores=tuple(sequence.prompt_scores) if first and params.prompt_logprobs else None,
                    cached_tokens=sequence.cached if first else 0,
                    finish_reason=reason,
                    version=self._version,
                )
            )
            if reason is not None:
                self._leave(sequence)
        return events

    def _ends(self, sequence: _Sequence) -> FinishReason | None:
        params, answer = sequence.request.params, sequence.answer
        if params.ignore_end and answer[-1] in self._stop_rule.end_tokens:
            return "length" if len(answer) >= params.max_new_tokens else None
        return self._stop_rule(answer, params.stop, params.max_new_tokens)

    def _leave(self, sequence: _Sequence) -> None:
        self._running.remove(sequence)
        self._pool.release(sequence.pages)


def _check(logits: Tensor, who: str) -> None:
    if bool(logits.sum().isnan()):
        raise ModelError(f"The {who} gives NaN logits: its weights are damaged or diverged. Load a good checkpoint.")
