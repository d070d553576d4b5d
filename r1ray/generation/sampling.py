"""Drawing tokens: each sample has its own stream of uniform numbers, and its token is where the next one falls.

A row's tokens depend on its logits and its own stream alone, so batches can be cut, refilled and compacted freely.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from r1ray.generation.engine import SamplingParams

BLOCK = 256
"""Vocabulary entries summed (or compared) first, so that a search touches one block instead of the whole vocabulary."""


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


def sample(
    logits: Tensor, numbers: Tensor, rows: RowSampling, *, buffer: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Draw one token per row.

    Args:
        logits: (R, V), float32.
        numbers: (R,), float64 in [0, 1), on the same device.
        rows: how each row is sampled.
        buffer: like `logits`, to be overwritten. Without one, tens of megabytes are allocated in each step, and on a
            CPU their page faults take as long as the softmax.

    Returns:
        Tokens (R,) and their log-probs (R,) under the tempered, untruncated distribution; temperature 1 if greedy.
    """
    if rows.temperatures is not None:
        logits = logits / rows.temperatures[:, None]
    probabilities = torch.softmax(logits, dim=-1, out=buffer)
    sums = _by_block(probabilities, _sum)
    if rows.all_greedy:
        tokens = argmax(logits)
    else:
        kept = truncate(probabilities, rows.top_k, rows.top_p)
        tokens = inverse_cdf(kept, numbers, sums if kept is probabilities else None)
        if rows.greedy is not None:
            tokens = torch.where(rows.greedy, argmax(logits), tokens)
    # A float32 softmax of a large vocabulary is off by some 1e-5, by one factor for the row: its true sum undoes that.
    chosen = probabilities.gather(-1, tokens[:, None]).squeeze(-1)
    return tokens, (chosen / sums.sum(-1, dtype=torch.float64)).log().float()


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


def inverse_cdf(weights: Tensor, numbers: Tensor, sums: Tensor | None = None) -> Tensor:
    """The first entry of each row whose cumulative weight exceeds `number * total`: never one of weight zero.

    Args:
        weights: (R, V), not negative, some positive in each row.
        numbers: (R,), float64 in [0, 1).
        sums: (R, blocks), the weights summed by block, where the caller has them.

    Returns:
        Indices (R,).
    """
    if sums is None:
        sums = _by_block(weights, _sum)
    block, rest = _search(sums, numbers * sums.sum(-1, dtype=torch.float64))
    offset, _ = _search(_entries(weights, block, beyond=0.0), rest)
    return (block * BLOCK + offset).clamp_(max=weights.shape[-1] - 1)  # only NaN weights lead beyond it


def argmax(logits: Tensor) -> Tensor:
    """Index of each row's first maximum, (R, V) to (R,); on a CPU several times faster than `torch.argmax`."""
    block = _by_block(logits, lambda blocks: blocks.amax(-1)).argmax(-1)
    return block * BLOCK + _entries(logits, block, beyond=-torch.inf).argmax(-1)


def _sum(blocks: Tensor) -> Tensor:
    return blocks.sum(-1)


def _by_block(values: Tensor, reduce: Callable[[Tensor], Tensor]) -> Tensor:
    """`reduce` over each block of (R, V), the last one perhaps shorter: (R, blocks)."""
    whole = values.shape[-1] // BLOCK * BLOCK
    reduced = reduce(values[:, :whole].unflatten(-1, (-1, BLOCK)))
    if whole == values.shape[-1]:
        return reduced
    return torch.cat((reduced, reduce(values[:, None, whole:])), dim=-1)


def _entries(values: Tensor, block: Tensor, *, beyond: float) -> Tensor:
    """The entries (R, BLOCK) of each row's block (R,); `beyond` stands where the vocabulary has ended."""
    index = block[:, None] * BLOCK + torch.arange(BLOCK, device=values.device)
    return values.gather(-1, index.clamp(max=values.shape[-1] - 1)).where(index < values.shape[-1], beyond)


def _search(weights: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the first cumulative weight above each target, and how far into that entry the target lies."""
    edges = weights.double().cumsum(-1)
    total = edges[:, -1]
    targets = torch.minimum(targets, torch.nextafter(total, torch.zeros_like(total)))[:, None]
    index = torch.searchsorted(edges, targets, right=True).clamp_(max=weights.shape[-1] - 1)
    rest = targets - (edges.gather(-1, index) - weights.gather(-1, index))
    return index.squeeze(-1), rest.squeeze(-1).clamp(min=0.0)
