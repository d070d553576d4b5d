"""vLLM as an iteration-level engine, for serving on GPUs: its own scheduler, one `step` of it a call.

Differences to the paged engine: tokens come from vLLM's own streams, also where an answer goes on elsewhere, and there
are no grammars and no contrastive decoding.
"""

from collections.abc import Mapping
from typing import Any

import torch

from r1ray.errors import DataError
from r1ray.generation.iteration import EngineEvent, EngineLoad, EngineRequest, TokenScore
from r1ray.generation.vllm_engine import VLLMEngine, random_stream
from r1ray.types import FinishReason


class VLLMIterationEngine:
    """An `IterationEngine` over the `LLMEngine` inside a `VLLMEngine`."""

    def __init__(self, engine: VLLMEngine, *, context_length: int, cache_tokens: int) -> None:
        self._weights, self._vllm = engine, engine.library
        self._engine: Any = engine.llm.llm_engine
        self.context_length, self._cache_tokens = context_length, cache_tokens
        self._requests: dict[str, EngineRequest] = {}
        self._begun: set[str] = set()
        self._iterations = self._cached = self._prompt = 0

    @property
    def version(self) -> int:
        """Of the weights."""
        return self._weights.policy_version

    @property
    def busy(self) -> bool:
        """Whether anything waits or runs."""
        return bool(self._requests)

    def add(self, request: EngineRequest) -> None:
        """Queue a request. Raises `DataError` if it does not fit, or asks for a grammar."""
        if request.grammar:
            raise DataError("This engine has no grammars: ask without a response format or a forced tool.")
        if request.params.contrast:
            raise DataError("This engine has no amateur: ask without `contrastive`.")
        length = len(request.prompt_ids) + request.params.max_new_tokens
        if not request.prompt_ids or length > self.context_length:
            raise DataError(f"Prompt and answer have {length} tokens; expected from 1 to {self.context_length}.")
        ids = [*request.prompt_ids, *request.answer_ids]
        self._engine.add_request(request.id, {"prompt_token_ids": ids}, self._sampling(request))
        self._requests[request.id] = request

    def step(self) -> list[EngineEvent]:
        """One iteration of vLLM's."""
        self._iterations += 1
        found = [self._event(output) for output in self._engine.step() if output.request_id in self._requests]
        for event in found:
            if event.finish_reason is not None:
                self._forget(event.id)
        return found

    def cancel(self, request_id: str) -> bool:
        """Forget a request. False if it is not here."""
        if request_id not in self._requests:
            return False
        self._engine.abort_request([request_id])
        self._forget(request_id)
        return True

    def load(self) -> EngineLoad:
        """How busy it is; what has no first token yet counts as waiting."""
        waiting = [one for name, one in self._requests.items() if name not in self._begun]
        held = sum(len(one.prompt_ids) + one.params.max_new_tokens for one in self._requests.values())
        return EngineLoad(
            running=len(self._begun),
            waiting=len(waiting),
            waiting_tokens=sum(len(one.prompt_ids) + one.params.max_new_tokens for one in waiting),
            free_tokens=max(0, self._cache_tokens - held),
            total_tokens=self._cache_tokens,
            cached_tokens=self._cached,
            prompt_tokens=self._prompt,
            iterations=self._iterations,
        )

    def load_weights(self, weights: Mapping[str, torch.Tensor], version: int) -> None:
        """Take new weights in place."""
        self._weights.load_weights(weights, version)

    def _forget(self, request_id: str) -> None:
        del self._requests[request_id]
        self._begun.discard(request_id)

    def _sampling(self, request: EngineRequest) -> Any:
        params, written = request.params, len(request.answer_ids)
        return self._vllm.SamplingParams(
            max_tokens=max(1, params.max_new_tokens - written),  # vLLM always draws one; see `_event`
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=params.top_k,
            seed=random_stream(params.seed, params.sample + (written << 32)),
            stop=list(params.stop) or None,
            include_stop_str_in_output=True,
            detokenize=bool(params.stop),
            ignore_eos=params.ignore_end,
            logit_bias=dict(params.logit_bias) or None,
            presence_penalty=params.presence_penalty,
            frequency_penalty=params.frequency_penalty,
            logprobs=params.top_logprobs if params.logprobs else None,
            prompt_logprobs=params.top_logprobs if params.prompt_logprobs else None,
            output_kind=self._vllm.sampling_params.RequestOutputKind.DELTA,
        )

    def _event(self, output: Any) -> EngineEvent:
        request, new = self._requests[output.request_id], output.outputs[0]
        first = output.request_id not in self._begun
        self._begun.add(output.request_id)
        tokens = tuple(new.token_ids)
        scores: tuple[TokenScore, ...] = ()
        if request.params.logprobs and new.logprobs:
            scores = tuple(_score(token, entry, request) for token, entry in zip(tokens, new.logprobs, strict=True))
        reason: FinishReason | None = None
        if new.finish_reason is not None:
            reason = "length" if new.finish_reason == "length" else "stop"
        if request.params.max_new_tokens == 0:
            tokens, scores, reason = (), (), "length"
        prompt_scores = None
        if first and request.params.prompt_logprobs:
            pairs = zip(request.prompt_ids, output.prompt_logprobs, strict=False)
            prompt_scores = tuple(None if entry is None else _score(token, entry, request) for token, entry in pairs)
        cached = int(output.num_cached_tokens or 0) if first else 0
        if first:
            self._cached, self._prompt = self._cached + cached, self._prompt + len(request.prompt_ids)
        return EngineEvent(
            id=output.request_id,
            token_ids=tokens,
            scores=scores,
            prompt_scores=prompt_scores,
            cached_tokens=cached,
            finish_reason=reason,
        )


def _score(token: int, entry: Mapping[int, Any], request: EngineRequest) -> TokenScore:
    likeliest = sorted(entry.items(), key=lambda item: -item[1].logprob)[: request.params.top_logprobs]
    return TokenScore(logprob=entry[token].logprob, top=tuple((other, one.logprob) for other, one in likeliest))
