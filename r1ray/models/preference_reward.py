"""Runs a preference reward model: a score for each answer, at its last token, less what length is worth."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from r1ray.algorithms.length_bias import LengthCorrection
from r1ray.algorithms.packing import pack
from r1ray.errors import ModelError
from r1ray.models.loading import load_network, resolve_model
from r1ray.models.scorer import Scorer

CONFIG_KEY = "r1ray_rm"
"""Key of the model's `config.json` under which the length correction is stored: `slope` and `centre`."""


class PreferenceRewardModel:
    """A Hugging Face sequence classifier with one output, as TRL and others write them too."""

    def __init__(self, model: Any, *, correction: LengthCorrection | None = None, tokens_per_batch: int = 8192) -> None:
        self.network = model
        self._scorer = Scorer(model).eval().requires_grad_(False)
        self._device = next(model.parameters()).device
        self.correction, self._tokens_per_batch = correction, tokens_per_batch

    @classmethod
    def from_path(cls, path: str, device: str = "cpu", *, dtype: str = "float32") -> Self:
        """Load from anything that `resolve_model` takes.

        Raises:
            ModelError: no model there, or one with more than one score.
        """
        folder = resolve_model(path)
        model = load_network(AutoModelForSequenceClassification, folder, dtype=dtype)
        if model.config.num_labels != 1:
            raise ModelError(f"{folder} has {model.config.num_labels} outputs; expected one score for an answer.")
        stored = getattr(model.config, CONFIG_KEY, None)
        return cls(model.to(device), correction=LengthCorrection(**stored) if stored else None)

    @torch.inference_mode()
    def score(self, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]]) -> list[float]:
        """One score for each response, in nats of preference. What shares a batch with it changes nothing."""
        scores = [0.0] * len(responses)
        for packed in pack(prompts, responses, group=range(len(responses)), max_tokens=self._tokens_per_batch):
            packed = packed.to(self._device)
            found: Tensor = self._scorer(packed, packed.tails).logits[:, 0]
            for index, value in zip(packed.tail_sequence.tolist(), found.tolist(), strict=True):
                scores[index] = value
        if self.correction is None:
            return scores
        return [self.correction(score, len(ids)) for score, ids in zip(scores, responses, strict=True)]
