"""Packed rows give what rollouts one by one give: log-probs, tails, gradients. And the layout keeps its promises."""

import random
from collections.abc import Sequence
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from r1ray.algorithms.logprobs import token_logprobs
from r1ray.algorithms.packing import AttentionBlock, PackedBatch, balance, gather, pack, scatter
from r1ray.errors import DataError
from r1ray.models.packed_attention import use_packed_attention
from r1ray.models.trunk import run_trunk

VOCABULARY = 64


@cache
def tiny_llama() -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        attn_implementation="sdpa",
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        for weight in model.parameters():  # at the usual initial scale context hardly moves the log-probs
            if weight.dim() == 2:
                weight.data.normal_(0, 0.3)
    use_packed_attention(model)
    return model.eval()


def hidden_states(packed: PackedBatch) -> Tensor:
    """(L, D), as the learner takes them."""
    return run_trunk(tiny_llama().model, packed)


def packed_results(batches: Sequence[PackedBatch], rollouts: int, tokens: int) -> tuple[Tensor, Tensor]:
    """Log-probs (B, T) and the sum of each tail's hidden state (B,)."""
    table, tails = torch.zeros(rollouts, tokens), torch.zeros(rollouts)
    for packed in batches:
        hidden = hidden_states(packed)
        logprobs, _ = token_logprobs(hidden[packed.predictors], tiny_llama().lm_head.weight, packed.targets)
        table = table + scatter(logprobs, packed, rollouts, tokens)
        tails = tails.index_add(0, packed.tail_sequence, hidden[packed.tails].sum(1))
    return table, tails


def unshared_results(prompts: list[list[int]], responses: list[list[int]], tokens: int) -> tuple[Tensor, Tensor]:
    """The same, one rollout at a time, by nothing but the model and `log_softmax`."""
    rows, tails = [], []
    for prompt, response in zip(prompts, responses, strict=True):
        ids = torch.tensor([prompt + response])
        hidden = tiny_llama().model(input_ids=ids, use_cache=False).last_hidden_state[0]
        table = tiny_llama().lm_head(hidden).log_softmax(-1)
        found = [table[len(prompt) + t - 1, token] for t, token in enumerate(response)]
        rows.append(torch.stack([*found, *[torch.zeros(())] * (tokens - len(response))]) if tokens else torch.zeros(0))
        tails.append(hidden[-1].sum())
    return torch.stack(rows), torch.stack(tails)


def draw(seed: int, groups: int, most: int) -> tuple[list[list[int]], list[list[int]], list[int]]:
    """Groups of one to four rollouts, in mixed order, some responses empty."""
    rng = random.Random(seed)

    def ids(count: int) -> list[int]:
        return [rng.randrange(VOCABULARY) for _ in range(count)]

    rollouts = []
    for group in range(groups):
        prompt = ids(rng.randint(1, most))
        rollouts += [(prompt, ids(rng.randint(0, most)), group) for _ in range(rng.randint(1, 4))]
    rng.shuffle(rollouts)
    prompts, responses, group = zip(*rollouts, strict=True)
    return list(prompts), list(responses), list(group)


def test_one_group_by_hand() -> None:
    # Row: 5 6 7 | 8 9 | 4. The prompt's last token (2) predicts 8 and 4; 8 (at 3) predicts 9.
    (packed,) = pack([[5, 6, 7]] * 2, [[8, 9], [4]], group=[0, 0], max_tokens=64)
    assert packed.input_ids.tolist() == [5, 6, 7, 8, 9, 4]
    assert packed.position_ids.tolist() == [0, 1, 2, 3, 4, 3]
    assert packed.predictors.tolist() == [2, 3, 2]
    assert packed.targets.tolist() == [8, 9, 4]
    assert packed.sequence.tolist() == [0, 0, 1]
    assert packed.token.tolist() == [0, 1, 0]
    assert packed.tails.tolist() == [4, 5]
    assert attends(packed) == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 0],
        [1, 1, 1, 0, 0, 1],  # the second response sees the prompt and itself, not the first
    ]


def masks(block: AttentionBlock) -> Tensor:
    """(K, T, S), written out."""
    count, width = block.queries.shape
    return torch.ones(count, width, width).bool().tril() if block.mask is None else block.mask[:, 0]


