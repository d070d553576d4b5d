"""A micro-batch whose tokens several ranks share, in equal runs: what each of them computes, and answers for.

    row:     p0 p1 a0 a1 | q0 b0 b1 –      eight places for two ranks; the last is padding
    rank 0:  p0 p1 a0 a1                    hidden states of these; predicts a0, a1
    rank 1:              q0 b0 b1 –         and b0, b1

Only attention sees the whole row (Ulysses, arXiv 2309.14509): everything else works token by token. The sum of the
ranks' losses is the loss of the whole, so ranks that share a row are to their engine like ranks with rows of their own.
"""

from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from r1ray.algorithms.packing import PackedBatch


def share_tokens(packed: PackedBatch, part: int, parts: int) -> tuple[PackedBatch, Int[Tensor, " M"]]:
    """Part `part` (0-based) of `parts`, and which of the batch's N targets are in it.

    Its `blocks` and `places` are those of the whole row: attention needs them.
    """
    tokens = len(packed.input_ids)
    size = -(-tokens // parts)
    padding = size * parts - tokens
    mine = slice(part * size, (part + 1) * size)

    def padded(row: Tensor) -> Tensor:
        return torch.cat([row, row.new_zeros(padding)])

    def within(places: Tensor) -> Tensor:
        return (places // size == part).nonzero().squeeze(1)

    kept, tails = within(packed.predictors), within(packed.tails)
    shared = replace(
        packed,
        input_ids=padded(packed.input_ids)[mine],
        position_ids=padded(packed.position_ids)[mine],
        places=padded(packed.places),
        in_order=packed.in_order and not padding,
        predictors=packed.predictors[kept] - mine.start,
        targets=packed.targets[kept],
        sequence=packed.sequence[kept],
        token=packed.token[kept],
        tails=packed.tails[tails] - mine.start,
        tail_sequence=packed.tail_sequence[tails],
    )
    return shared, kept
