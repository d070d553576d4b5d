"""A student learns what its teacher says of the same rows: hidden states, attention maps, or soft labels.

Hidden states by mean squared error and attention maps by KL are TinyBERT's (arXiv 1909.10351, section 3.1), soft labels
at a temperature Hinton et al.'s (arXiv 1503.02531, section 2: the T² keeps gradients of one size).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from r1ray.data.encoding import TokenRow
from r1ray.metrics.reductions import Mean, Metric
from r1ray.quantize.distributions import batches, padded
from r1ray.train.engine import TrainEngine

STAGES = ("hidden", "attention", "labels")


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """Padded rows of one forward pass."""

    ids: Tensor
    predictors: Tensor
    """Positions that predict a response token."""
    lengths: Tensor


class Reader(nn.Module):
    """A causal language model as stages look at it: what it says of the predictors, and what happens inside."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, predictors: Tensor, stage: str) -> list[Tensor]:
        """`labels`: [logits (N, V)]; `hidden`: each layer's output (B, T, D); `attention`: each layer's map
        (B, H, T, T)."""
        output = self.network.get_decoder()(
            input_ids=ids,
            use_cache=False,
            output_hidden_states=stage == "hidden",
            output_attentions=stage == "attention",
        )
        if stage == "hidden":
            return list(output.hidden_states[1:])
        if stage == "attention":
            return list(output.attentions)
        return [self.network.get_output_embeddings()(output.last_hidden_state[predictors]).float()]


class Distillation:
    """An `Objective` of the supervised loop, for an engine that holds a `Reader`."""

    def __init__(
        self,
        teacher: Reader,
        rows: Mapping[str, TokenRow],
        *,
        stage: str = "labels",
        temperature: float = 1.0,
        layers: Sequence[int] = (),
        tokens_per_microbatch: int = 2048,
    ) -> None:
        """
        Args:
            teacher: on the engine's device; it is not trained.
            rows: by their ids.
            stage: what is learned.
            temperature: of the soft labels.
            layers: for each layer of the student, the teacher's that it follows; empty = its own number.
            tokens_per_microbatch: most tokens, with padding, of a forward pass.
        """
        self._teacher, self._rows, self._stage = teacher.eval().requires_grad_(False), rows, stage
        self._temperature, self._layers, self._budget = temperature, layers, tokens_per_microbatch

    def microbatches(self, rows: Sequence[str]) -> list[ReadBatch]:
        """Rows of like length together."""
        return [_batch(group) for group in batches([self._rows[row] for row in rows], self._budget)]

    def idle(self) -> ReadBatch:
        """Two tokens, one of which counts for nothing in the loop."""
        return _batch([TokenRow(token_ids=[0, 0], response_mask=[False, True])])

    def count(self, batch: ReadBatch) -> float:
        """Response tokens; of the stages that look inside, all tokens."""
        return float(batch.predictors.sum() if self._stage == "labels" else batch.lengths.sum())

    def loss(self, engine: TrainEngine, batch: ReadBatch) -> tuple[Tensor, dict[str, Metric]]:
        """The stage's loss, summed over what counts."""
        ids, predictors = batch.ids.to(engine.device), batch.predictors.to(engine.device)
        with torch.no_grad():
            theirs = self._teacher(ids, predictors, self._stage)
        ours: list[Tensor] = engine.forward(ids, predictors, self._stage)
        if self._stage == "labels":
            total = soft_label_loss(ours[0], theirs[0], self._temperature)
        else:
            chosen = [theirs[i] for i in self._layers] if self._layers else theirs
            there = torch.arange(ids.shape[1], device=ids.device) < batch.lengths.to(ids.device)[:, None]
            measure = hidden_loss if self._stage == "hidden" else attention_loss
            total = torch.stack([measure(a, b, there) for a, b in zip(ours, chosen, strict=True)]).mean()
        count = self.count(batch)
        return total, {f"train/{self._stage}": Mean(float(total.detach()) / max(count, 1.0), count)}


def soft_label_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² Σ KL(teacher ‖ student) of the tempered distributions; logits (N, V)."""
    ours, theirs = (F.log_softmax(logits / temperature, -1) for logits in (student, teacher))
    return F.kl_div(ours, theirs, reduction="sum", log_target=True) * temperature**2


def hidden_loss(student: Tensor, teacher: Tensor, there: Tensor) -> Tensor:
    """Σ over tokens of the mean squared difference (B, T, D), in units of the teacher's own mean square."""
    square = (student - teacher).float().square().mean(-1)[there].sum()
    scale: Tensor = teacher.float().square().mean(-1)[there].mean().clamp(min=1e-6)
    return square / scale


def attention_loss(student: Tensor, teacher: Tensor, there: Tensor) -> Tensor:
    """Σ over tokens of KL(teacher ‖ student) of what they attend to, mean over heads (B, H, T, T)."""
    theirs, ours = teacher.float(), student.float().clamp(min=1e-9)
    kl = (torch.xlogy(theirs, theirs) - theirs * ours.log()).sum(-1).mean(1)
    result: Tensor = kl[there].sum()
    return result


def _batch(rows: Sequence[TokenRow]) -> ReadBatch:
    ids, predictors, _ = padded(rows)
    return ReadBatch(ids, predictors, torch.tensor([len(row.token_ids) for row in rows]))
