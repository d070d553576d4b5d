"""vLLM as an iteration-level engine, for serving on GPUs: its scheduler and model in a process of their own, which goes
on with the next iteration while this one hands out the last.

Differences to the paged engine: tokens come from vLLM's own streams, also where an answer goes on elsewhere; an answer
under a grammar cannot go on elsewhere; there is no contrastive decoding.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from r1ray.errors import DataError, ModelError, StaleWeights, WorkerError
from r1ray.generation.iteration import EngineEvent, EngineLoad, EngineRequest, TokenScore
from r1ray.generation.named_weights import NamedShapes
from r1ray.generation.vllm_engine import import_vllm, random_stream
from r1ray.generation.vllm_worker import shapes_in, when_ended
from r1ray.types import FinishReason


class VLLMIterationEngine:
    """An `IterationEngine` over `vllm.LLM`'s engine."""

    def __init__(self, folder: Path, *, dtype: str, max_rows: int, memory: float, tensor: int = 1) -> None:
        """Start vLLM on the Hugging Face folder.

        Args:
            folder: model and tokenizer.
            dtype: `float32` or `bfloat16`.
            max_rows: most sequences decoded side by side.
            memory: share of the device's memory that weights and cache may take.
            tensor: devices that share every layer.

        Raises:
            ConfigError: vLLM is not installed.
            ModelError: the folder has no safetensors files.
        """
        self._vllm = import_vllm(own_process=True)
        from vllm.v1.engine import EngineCoreOutputs

        self._no_outputs = EngineCoreOutputs
        self._aliases, self._shapes, self._version = NamedShapes.in_folder(folder).aliases, shapes_in(folder), 0
        self._llm = self._vllm.LLM(
            model=str(folder),
            dtype=dtype,
            max_num_seqs=max_rows,
            gpu_memory_utilization=memory,
            enable_prefix_caching=True,
            logprobs_mode="raw_logprobs",
            tensor_parallel_size=tensor,
            structured_outputs_config={"backend": "guidance"},  # llguidance, as the paged engine has it
            worker_extension_cls="r1ray.generation.vllm_worker.WorkerExtension",
            seed=0,
        )
        self._engine: Any = self._llm.llm_engine
        # What the core's process gives; `step` waits there. vLLM notes that its core was killed, and wakes nobody.
        self._outputs = outputs = self._engine.engine_core.outputs_queue
        for worker in self._llm.collective_rpc("end_with", args=(os.getpid(),)):
            when_ended(worker, lambda: outputs.put(WorkerError("vLLM's core has ended.")))
        cache = self._engine.vllm_config.cache_config
        self.context_length = int(self._engine.model_config.max_model_len)
        self._cache_tokens = int(cache.num_gpu_blocks) * int(cache.block_size)
        self._requests: dict[str, EngineRequest] = {}
        self._begun: set[str] = set()
        self._iterations = self._cached = self._prompt = 0

    @property
    def version(self) -> int:
        """Of the weights."""
        return self._version

    @property
    def busy(self) -> bool:
        """Whether anything waits or runs."""
        return bool(self._requests)

    def add(self, request: EngineRequest) -> None:
        """Queue a request. Raises `DataError` if it does not fit, `WorkerError` if it cannot go on here."""
        if request.grammar and request.answer_ids:
            raise WorkerError("vLLM cannot go on with an answer under a grammar that another engine began. Ask again.")
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

    def wake(self) -> None:
        """From another thread: a `step` that waits for the core returns, with nothing."""
        self._outputs.put(self._no_outputs())

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

    def load_weights(self, weights: Path, version: int) -> None:
        """Take a folder's weights in place, which vLLM reads by itself; what runs begins again under them.

        Raises:
            ModelError: the folder holds another network, or another format of it.
            StaleWeights: the prefix cache could not be emptied.
        """
        if differing := dict(shapes_in(weights).items() ^ self._shapes.items()).keys() - self._aliases.keys():
            raise ModelError(
                f"{weights} cannot take the place of what is served: {', '.join(sorted(differing)[:5])} "
                f"({len(differing)} in all) are missing, unknown or of another shape."
            )
        self._llm.collective_rpc("take_folder", args=(str(weights), dict(self._aliases)))
        if not self._llm.reset_prefix_cache(reset_running_requests=True):
            raise StaleWeights("vLLM could not empty its prefix cache after new weights.")
        self._version = version

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
            structured_outputs=self._structure(request.grammar),
            output_kind=self._vllm.sampling_params.RequestOutputKind.DELTA,
        )

    def _structure(self, grammar: str) -> Any:
        if not grammar:
            return None
        [only] = json.loads(grammar)["grammars"]  # vLLM wraps the schema the same way again
        return self._vllm.sampling_params.StructuredOutputsParams(json=json.dumps(only["json_schema"]))

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
            version=self._version,
        )


def _score(token: int, entry: Mapping[int, Any], request: EngineRequest) -> TokenScore:
    likeliest = sorted(entry.items(), key=lambda item: -item[1].logprob)[: request.params.top_logprobs]
    return TokenScore(logprob=entry[token].logprob, top=tuple((other, one.logprob) for other, one in likeliest))
