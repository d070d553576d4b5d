"""The layout under which rollouts of one problem share their prompt in a training row.

    row:        p0 p1 p2 | a0 a1 a2 | b0 b1 | pad        prompt, then the responses side by side
    positions:   0  1  2 |  3  4  5 |  3  4 |  …         each response goes on where the prompt ends
    may attend:  prompt: causal; a: prompt and a, causal; b: prompt and b, causal; pad: itself

Hidden states of prompt and responses are those of the unshared rows, so loss and gradient are too; the prompt is
computed once.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from r1ray.errors import DataError

ATTENTION_TOKENS = 4096
"""Row length at which dense attention costs as much as the rest of a layer: about 6 × the hidden size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedBatch:
    """One micro-batch: R rows of L tokens. N response tokens and K rollouts are found by flat indices into R · L."""

    input_ids: Int[Tensor, "R L"]
    position_ids: Int[Tensor, "R L"]
    attention_mask: Bool[Tensor, "R 1 L L"] | None
    """True = may attend. None: every row is one right-padded rollout, and a plain causal mask is right."""
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
        present = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        return replace(self, **{name: value.to(device) for name, value in present.items()})


def pack(
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    *,
    group: Sequence[int],
    max_tokens: int,
    share_prompt: bool = True,
    pad_id: int = 0,
) -> list[PackedBatch]:
    """Rollouts (B of them) as micro-batches of at most `max_tokens` = R · L each, padding counted.

    Rollouts with the same `group` must have the same prompt. A group becomes as many rows as are cheapest: responses
    behind one prompt save its tokens, but attention under a tree mask pays for the whole row (see `_row_cost`), so long
    responses end up in rows of their own. A rollout longer than `max_tokens` is a micro-batch by itself. An empty
    response has a tail (the prompt's end) and no tokens. Raises `DataError` for an empty prompt and for different
    prompts in one group.
    """
    rows = []
    for members in _groups(prompts, group):
        rows += _split(
            len(prompts[members[0]]), members, [len(responses[b]) for b in members], max_tokens, share_prompt
        )
    return [
        _lay_out(batch, prompts, responses, pad_id)
        for shared in (False, True)
        for batch in _microbatches([r for r in rows if (len(r) > 1) == shared], prompts, responses, max_tokens)
    ]


def scatter(values: Float[Tensor, " N"], packed: PackedBatch, rollouts: int, tokens: int) -> Float[Tensor, "B T"]:
    """Values of response tokens at (rollout, token) of a (B, T) tensor that is zero elsewhere. Differentiable."""
    return values.new_zeros(rollouts, tokens).index_put((packed.sequence, packed.token), values)


def gather(batch: Float[Tensor, "B T"], packed: PackedBatch) -> Float[Tensor, " N"]:
    """The inverse of `scatter`: a micro-batch's response tokens out of a (B, T) tensor."""
    return batch[packed.sequence, packed.token]


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


def _row_cost(prompt: int, responses: list[int]) -> float:
    """Estimated cost of one row, in tokens: linear layers, and attention (of which a causal row does half)."""
    length = prompt + sum(responses)
    return length * (1 + length / ATTENTION_TOKENS * (0.5 if len(responses) == 1 else 1.0))


def _split(prompt: int, members: list[int], lengths: list[int], max_tokens: int, share: bool) -> list[list[int]]:
    """Cut one group into the cheapest rows of at most `max_tokens`, responses dealt out longest first."""
    longest_first = sorted(range(len(members)), key=lambda i: -lengths[i])
    best, best_cost = [[b] for b in members], sum(_row_cost(prompt, [n]) for n in lengths)
    previous = float("inf")
    for count in range(1, len(members)) if share else ():
        rows: list[list[int]] = [[] for _ in range(count)]
        loads = [(0, row) for row in range(count)]  # a heap: the row with least so far on top
        for i in longest_first:
            load, row = loads[0]
            heapq.heapreplace(loads, (load + lengths[i], row))
            rows[row].append(i)
        if prompt + max(loads)[0] > max_tokens:
            continue
        cost = sum(_row_cost(prompt, [lengths[i] for i in row]) for row in rows)
        if cost > previous:
            break  # it falls while attention gets cheaper, then rises with each copy of the prompt
        previous = cost
        if cost < best_cost:
            best, best_cost = [sorted(members[i] for i in row) for row in rows], cost
    return best


def _microbatches(
    rows: list[list[int]], prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], max_tokens: int
) -> list[list[list[int]]]:
    """Rows of similar length together, as many as `max_tokens` holds."""

    def length(row: list[int]) -> int:
        return len(prompts[row[0]]) + sum(len(responses[b]) for b in row)

    batches: list[list[list[int]]] = []
    for row in sorted(rows, key=length, reverse=True):
        if batches and (len(batches[-1]) + 1) * length(batches[-1][0]) <= max_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def _lay_out(
    rows: list[list[int]], prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], pad_id: int
) -> PackedBatch:
    """Write a micro-batch's tensors."""
    width = max(len(prompts[row[0]]) + sum(len(responses[b]) for b in row) for row in rows)
    input_ids = torch.full((len(rows), width), pad_id)
    position_ids = torch.arange(width).repeat(len(rows), 1)
    segment = torch.full((len(rows), width), -1)  # 0 = prompt, 1 … = its responses, -1 = padding
    found: dict[str, list[int]] = {
        name: [] for name in ("predictors", "targets", "sequence", "token", "tails", "tail_sequence")
    }
    for r, row in enumerate(rows):
        prompt = prompts[row[0]]
        start = len(prompt)
        input_ids[r, :start] = torch.tensor(prompt)
        segment[r, :start] = 0
        for s, b in enumerate(row, start=1):
            response, base = list(responses[b]), r * width
            end = start + len(response)
            input_ids[r, start:end] = torch.tensor(response, dtype=torch.long)
            position_ids[r, start:end] = torch.arange(len(prompt), len(prompt) + len(response))
            segment[r, start:end] = s
            before = [base + len(prompt) - 1, *range(base + start, base + end)]
            found["predictors"] += before[:-1]
            found["targets"] += response
            found["sequence"] += [b] * len(response)
            found["token"] += range(len(response))
            found["tails"].append(before[-1])
            found["tail_sequence"].append(b)
            start = end
    return PackedBatch(
        input_ids=input_ids,
        position_ids=position_ids,
        attention_mask=_tree_mask(segment) if any(len(row) > 1 for row in rows) else None,
        **{name: torch.tensor(indices, dtype=torch.long) for name, indices in found.items()},
    )


def _tree_mask(segment: Int[Tensor, "R L"]) -> Bool[Tensor, "R 1 L L"]:
    """Causal, to one's own segment and the prompt. Padding sees itself: no row of the softmax may be empty."""
    width = segment.shape[1]
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    query, key = segment[:, :, None], segment[:, None, :]
    allowed = causal & ((query == key) | (key == 0)) & (key >= 0) & (query >= 0)
    return (allowed | torch.eye(width, dtype=torch.bool)).unsqueeze(1)
