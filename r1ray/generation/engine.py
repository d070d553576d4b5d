"""What every generation engine can do, whatever runs underneath.

An engine turns token ids into token ids. It knows nothing of problems, rewards or Ray. Whoever holds one may ask it to
take new weights; `policy_version` then tells which weights answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from r1ray.types import Completion


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingParams:
    """How tokens are drawn."""

    max_new_tokens: int = 256
    temperature: float = 1.0
    """Logits are divided by it before the softmax; 0 = greedy. Log-probs are those of the tempered distribution."""
    top_p: float = 1.0
    """Nucleus mass; 1 = off. Reported log-probs are of the untruncated distribution."""
    top_k: int = 0
    """Keep the k likeliest tokens; 0 = off."""
    stop: tuple[str, ...] = ()
    """Texts that end a completion; the text stays in the completion, since its tokens were sampled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One prompt and how many samples of it are wanted; the samples share its prefill."""

    token_ids: list[int]
    samples: int = 1
    seed: int = 0
    """Sample g draws from its own stream, a function of (seed, g): what else shares the batch does not matter."""


class GenerationEngine(Protocol):
    """Prompts in, completions with log-probs out."""

    @property
    def policy_version(self) -> int:
        """Version given with the last `load_weights`; 0 before the first."""
        ...

    def generate(self, prompts: Sequence[Prompt], params: SamplingParams) -> list[list[Completion]]:
        """For each prompt, its `samples` completions, in order."""
        ...

    def load_weights(self, weights: Mapping[str, torch.Tensor], version: int) -> None:
        """Take new weights in place, by their Hugging Face names, and forget whatever was cached under the old ones."""
        ...

    def logprobs(self, prompt_ids: Sequence[Sequence[int]], response_ids: Sequence[Sequence[int]]) -> list[list[float]]:
        """Temperature-1 log-probs that the engine's own arithmetic gives to the responses: for the parity check."""
        ...
