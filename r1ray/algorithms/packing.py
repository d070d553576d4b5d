"""The layout under which rollouts of one problem share their prompt, and no token of a micro-batch is padding.

    ids:        p0 p1 p2 | a0 a1 a2 | b0 b1 | q0 q1 | …      prompt, its responses, the next prompt, …
    positions:   0  1  2 |  3  4  5 |  3  4 |  0  1 | …      each response goes on where its prompt ends
    may attend:  prompts: causal; a: prompt and a, causal; b: prompt and b, causal

Hidden states of prompt and responses are those of the rollouts one by one, so loss and gradient are too; the prompt is
computed once. Everything but attention sees one row of tokens; `AttentionBlock` says who attends to whom.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from r1ray.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionBlock:
    """K segments (prompts or responses) of at most T tokens, each of which attends to at most S tokens.

    Segments of like length share a block, so that no more than half of it is padding.
    """

    queries: Int[Tensor, "K T"]
    """Where each segment's tokens lie in the micro-batch; any place for padding."""
    keys: Int[Tensor, "K S"]
    """Where the tokens lie that it may see: its prompt, then itself."""
    mask: Bool[Tensor, "K 1 T S"] | None
    """True = may attend. Every query has something to attend to, padding too. None: the segments see nothing beside
    themselves, so T = S and the mask would be the lower triangle."""
    start: int | None = None
    """Where the first segment begins if all are of T tokens and lie one behind the other; None where they do not."""

    def to(self, device: torch.device | str) -> "AttentionBlock":
        """The same block on another device."""
        mask = None if self.mask is None else _moved(self.mask, device)
        return replace(self, queries=_moved(self.queries, device), keys=_moved(self.keys, device), mask=mask)


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedBatch:
    """One micro-batch: a row of L tokens, among them N response tokens of K rollouts."""

    input_ids: Int[Tensor, " L"]
    position_ids: Int[Tensor, " L"]
    blocks: tuple[AttentionBlock, ...]
    """Together they hold each of the L tokens as a query once, padding aside."""
    places: Int[Tensor, " P"]
    """Where the result for each token lies among the blocks' queries, block after block, row after row; P = L, but for
    a share of a row that several ranks share (see `token_shares`)."""
    in_order: bool
    """Whether that is 0, 1, 2, …, L − 1: there is no padding but at the end."""
    predictors: Int[Tensor, " N"]
    """Where the hidden state that predicts each response token lies: at the token before it in its own rollout."""
    targets: Int[Tensor, " N"]
    """The response tokens."""
    sequence: Int[Tensor, " N"]
    """Which rollout (index in what was packed) each belongs to."""
    token: Int[Tensor, " N"]
    """Its index within the response."""
    tails: Int[Tensor, " K"]
    """Where each rollout's last token lies: its value is V(s_T), for the bootstrap of truncated rollouts."""
    tail_sequence: Int[Tensor, " K"]
    """Which rollout each tail belongs to."""

    def to(self, device: torch.device | str) -> "PackedBatch":
        """The same layout on another device."""
        names = [f.name for f in fields(self) if f.name not in _NO_TENSORS]
        tensors: dict[str, Any] = {name: _moved(getattr(self, name), device) for name in names}
        return replace(self, blocks=tuple(block.to(device) for block in self.blocks), **tensors)


_NO_TENSORS = ("blocks", "in_order")


def _moved(tensor: Tensor, device: torch.device | str) -> Tensor:
    """The tensor on another device. From page-locked memory, so that a GPU does not wait for it in between."""
    if torch.device(device).type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def pack(
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    *,
    group: Sequence[int],
    max_tokens: int,
    share_prompt: bool = True,
    whole: bool = False,
) -> list[PackedBatch]:
    """Rollouts (B of them) as micro-batches of at most `max_tokens` tokens each.

    Rollouts with the same `group` must have the same prompt, which they share; a group that is larger than `max_tokens`
    is cut into as few parts as it takes, each with the prompt. A rollout longer than `max_tokens` is a micro-batch by
    itself. With `whole`, a rollout that shares its prompt with no other is one segment of attention instead of two: the
    same result, sooner on a GPU. An empty response has a tail (the prompt's end) and no tokens. Raises `DataError` for
    an empty prompt and for different prompts in one group.
    """
    lengths = [len(response) for response in responses]
    parts: list[list[int]] = []
    for members in _groups(prompts, group):
        shared = [members] if share_prompt else [[b] for b in members]
        for rollouts in shared:
            parts += _split(len(prompts[members[0]]), rollouts, lengths, max_tokens)
    batches = _microbatches(parts, [len(prompts[p[0]]) + sum(lengths[b] for b in p) for p in parts], max_tokens)
    return [_lay_out(batch, prompts, responses, whole) for batch in batches]


