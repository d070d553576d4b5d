"""The embedded engine: a Hugging Face model in this process, on CPU or GPU; Llamas are decoded by our own forward."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from r1ray.errors import DataError
from r1ray.generation.decoder import LlamaDecoder
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.generation.fallback import FallbackDecoder
from r1ray.generation.llama_weights import LlamaSpec
from r1ray.generation.scheduler import Scheduler
from r1ray.generation.stopping import StopRule, end_tokens
from r1ray.types import Completion

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LOGPROB_TOKENS = 2048
"""Most tokens, padding included, in one teacher-forced pass."""


class TransformersEngine:
    """`GenerationEngine` over a Hugging Face causal language model.

    Of a Llama-family model (Llama, SmolLM2, Mistral, Qwen2, Qwen3) the weights are copied into the decoder's own layout
    and the model can be let go of; any other runs through its own forward. Device and type are the model's.
    """

    def __init__(self, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", *, max_rows: int = 96) -> None:
        """`max_rows`: most completions decoded side by side."""
        self.policy_version = 0
        self._max_rows = max_rows
        self._context = getattr(model.config, "max_position_embeddings", None)
        self._stop_rule = StopRule(tokenizer, end_tokens(model, tokenizer))
        spec = LlamaSpec.of(model)
        self._decoder: LlamaDecoder | FallbackDecoder
        if spec is None:
            self._decoder = FallbackDecoder(model)
        else:
            self._decoder = LlamaDecoder(spec, dict(model.named_parameters()), model.dtype, model.device)

    def generate(self, prompts: Sequence[Prompt], params: SamplingParams) -> list[list[Completion]]:
        """For each prompt, its `samples` completions, in order.

        Raises:
            DataError: a prompt is empty, or too long for the model's context.
        """
        for index, prompt in enumerate(prompts):
            self._check(index, prompt, params)
        if isinstance(self._decoder, FallbackDecoder):
            return self._decoder.complete(prompts, params, self._stop_rule, self._max_rows)
        scheduler = Scheduler(self._decoder, self._stop_rule, self._max_rows)
        request_of = {scheduler.add(prompt, params): index for index, prompt in enumerate(prompts)}
        results: list[dict[int, Completion]] = [{} for _ in prompts]
        while scheduler.busy:
            for finished in scheduler.step():
                results[request_of[finished.request]][finished.sample] = finished.completion
        return [[by_sample[number] for number in sorted(by_sample)] for by_sample in results]

    def load_weights(self, weights: Mapping[str, torch.Tensor], version: int) -> None:
        """Take new weights by their Hugging Face names; nothing of the old ones stays.

        Raises:
            ModelError: naming what is missing, unknown or misshapen; the old weights then stay.
        """
        self._decoder.load(weights)
        self.policy_version = version

    def logprobs(self, prompt_ids: Sequence[Sequence[int]], response_ids: Sequence[Sequence[int]]) -> list[list[float]]:
        """Temperature-1 log-probs of each response after its prompt, teacher-forced through the engine's arithmetic."""
        results: list[list[float]] = [[] for _ in prompt_ids]
        pairs = [(list(prompt), list(response)) for prompt, response in zip(prompt_ids, response_ids, strict=True)]
        # Longest first: neighbours are of like length, so little is padded.
        order = sorted(range(len(pairs)), key=lambda index: -sum(map(len, pairs[index])))
        while order:
            longest = sum(map(len, pairs[order[0]]))
            size = max(1, LOGPROB_TOKENS // longest)
            batch, order = order[:size], order[size:]
            for index, scores in zip(batch, self._score([pairs[index] for index in batch], longest), strict=True):
                results[index] = scores
        return results

    def _score(self, pairs: Sequence[tuple[list[int], list[int]]], longest: int) -> list[list[float]]:
        device = self._decoder.device
        tokens = torch.tensor(
            [prompt + response + [0] * (longest - len(prompt) - len(response)) for prompt, response in pairs]
        )
        cells = [(row, len(p) + t - 1, token) for row, (p, r) in enumerate(pairs) for t, token in enumerate(r)]
        if not cells:
            return [[] for _ in pairs]
        rows, positions, targets = torch.tensor(cells, device=device).unbind(-1)
        flat = self._decoder.token_logprobs(tokens.to(device), rows, positions, targets).tolist()
        scores, start = [], 0
        for _, response in pairs:
            scores.append(flat[start : start + len(response)])
            start += len(response)
        return scores

    def _check(self, index: int, prompt: Prompt, params: SamplingParams) -> None:
        length = len(prompt.token_ids)
        if length == 0:
            raise DataError(f"Prompt {index} has no tokens; a completion needs at least one to follow.")
        if self._context is not None and length + params.max_new_tokens > self._context:
            raise DataError(
                f"Prompt {index} has {length} tokens; with max_new_tokens {params.max_new_tokens} that is more than "
                f"the model's context of {self._context}. Shorten the prompt or ask for fewer tokens."
            )