def attends(packed: PackedBatch) -> list[list[int]]:
    """Who sees whom, (L, L), read out of the blocks; every token asks exactly once."""
    tokens = len(packed.input_ids)
    table, asked = torch.zeros(tokens, tokens, dtype=torch.int), []
    for block in packed.blocks:
        for queries, keys, mask in zip(block.queries, block.keys, masks(block), strict=True):
            asked += [(int(query), keys[sees].tolist()) for query, sees in zip(queries, mask, strict=True)]
    for token, place in enumerate(packed.places.tolist()):
        query, keys = asked[place]
        assert query == token
        assert len(keys) == len(set(keys))
        table[token, keys] = 1
    return table.tolist()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    groups=st.integers(1, 4),
    most=st.integers(1, 8),
    max_tokens=st.integers(1, 80),
    share=st.booleans(),
)
def test_packed_logprobs_tails_and_gradients_equal_those_of_single_rollouts(
    seed: int, groups: int, most: int, max_tokens: int, share: bool
) -> None:
    prompts, responses, group = draw(seed, groups, most)
    tokens = max(len(r) for r in responses)
    batches = pack(prompts, responses, group=group, max_tokens=max_tokens, share_prompt=share)
    ours, theirs = packed_results(batches, len(prompts), tokens), unshared_results(prompts, responses, tokens)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)

    upstream = torch.randn(len(prompts), tokens, generator=torch.Generator().manual_seed(seed))
    weights = list(tiny_llama().parameters())

    def gradients(results: tuple[Tensor, Tensor]) -> list[Tensor]:
        loss = (results[0] * upstream).sum() + results[1].sum()
        return list(torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True))

    for a, b in zip(gradients(ours), gradients(theirs), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5 * max(1.0, float(b.abs().max())), rtol=1e-5)


def test_segments_of_like_length_share_a_block_and_no_more_than_half_of_it_is_padding() -> None:
    # Lengths 1 to 300: without classes one block would pad 300 responses to 300 tokens each.
    responses = [[2] * n for n in range(1, 301)]
    batches = pack([[1] * 10] * 300, responses, group=[0] * 300, max_tokens=10**6)
    (packed,) = batches
    padded = sum(block.queries.numel() for block in packed.blocks)
    assert len(packed.input_ids) == 10 + sum(range(1, 301)) <= padded < 2 * len(packed.input_ids)
    assert len(packed.blocks) == 1 + 10  # the prompt; lengths 1, 2, 3 to 4, 5 to 8, …, 257 to 300


def test_rows_that_lie_one_behind_the_other_are_told_from_others() -> None:
    def layout(lengths: list[int]) -> tuple[list[int | None], bool]:
        rows = range(len(lengths))
        [packed] = pack([[1]] * len(rows), [[2] * (n - 1) for n in lengths], group=rows, max_tokens=99, whole=True)
        return [block.start for block in packed.blocks], packed.in_order

    assert layout([4, 4, 4]) == ([0], True)
    assert layout([8, 8, 3]) == ([0, 16], True)
    assert layout([4, 4, 3]) == ([None], True)  # the third is padded, at the very end
    assert layout([4, 3, 3]) == ([None], False)
    assert layout([9, 4, 4]) == ([0, 9], True)


def test_every_query_sees_something() -> None:
    # Some attention kernels return nan for a query that may attend to nothing, and a gradient of nan with it.
    prompts, responses, group = draw(3, groups=3, most=7)
    for packed in pack(prompts, responses, group=group, max_tokens=200):
        assert all(masks(block).any(-1).all() for block in packed.blocks)
        assert hidden_states(packed).isfinite().all()


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    groups=st.integers(1, 6),
    most=st.integers(1, 30),
    max_tokens=st.integers(1, 150),
    share=st.booleans(),
)
def test_every_response_token_is_packed_once_within_the_budget(
    seed: int, groups: int, most: int, max_tokens: int, share: bool
) -> None:
    prompts, responses, group = draw(seed, groups, most)
    batches = pack(prompts, responses, group=group, max_tokens=max_tokens, share_prompt=share)
    seen: dict[tuple[int, int], int] = {}
    for packed in batches:
        # Over the budget only where one rollout alone is.
        assert packed.input_ids.numel() <= max_tokens or packed.tails.numel() == 1
        for n, (sequence, token) in enumerate(zip(packed.sequence.tolist(), packed.token.tolist(), strict=True)):
            assert (sequence, token) not in seen
            seen[sequence, token] = int(packed.targets[n])
            before = ([*prompts[sequence], *responses[sequence]])[len(prompts[sequence]) + token - 1]
            assert int(packed.input_ids[packed.predictors[n]]) == before
    assert seen == {(b, t): token for b, response in enumerate(responses) for t, token in enumerate(response)}
    assert sorted(torch.cat([p.tail_sequence for p in batches]).tolist()) == list(range(len(prompts)))