def scatter(values: Float[Tensor, " N"], packed: PackedBatch, rollouts: int, tokens: int) -> Float[Tensor, "B T"]:
    """Values of response tokens at (rollout, token) of a (B, T) tensor that is zero elsewhere. Differentiable."""
    return values.new_zeros(rollouts, tokens).index_put((packed.sequence, packed.token), values)


def gather(batch: Float[Tensor, "B T"], packed: PackedBatch) -> Float[Tensor, " N"]:
    """The inverse of `scatter`: a micro-batch's response tokens out of a (B, T) tensor."""
    return batch[packed.sequence, packed.token]


def token_places(packed: PackedBatch, sequence: Sequence[int], token: Sequence[int]) -> Int[Tensor, " N"]:
    """Where token `token[i]` of rollout `sequence[i]`'s response lies in the row: where what is said *after* reading it
    is computed.

    Raises:
        DataError: a rollout is not in this micro-batch, or its response has no such token.
    """
    before = {
        (rollout, index): place
        for rollout, index, place in zip(
            packed.sequence.tolist(), packed.token.tolist(), packed.predictors.tolist(), strict=True
        )
    }
    lengths = packed.sequence.bincount(minlength=int(packed.tail_sequence.max()) + 1).tolist()
    for rollout, place in zip(packed.tail_sequence.tolist(), packed.tails.tolist(), strict=True):
        before[rollout, lengths[rollout]] = place
    try:
        places = [before[rollout, index + 1] for rollout, index in zip(sequence, token, strict=True)]
    except KeyError as error:
        rollout, index = error.args[0]
        raise DataError(f"Token {index - 1} of rollout {rollout} is not in this micro-batch.") from None
    return torch.tensor(places, dtype=torch.long, device=packed.input_ids.device)


def balance(lengths: Sequence[int], ranks: int, *, group: Sequence[int]) -> list[list[int]]:
    """Deal rollouts out to `ranks`, whole groups at a time; returns each rank's rollout indices, ascending.

    Each round hands out the next `ranks` longest groups, the longest to the rank that has least so far: the ranks'
    counts of groups differ by one at most, their sums of lengths by the largest group at most. With fewer groups than
    ranks some ranks get none.
    """
    members: dict[int, list[int]] = {}
    for index, name in enumerate(group):
        members.setdefault(name, []).append(index)
    sums = {name: sum(lengths[i] for i in indices) for name, indices in members.items()}
    order = sorted(members, key=lambda name: -sums[name])
    loads, dealt = [0] * ranks, [[] for _ in range(ranks)]  # type: tuple[list[int], list[list[int]]]
    for start in range(0, len(order), ranks):
        lightest_first = sorted(range(ranks), key=lambda rank: loads[rank])
        for rank, name in zip(lightest_first, order[start : start + ranks], strict=False):
            loads[rank] += sums[name]
            dealt[rank] += members[name]
    return [sorted(indices) for indices in dealt]


def _groups(prompts: Sequence[Sequence[int]], group: Sequence[int]) -> list[list[int]]:
    """Indices of each group's rollouts, checked."""
    members: dict[int, list[int]] = {}
    for index, (prompt, name) in enumerate(zip(prompts, group, strict=True)):
        if not prompt:
            raise DataError(
                f"rollout {index} has an empty prompt; nothing predicts its first token. Begin prompts with a token."
            )
        first = members.setdefault(name, [])
        if first and list(prompts[first[0]]) != list(prompt):
            raise DataError(
                f"rollouts {first[0]} and {index} are of one group ({name}) but their prompts differ; a group shares "
                "one prompt, id for id. Give them different groups."
            )
        first.append(index)
    return list(members.values())


