"""Shares of a micro-batch's tokens make up the whole again, and each target falls to exactly one of them."""

import pytest
import torch

from r1ray.algorithms.packing import pack
from r1ray.algorithms.token_shares import share_tokens


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 8])
def test_shares_are_equal_runs_of_the_row_that_answer_for_each_target_once(parts: int) -> None:
    prompts, responses = [[1, 2], [3], [4, 5, 6]], [[7, 8, 9], [10], [11, 12]]
    [packed] = pack(prompts, responses, group=[0, 1, 2], max_tokens=64, whole=True)
    shares = [share_tokens(packed, part, parts) for part in range(parts)]
    row = torch.cat([share.input_ids for share, _ in shares])
    assert {len(share.input_ids) for share, _ in shares} == {-(-12 // parts)}
    assert row[:12].tolist() == packed.input_ids.tolist()
    assert sorted(torch.cat([kept for _, kept in shares]).tolist()) == list(range(6))
    tails = torch.cat([share.tail_sequence for share, _ in shares])
    assert sorted(tails.tolist()) == [0, 1, 2]
    for share, kept in shares:
        assert share.targets.tolist() == packed.targets[kept].tolist()
        assert share.input_ids[share.predictors].tolist() == packed.input_ids[packed.predictors[kept]].tolist()
        assert share.blocks is packed.blocks
        assert len(share.places) == parts * len(share.input_ids)
