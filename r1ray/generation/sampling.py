"""Drawing tokens: each sample has its own stream of uniform numbers, and its token is where the next one falls.

A row's tokens depend on its logits and its own stream alone, so batches can be cut, refilled and compacted freely.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from r1ray.generation.engine import SamplingParams

BLOCK = 256
"""Vocabulary entries summed together first, so that the search touches one block instead of the whole vocabulary."""


def uniforms(seed: int, sample: int, count: int) -> npt.NDArray[np.float64]:
    """`count` numbers in [0, 1): element t is a function of (seed, sample, t) alone (Philox, Salmon et al. 2011)."""
    words = np.random.Philox(key=np.array([seed % 2**64, sample], dtype=np.uint64)).random_raw(count)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


T = TypeVar("T", int, float, bool)


class RowSampling:
    """The sampling parameters of the rows of a batch, as tensors; whatever no row asks for costs nothing."""

    def __init__(self, params: Sequence[SamplingParams], device: torch.device) -> None:
        temperatures = [p.temperature if p.temperature > 0 else 1.0 for p in params]
        self.temperatures = _unless_all(temperatures, 1.0, device)
        self.greedy = _unless_all([p.temperature <= 0 for p in params], False, device)
        self.all_greedy = all(p.temperature <= 0 for p in params)
        self.top_k = _unless_all([p.top_k for p in params], 0, device)
        self.top_p = _unless_all([p.top_p for p in params], 1.0, device)


def _unless_all(values: list[T], off: T, device: torch.device) -> Tensor | None:
    return None if all(value == off for value in values) else torch.tensor(values, device=device)


def sample(logits: Tensor, numbers: Tensor, rows: RowSampling) -> tuple[Tensor, Tensor]:
    """Draw one token per row.

    Args:
        logits: (R, V), float32.
        numbers: (R,), float64 in [0, 1), on the same device.
        rows: how each row is sampled.

    Returns:
        Tokens (R,) and their log-probs (R,) under the tempered, untruncated distribution; temperature 1 if greedy.
    """
    if rows.temperatures is not None:
        logits = logits / rows.temperatures[:, None]
    probabilities = logits.softmax(-1)
    if rows.all_greedy:
        tokens = logits.argmax(-1)
    else:
        tokens = inverse_cdf(truncate(probabilities, rows.top_k, rows.top_p), numbers)
        if rows.greedy is not None:
            tokens = torch.where(rows.greedy, logits.argmax(-1), tokens)
    return tokens, probabilities.gather(-1, tokens[:, None]).squeeze(-1).log()


def truncate(probabilities: Tensor, top_k: Tensor | None, top_p: Tensor | None) -> Tensor:
    """Zero what top-k, then nucleus sampling (arXiv 1904.09751), leave out of each row; nothing is renormalised."""
    vocabulary = probabilities.shape[-1]
    if top_k is not None:
        kept = torch.where(top_k > 0, top_k, vocabulary).clamp(max=vocabulary)
        largest = probabilities.topk(int(kept.max()), dim=-1).values
        probabilities = probabilities.where(probabilities >= largest.gather(-1, kept[:, None] - 1), 0.0)
    if top_p is not None:
        ordered = probabilities.sort(dim=-1, descending=True).values
        mass = ordered.double().cumsum(-1)
        # Keep a token while the mass before it is short of top_p: the smallest set that reaches it, never an empty one.
        needed = (mass - ordered < top_p[:, None] * mass[:, -1:]).sum(-1, keepdim=True).clamp(min=1)
        probabilities = probabilities.where(probabilities >= ordered.gather(-1, needed - 1), 0.0)
    return probabilities


def inverse_cdf(weights: Tensor, numbers: Tensor) -> Tensor:
    """The first entry of each row whose cumulative weight exceeds `number * total`: never one of weight zero.

    Args:
        weights: (R, V), not negative, some positive in each row.
        numbers: (R,), float64 in [0, 1).

    Returns:
        Indices (R,).
    """
    vocabulary = weights.shape[-1]
    whole = vocabulary - vocabulary % BLOCK
    sums = weights[:, :whole].unflatten(-1, (-1, BLOCK)).sum(-1)
    if whole < vocabulary:
        sums = torch.cat((sums, weights[:, whole:].sum(-1, keepdim=True)), dim=-1)
    block, rest = _search(sums, numbers * sums.sum(-1, dtype=torch.float64))
    inside = block[:, None] * BLOCK + torch.arange(min(BLOCK, vocabulary), device=weights.device)
    candidates = weights.gather(-1, inside.clamp(max=vocabulary - 1)).where(inside < vocabulary, 0.0)
    offset, _ = _search(candidates, rest)
    return (block * BLOCK + offset).clamp_(max=vocabulary - 1)  # only NaN weights lead beyond it


def _search(weights: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the first cumulative weight above each target, and how far into that entry the target lies."""
    edges = weights.double().cumsum(-1)
    total = edges[:, -1]
    targets = torch.minimum(targets, torch.nextafter(total, torch.zeros_like(total)))[:, None]
    index = torch.searchsorted(edges, targets, right=True).clamp_(max=weights.shape[-1] - 1)
    rest = targets - (edges.gather(-1, index) - weights.gather(-1, index))
    return index.squeeze(-1), rest.squeeze(-1).clamp(min=0.0)
