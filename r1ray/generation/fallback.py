"""Generation through the Hugging Face model itself, for architectures that ours does not know: right, but slower.

Prompts of equal length run together, so nothing is padded and no model's own ideas about masks or positions matter.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import DynamicCache

from r1ray.errors import ModelError
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.generation.named_weights import NamedShapes
from r1ray.generation.sampling import RowSampling, sample, uniforms
from r1ray.generation.stopping import StopRule
from r1ray.types import Completion

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class FallbackDecoder:
    """A causal language model with its own forward and cache; prompts are prefilled once, finished rows leave."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self._model = model.eval()
        self.device, self.dtype = model.device, model.dtype

    def load(self, named: Mapping[str, Tensor]) -> None:
        """Copy new weights into the model's own parameters; tied ones follow."""
        NamedShapes.of(self._model).check(named)
        with torch.no_grad():
            for name, parameter in self._model.named_parameters():
                parameter.copy_(named[name])

    @torch.inference_mode()
    def token_logprobs(self, tokens: Tensor, rows: Tensor, positions: Tensor, targets: Tensor) -> Tensor:
        """Log-probs (N,) of `targets` after each of `positions` in `rows` of the right-padded `tokens` (B, T)."""
        logits = self._model(input_ids=tokens, use_cache=False).logits[rows, positions]
        scores: Tensor = logits.float().log_softmax(-1).gather(-1, targets[:, None]).squeeze(-1)
        return scores

    @torch.inference_mode()
    def complete(
        self, prompts: Sequence[Prompt], params: SamplingParams, stop_rule: StopRule, max_rows: int
    ) -> list[list[Completion]]:
        """As `GenerationEngine.generate`."""
        results: list[list[Completion | None]] = [[None] * prompt.samples for prompt in prompts]
        by_length: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            by_length[len(prompt.token_ids)] += [(index, number) for number in range(prompt.samples)]
        for rows in by_length.values():
            for first in range(0, len(rows), max_rows):
                batch = rows[first : first + max_rows]
                done = self._run(prompts, batch, params, stop_rule)
                for (index, number), completion in zip(batch, done, strict=True):
                    results[index][number] = completion
        return [[completion for completion in group if completion is not None] for group in results]

    def _run(
        self, prompts: Sequence[Prompt], batch: Sequence[tuple[int, int]], params: SamplingParams, stop_rule: StopRule
    ) -> list[Completion]:
        distinct = sorted({index for index, _ in batch})
        of_prompt = torch.tensor([distinct.index(index) for index, _ in batch], device=self.device)
        numbers = [uniforms(prompts[index].seed, number, params.max_new_tokens) for index, number in batch]
        tokens: list[list[int]] = [[] for _ in batch]
        logprobs: list[list[float]] = [[] for _ in batch]
        done: dict[int, Completion] = {}

        cache = DynamicCache(config=self._model.config)
        prompt_ids = torch.tensor([prompts[index].token_ids for index in distinct], device=self.device)
        logits = self._model(input_ids=prompt_ids, past_key_values=cache, use_cache=True).logits[:, -1][of_prompt]
        cache.batch_select_indices(of_prompt)
        live = list(range(len(batch)))
        while True:
            step_numbers = torch.tensor(
                [numbers[row][len(tokens[row])] for row in live], dtype=torch.float64, device=self.device
            )
            drawn, scores = sample(logits.float(), step_numbers, RowSampling([params] * len(live), self.device))
            keep = []
            for place, (row, token, logprob) in enumerate(zip(live, drawn.tolist(), scores.tolist(), strict=True)):
                if math.isnan(logprob):
                    raise ModelError(
                        "The policy gives NaN logits: its weights are damaged or diverged. Load a good checkpoint."
                    )
                tokens[row].append(token)
                logprobs[row].append(logprob)
                reason = stop_rule(tokens[row], params.stop, params.max_new_tokens)
                if reason is None:
                    keep.append(place)
                else:
                    text = stop_rule.text(tokens[row])
                    done[row] = Completion(
                        token_ids=tokens[row], logprobs=logprobs[row], finish_reason=reason, text=text
                    )
            if not keep:
                return [done[row] for row in range(len(batch))]
            if len(keep) < len(live):
                live = [live[place] for place in keep]
                kept = torch.tensor(keep, device=self.device)
                drawn = drawn[kept]
                cache.batch_select_indices(kept)
            logits = self._model(input_ids=drawn[:, None], past_key_values=cache, use_cache=True).logits[:, -1]
