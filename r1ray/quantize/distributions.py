"""Two networks read the same held-out solutions: how far apart their next-token distributions are."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from r1ray.data.encoding import TokenRow


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """On the response tokens of all rows, teacher-forced."""

    perplexity_parent: float
    perplexity: float
    """Of the held-out solutions."""
    mean_kl: float
    """KL(parent ‖ child) of next-token distributions, in nats."""
    max_kl: float
    agreement: float
    """Share of positions at which both have the same likeliest token."""
    tokens: int


@torch.inference_mode()
def compare(parent: Any, child: Any, rows: Sequence[TokenRow], tokens_per_pass: int = 1024) -> Divergence:
    """Read every row with both causal language models (on their own devices)."""
    nll_parent = nll = total = highest = 0.0
    agreed = count = 0
    for batch in batches(rows, tokens_per_pass):
        ids, predictors, targets = padded(batch)
        ours, theirs = (logprobs_at(model, ids, predictors) for model in (child, parent))
        theirs = theirs.to(ours.device)
        kl = (theirs.exp() * (theirs - ours)).sum(-1)
        total, highest = total + float(kl.sum()), max(highest, float(kl.max()))
        agreed += int((ours.argmax(-1) == theirs.argmax(-1)).sum())
        chosen = targets.to(ours.device)[:, None]
        nll -= float(ours.gather(-1, chosen).sum())
        nll_parent -= float(theirs.gather(-1, chosen).sum())
        count += len(targets)
    return Divergence(
        perplexity_parent=_perplexity(nll_parent / count),
        perplexity=_perplexity(nll / count),
        mean_kl=total / count,
        max_kl=highest,
        agreement=agreed / count,
        tokens=count,
    )


def batches(rows: Sequence[TokenRow], tokens: int) -> Iterator[list[TokenRow]]:
    """Rows of like length together, at most `tokens` a batch with the padding (one row at least)."""
    batch: list[TokenRow] = []
    for row in sorted(rows, key=lambda row: -len(row.token_ids)):
        if batch and (len(batch) + 1) * len(batch[0].token_ids) > tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def padded(batch: Sequence[TokenRow]) -> tuple[Tensor, Tensor, Tensor]:
    """(token ids (B, T), padded on the right; whether a position predicts a response token (B, T); those tokens (N,)).

    Causal attention lets no padding on the right reach what stands before it, so no mask is needed.
    """
    longest = max(len(row.token_ids) for row in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    learned = torch.zeros(len(batch), longest, dtype=torch.bool)
    for i, row in enumerate(batch):
        ids[i, : len(row.token_ids)] = torch.tensor(row.token_ids)
        learned[i, : len(row.token_ids)] = torch.tensor(row.response_mask)
    predictors = learned.roll(-1, dims=1)
    predictors[:, -1] = False
    return ids, predictors, ids[learned]


def logprobs_at(model: Any, ids: Tensor, predictors: Tensor) -> Tensor:
    """Log-probs (N, V) in float32 of what follows the marked positions; only their logits exist."""
    device = next(model.parameters()).device
    hidden = model.get_decoder()(input_ids=ids.to(device), use_cache=False).last_hidden_state
    logits: Tensor = model.get_output_embeddings()(hidden[predictors.to(device)])
    return logits.float().log_softmax(-1)


def _perplexity(nll: float) -> float:
    return math.exp(min(nll, 50.0)) if math.isfinite(nll) else math.inf
