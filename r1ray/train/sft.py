"""What supervised fine-tuning learns from rows of tokens: the marked tokens of each response, by position."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from r1ray.algorithms.packing import PackedBatch, pack
from r1ray.algorithms.token_shares import share_tokens
from r1ray.data.encoding import TokenRow
from r1ray.metrics.reductions import Mean, Metric
from r1ray.models.policy import PolicyOutput
from r1ray.train.engine import TrainEngine


@dataclass(frozen=True, slots=True)
class SFTBatch:
    """Some rows in one forward pass."""

    packed: PackedBatch
    learned: Tensor
    """Which of the packed targets are learned."""


class SFTObjective:
    """Negative log-likelihood of the learned tokens, with label smoothing. An `Objective` of the supervised loop."""

    def __init__(
        self,
        rows: Mapping[str, TokenRow],
        *,
        tokens_per_microbatch: int,
        logits_chunk: int,
        packing: bool = True,
        label_smoothing: float = 0.0,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        """
        Args:
            rows: by their ids.
            tokens_per_microbatch: most tokens of a forward pass.
            logits_chunk: most tokens whose logits exist at once.
            packing: several rows to a pass; off = one.
            label_smoothing: share of probability that is spread over the vocabulary.
            share: which part of each micro-batch's tokens is this rank's, of how many.
        """
        self._rows = rows
        self._budget = tokens_per_microbatch if packing else 1
        self._chunk, self._smoothing, self._share = logits_chunk, label_smoothing, share

    def microbatches(self, rows: Sequence[str]) -> list[SFTBatch]:
        """Packed, each row with positions and attention of its own."""
        chosen = [self._rows[row] for row in rows]
        starts = [row.response_mask.index(True) for row in chosen]
        batches = pack(
            [row.token_ids[:start] for row, start in zip(chosen, starts, strict=True)],
            [row.token_ids[start:] for row, start in zip(chosen, starts, strict=True)],
            group=range(len(chosen)),
            max_tokens=self._budget,
            whole=True,
        )
        return [self._shared(SFTBatch(packed, _learned(packed, chosen, starts))) for packed in batches]

    def idle(self) -> SFTBatch:
        """Two tokens of which none is learned."""
        [packed] = pack([[0]], [[0]], group=[0], max_tokens=2)
        return self._shared(SFTBatch(packed, torch.zeros(1, dtype=torch.bool)))

    def count(self, batch: SFTBatch) -> float:
        """Learned tokens."""
        return float(batch.learned.sum())

    def loss(self, engine: TrainEngine, batch: SFTBatch) -> tuple[Tensor, dict[str, Metric]]:
        """Σ (1 − ε) · −log p(token) + ε · mean over the vocabulary of −log p."""
        output = self._forward(engine, batch)
        learned = batch.learned.to(engine.device)
        nll = -torch.where(learned, output.logprobs, 0.0).sum()
        loss = nll
        if self._smoothing and output.uniform_logprobs is not None:
            uniform = -torch.where(learned, output.uniform_logprobs, 0.0).sum()
            loss = (1 - self._smoothing) * nll + self._smoothing * uniform
        count = self.count(batch)
        figures: dict[str, Metric] = {"train/nll": Mean(float(nll.detach()) / max(count, 1.0), count)}
        return loss, figures

    @torch.no_grad()
    def negative_log_likelihood(self, engine: TrainEngine, rows: Sequence[str]) -> float:
        """Mean over the learned tokens of all ranks' rows, in nats a token, without dropout; the same on every rank."""
        engine.module.eval()
        batches = self.microbatches(rows)
        missing = max(1, engine.all_reduce_max(len(batches))) - len(batches)
        sums = torch.zeros(2, dtype=torch.float64, device=engine.device)
        for batch in [*batches, *(self.idle() for _ in range(missing))]:
            logprobs = self._forward(engine, batch).logprobs
            sums[0] -= torch.where(batch.learned.to(engine.device), logprobs, 0.0).double().sum()
            sums[1] += self.count(batch)
        total, count = (float(value) for value in engine.all_reduce(sums))
        return total / max(count, 1.0)

    def _shared(self, batch: SFTBatch) -> SFTBatch:
        if self._share[1] == 1:
            return batch
        packed, kept = share_tokens(batch.packed, *self._share)
        return SFTBatch(packed, batch.learned[kept])

    def _forward(self, engine: TrainEngine, batch: SFTBatch) -> PolicyOutput:
        output: PolicyOutput = engine.forward(
            batch.packed.to(engine.device),
            chunk=self._chunk,
            uniform=bool(self._smoothing) and torch.is_grad_enabled(),
        )
        return output


def _learned(packed: PackedBatch, rows: Sequence[TokenRow], starts: Sequence[int]) -> Tensor:
    """For each target of a packed batch, whether its row marks it."""
    pairs = zip(packed.sequence.tolist(), packed.token.tolist(), strict=True)
    return torch.tensor([rows[row].response_mask[starts[row] + token] for row, token in pairs], dtype=torch.bool)