def _split(prompt: int, members: list[int], lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Cut one group into the fewest even parts of at most `max_tokens`, responses dealt out longest first."""
    longest_first = sorted(members, key=lambda b: -lengths[b])
    for count in range(1, len(members)):
        parts: list[list[int]] = [[] for _ in range(count)]
        loads = [(0, part) for part in range(count)]  # a heap: the part with least so far on top
        for b in longest_first:
            load, part = loads[0]
            heapq.heapreplace(loads, (load + lengths[b], part))
            parts[part].append(b)
        if prompt + max(loads)[0] <= max_tokens:
            return [sorted(part) for part in parts]
    return [[b] for b in members]


def _microbatches(parts: list[list[int]], sizes: list[int], max_tokens: int) -> list[list[list[int]]]:
    """Parts in the order of their size, as many in each micro-batch as `max_tokens` holds."""
    batches: list[list[list[int]]] = []
    load = 0
    for index in sorted(range(len(parts)), key=lambda i: -sizes[i]):
        if batches and load + sizes[index] <= max_tokens:
            batches[-1].append(parts[index])
            load += sizes[index]
        else:
            batches.append([parts[index]])
            load = sizes[index]
    return batches


def _lay_out(
    parts: list[list[int]], prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], whole: bool
) -> PackedBatch:
    """Write a micro-batch's tensors."""
    found: dict[str, list[int]] = {f.name: [] for f in fields(PackedBatch) if f.name not in (*_NO_TENSORS, "places")}
    segments: list[tuple[range, range]] = []  # of each prompt and response: what it may see beside itself, itself
    end = 0
    for part in parts:
        prompt = prompts[part[0]]
        before = range(end, end + len(prompt))
        end = before.stop
        merged = whole and len(part) == 1
        if not merged:
            segments.append((range(0), before))
        found["input_ids"] += prompt
        found["position_ids"] += range(len(prompt))
        for b in part:
            response = responses[b]
            own = range(end, end + len(response))
            end = own.stop
            if merged:
                segments.append((range(0), range(before.start, own.stop)))
            elif response:
                segments.append((before, own))
            found["input_ids"] += response
            found["position_ids"] += range(len(prompt), len(prompt) + len(response))
            predictors = [before[-1], *own]
            found["predictors"] += predictors[:-1]
            found["targets"] += response
            found["sequence"] += [b] * len(response)
            found["token"] += range(len(response))
            found["tails"].append(predictors[-1])
            found["tail_sequence"].append(b)
    blocks, places = _attention(segments, end)
    return PackedBatch(
        blocks=blocks,
        places=places,
        in_order=bool((places == torch.arange(end)).all()),
        **{name: torch.tensor(values, dtype=torch.long) for name, values in found.items()},
    )


def _attention(
    segments: list[tuple[range, range]], tokens: int
) -> tuple[tuple[AttentionBlock, ...], Int[Tensor, " L"]]:
    """Blocks of segments whose lengths, and what they see, lie within the same powers of two."""
    alike: dict[tuple[int, int], list[tuple[range, range]]] = {}
    for before, own in segments:
        alike.setdefault(((len(own) - 1).bit_length(), len(before).bit_length()), []).append((before, own))
    places = torch.empty(tokens, dtype=torch.long)
    blocks, results = [], 0
    for members in alike.values():
        block, lengths = _block(members)
        exists = torch.arange(block.queries.shape[1]) < lengths[:, None]
        places[block.queries[exists]] = results + torch.arange(exists.numel()).view_as(exists)[exists]
        blocks.append(block)
        results += exists.numel()
    return tuple(blocks), places


def _block(members: list[tuple[range, range]]) -> tuple[AttentionBlock, Int[Tensor, " K"]]:
    """A block, and the length of each segment in it. Keys: the prompt, padded, then the segment, padded."""

    def padded(ranges: list[range]) -> tuple[Int[Tensor, "K T"], Int[Tensor, " K"]]:
        start, lengths = torch.tensor([[r.start, len(r)] for r in ranges]).unbind(1)
        step = torch.arange(int(lengths.max()))
        return torch.where(step < lengths[:, None], start[:, None] + step, start[:, None]), lengths

    before, before_lengths = padded([member[0] for member in members])
    own, lengths = padded([member[1] for member in members])
    (rows, width), seen = own.shape, before.shape[1]
    start = members[0][1].start
    runs_on = [m[1] for m in members] == [range(at, at + width) for at in range(start, start + rows * width, width)]
    if not seen:
        return AttentionBlock(queries=own, keys=own, mask=None, start=start if runs_on else None), lengths
    sees_before = torch.arange(seen) < before_lengths[:, None]
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    mask = torch.cat([sees_before[:, None].expand(rows, width, seen), causal.expand(rows, width, width)], dim=-1)
    keys = torch.cat([before, own], dim=1)
    return AttentionBlock(queries=own, keys=keys, mask=mask.unsqueeze(1), start=start if runs_on else None), lengths
