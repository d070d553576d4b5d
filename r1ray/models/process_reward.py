"""Runs a process reward model: a probability of being right for every step of every rollout, in one batched forward."""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification, PreTrainedTokenizerBase

from r1ray.algorithms.step_loss import right_probability
from r1ray.errors import ModelError
from r1ray.models.loading import load_network, load_tokenizer, resolve_model
from r1ray.models.prm_layout import (
    CONFIG_KEY,
    ProcessRewardFormat,
    ScoredSequence,
    classified_sequence,
    sampled_sequence,
    tagged_sequence,
)
from r1ray.models.trunk import find_head, find_trunk
from r1ray.types import ReasoningStep, Rollout

logger = logging.getLogger(__name__)


class ProcessRewardModel:
    """A Hugging Face token-classification model (up to three classes; 1 = right, 2 = neutral), or a language model that
    marks steps `+` or `-` as Math-Shepherd does.

    Two ways of reading. A token classifier that was trained to judge the token that ends each step, and shares the
    policy's tokenizer, reads the ids as they were sampled. Any other encodes the question and the steps' texts for
    itself.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        layout: ProcessRewardFormat,
        *,
        reads_sampled_ids: bool = False,
        tokens_per_batch: int = 8192,
    ) -> None:
        """
        Args:
            model: the network, on its device.
            tokenizer: its own tokenizer.
            layout: how it was trained to read.
            reads_sampled_ids: whether the policy's ids mean the same to it.
            tokens_per_batch: most tokens (padding included) in one forward pass.
        """
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.layout = layout
        self.reads_sampled_ids = reads_sampled_ids
        self.tokens_per_batch = tokens_per_batch
        self._marks = _candidate_ids(tokenizer, layout) if layout.style == "math_shepherd" else None

    @classmethod
    def from_path(
        cls,
        path: str,
        device: str = "cpu",
        *,
        policy_tokenizer: PreTrainedTokenizerBase | None = None,
        dtype: str = "float32",
        tokens_per_batch: int = 8192,
    ) -> Self:
        """Load from anything that `resolve_model` takes.

        Args:
            path: where the model is.
            device: where it runs.
            policy_tokenizer: the policy's; with the same vocabulary, a `step_end` model reads sampled ids as they are.
            dtype: `float32` or `bfloat16`.
            tokens_per_batch: most tokens (padding included) in one forward pass.

        Raises:
            ModelError: no model there, or none that judges steps.
        """
        folder = resolve_model(path)
        tokenizer = load_tokenizer(folder)
        layout = detect_layout(folder, tokenizer)
        loader = AutoModelForTokenClassification if layout.style == "token_classification" else AutoModelForCausalLM
        model = load_network(loader, folder, dtype=dtype)
        if layout.style == "token_classification" and model.config.num_labels not in (1, 2, 3):
            raise ModelError(
                f"{folder} has {model.config.num_labels} classes; expected one (right), two (wrong, right) or three "
                "(wrong, right, neutral)."
            )
        shared = policy_tokenizer is not None and policy_tokenizer.get_vocab() == tokenizer.get_vocab()
        return cls(
            model.to(device),
            tokenizer,
            layout,
            reads_sampled_ids=shared and layout.style == "token_classification" and layout.position == "step_end",
            tokens_per_batch=tokens_per_batch,
        )

    def score(self, rollouts: Sequence[Rollout], steps: Sequence[Sequence[ReasoningStep]]) -> list[list[float]]:
        """Probability, 0 to 1, that each step of each rollout is right; same shape as `steps`.

        Neither the order of the rollouts nor what shares a batch with them changes a score.

        Raises:
            ModelError: a sequence is longer than the model can read.
        """
        sequences = [self._sequence(rollout, parts) for rollout, parts in zip(rollouts, steps, strict=True)]
        scores: list[list[float]] = [[] for _ in sequences]
        for batch in self._batches(sequences):
            probabilities = self._forward([sequences[index] for index in batch])
            counts = [len(sequences[index].positions) for index in batch]
            for index, part in zip(batch, probabilities.split(counts), strict=True):
                scores[index] = part.tolist()
        return scores

    def _sequence(self, rollout: Rollout, steps: Sequence[ReasoningStep]) -> ScoredSequence:
        if self.reads_sampled_ids:
            return sampled_sequence(rollout, steps)
        if self.layout.style == "math_shepherd":
            return tagged_sequence(rollout, steps, self.layout, self.tokenizer)
        return classified_sequence(rollout, steps, self.layout, self.tokenizer)

    def _batches(self, sequences: Sequence[ScoredSequence]) -> Iterator[list[int]]:
        """Indices of sequences that have steps, similar lengths together, within the token budget."""
        limit = getattr(self.model.config, "max_position_embeddings", None)
        order = sorted(
            (i for i, s in enumerate(sequences) if s.positions), key=lambda i: len(sequences[i].ids), reverse=True
        )
        if order and limit is not None and len(sequences[order[0]].ids) > limit:
            raise ModelError(
                f"The process reward model reads at most {limit} tokens and a rollout has "
                f"{len(sequences[order[0]].ids)}: lower problems.max_prompt_tokens or sampling.max_new_tokens, or "
                f"choose another model."
            )
        batch: list[int] = []
        for index in order:
            if batch and (len(batch) + 1) * len(sequences[batch[0]].ids) > self.tokens_per_batch:
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    @torch.inference_mode()
    def _forward(self, sequences: Sequence[ScoredSequence]) -> Tensor:
        """Probabilities at all positions of the sequences, one after the other."""
        longest = max(len(sequence.ids) for sequence in sequences)
        ids = torch.zeros(
            len(sequences), longest, dtype=torch.long
        )  # what pads is masked by length: its id says nothing
        mask = torch.zeros_like(ids)
        rows, columns = [], []
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence.ids)] = torch.tensor(sequence.ids)
            mask[row, : len(sequence.ids)] = 1
            rows += [row] * len(sequence.positions)
            columns += sequence.positions
        inputs = {"input_ids": ids.to(self.model.device), "attention_mask": mask.to(self.model.device)}
        if self._marks is None:
            positive = right_probability(self.model(**inputs).logits[rows, columns])
        else:  # only the two marks' logits exist, not the vocabulary's
            hidden = find_trunk(self.model)(**inputs, use_cache=False).last_hidden_state[rows, columns]
            marks = find_head(self.model).weight[list(self._marks)]
            positive = (hidden @ marks.T).float().softmax(-1)[:, 0]
        scores: Tensor = positive.cpu()
        return scores


def detect_layout(folder: Path, tokenizer: PreTrainedTokenizerBase) -> ProcessRewardFormat:
    """The format that the model's config states under `r1ray_prm`, or what its architecture says.

    Raises:
        ModelError: neither says how to read it.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if CONFIG_KEY in config:
        return ProcessRewardFormat.from_config(config[CONFIG_KEY])
    architecture = (config.get("architectures") or [""])[0]
    if architecture.endswith("ForTokenClassification"):
        return ProcessRewardFormat(style="token_classification")
    layout = ProcessRewardFormat(style="math_shepherd")
    if architecture.endswith("ForCausalLM") and len(tokenizer.encode(layout.step_tag, add_special_tokens=False)) == 1:
        logger.warning(
            "%s is read as a Math-Shepherd model: steps end with `%s`, judged + or -.", folder, layout.step_tag
        )
        return layout
    raise ModelError(
        f"{folder} is a {architecture or 'model without an architecture'}: expected a process reward model, either "
        f"…ForTokenClassification, or …ForCausalLM with a step tag as one token. If it is one, say how it reads in its "
        f'config.json: "{CONFIG_KEY}": {{"style": "math_shepherd", "step_tag": "…", "candidates": ["+", "-"]}}.'
    )


def _candidate_ids(tokenizer: PreTrainedTokenizerBase, layout: ProcessRewardFormat) -> tuple[int, int]:
    encoded = [tokenizer.encode(mark, add_special_tokens=False) for mark in layout.candidates]
    if any(len(ids) != 1 for ids in encoded):
        raise ModelError(
            f"{CONFIG_KEY}.candidates {layout.candidates} must be one token each in the model's vocabulary; they "
            f"encode to {encoded}. Name the marks that it was trained with."
        )
    return encoded[0][0], encoded[1][0]