def test_a_group_shares_its_prompt_when_it_fits_and_is_cut_into_few_even_parts_when_it_does_not() -> None:
    prompts, responses = [[1] * 10] * 4, [[2] * 5] * 4
    (whole,) = pack(prompts, responses, group=[0] * 4, max_tokens=30)
    assert whole.input_ids.shape == (30,)  # 10 + 4 · 5
    halves = pack(prompts, responses, group=[0] * 4, max_tokens=29)
    assert [p.input_ids.shape for p in halves] == [(20,), (20,)]  # 10 + 2 · 5 each
    (apart,) = pack(prompts, responses, group=[0] * 4, max_tokens=60, share_prompt=False)
    assert apart.input_ids.shape == (60,)


def test_parts_of_similar_length_share_a_microbatch() -> None:
    lengths = [40, 3, 39, 4, 38, 5]
    batches = pack([[1]] * 6, [[2] * (n - 1) for n in lengths], group=list(range(6)), max_tokens=120)
    assert [sorted(p.tail_sequence.tolist()) for p in batches] == [[0, 2, 4], [1, 3, 5]]


def test_supervised_examples_are_groups_of_one_and_do_not_see_each_other() -> None:
    (packed,) = pack([[1, 2], [3]], [[4, 5], [6]], group=[0, 1], max_tokens=64)
    assert packed.input_ids.tolist() == [1, 2, 4, 5, 3, 6]
    assert packed.position_ids.tolist() == [0, 1, 2, 3, 0, 1]
    assert packed.predictors.tolist() == [1, 2, 4]
    assert attends(packed) == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1, 1],
    ]


def test_nothing_packs_into_nothing() -> None:
    assert pack([], [], group=[], max_tokens=10) == []


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(DataError, match="rollout 1 has an empty prompt"):
        pack([[1], []], [[2], [2]], group=[0, 1], max_tokens=10)


def test_different_prompts_in_one_group_are_refused() -> None:
    with pytest.raises(DataError, match="rollouts 0 and 2"):
        pack([[1], [5], [2]], [[2]] * 3, group=[0, 1, 0], max_tokens=10)


def test_gather_undoes_scatter() -> None:
    prompts, responses, group = draw(5, groups=3, most=6)
    tokens = max(len(r) for r in responses)
    for packed in pack(prompts, responses, group=group, max_tokens=64):
        values = torch.arange(1.0, len(packed.targets) + 1)
        assert torch.equal(gather(scatter(values, packed, len(prompts), tokens), packed), values)


def test_a_packed_batch_moves_whole() -> None:
    (packed,) = pack([[1, 2]] * 2, [[3], [4]], group=[0, 0], max_tokens=64)
    moved = packed.to("meta")
    assert {moved.input_ids.device.type, moved.tails.device.type} == {"meta"}
    assert {None if block.mask is None else block.mask.is_meta for block in moved.blocks} == {None, True}
    assert all(block.keys.is_meta and block.queries.is_meta for block in moved.blocks)


@settings(max_examples=200, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 500), max_size=24),
    ranks=st.integers(1, 5),
    seed=st.integers(0, 10**6),
)
def test_balance_keeps_groups_whole_and_ranks_even(lengths: list[int], ranks: int, seed: int) -> None:
    rng = random.Random(seed)
    group = [rng.randrange(8) for _ in lengths]
    parts = balance(lengths, ranks, group=group)
    assert len(parts) == ranks
    assert sorted(i for part in parts for i in part) == list(range(len(lengths)))
    owners = [{group[i] for i in part} for part in parts]
    assert sum(map(len, owners)) == len(set(group))  # no group on two ranks
    assert max(map(len, owners)) - min(map(len, owners)) <= 1
    sums = [sum(lengths[i] for i in part) for part in parts]
    largest = max((sum(n for n, g in zip(lengths, group, strict=True) if g == name) for name in group), default=0)
    assert max(sums) - min(sums) <= largest


def test_balance_by_hand() -> None:
    # First round: 9 and 8; second: the 7 joins the 8? No: the lightest rank (8) takes the longest left (7), 9 takes 6.
    assert balance([9, 8, 7, 6], 2, group=[0, 1, 2, 3]) == [[0, 3], [1, 2]]
