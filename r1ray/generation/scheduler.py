"""Continuous batching, one token a step: finished rows leave, waiting prompts take their place.

    add ──► waiting ──prefill (once a prompt)──► rows ──decode, sample──► … ──► finished
                          ▲                        │
                          └──── room for a group ◄─┘ rows that ended are filled by the last ones

The scheduler knows rows and slots; what a token costs is the decoder's, what it becomes the sampler's.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from r1ray.errors import ModelError
from r1ray.generation.decoder import LlamaDecoder
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.generation.layout import Membership
from r1ray.generation.sampling import RowSampling, sample, uniforms
from r1ray.generation.stopping import StopRule
from r1ray.types import Completion, FinishReason

PREFILL_TOKENS = 4096
"""Most prompt tokens, padding included, in one prefill pass."""
FIRST_COLUMNS = 64
"""Response columns reserved at first; they double when a response outgrows them."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A completion that just ended, and which sample of which request it is."""

    request: int
    sample: int
    completion: Completion


@dataclass(slots=True, eq=False)
class _Group:
    """Samples of one prompt that are decoded together, and the slot of its keys and values."""

    request: int
    prompt: Prompt
    params: SamplingParams
    first_sample: int
    size: int
    slot: int = -1
    live: int = 0


@dataclass(slots=True, eq=False)
class _Row:
    group: _Group
    sample: int
    numbers: npt.NDArray[np.float64]
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    @property
    def age(self) -> int:
        """Tokens of the response whose keys and values are stored: all but the newest."""
        return len(self.tokens) - 1


class Scheduler:
    """Requests in, finished completions out, at most `max_rows` rows decoded side by side."""

    def __init__(self, decoder: LlamaDecoder, stop_rule: StopRule, max_rows: int) -> None:
        self._decoder, self._stop_rule, self._max_rows = decoder, stop_rule, max_rows
        self._prompts, self._responses = decoder.new_store(), decoder.new_store()
        self._waiting: deque[_Group] = deque()
        self._groups: list[_Group] = []  # in the order of their prompt slots
        self._rows: list[_Row] = []  # in the order of their response slots
        self._membership: Membership | None = None  # both until a row joins or leaves
        self._sampling: RowSampling | None = None
        self._probabilities: Tensor | None = None  # (max_rows, V), overwritten in each step
        self._requests = 0

    @property
    def busy(self) -> bool:
        """Whether anything waits or runs."""
        return bool(self._waiting or self._rows)

    def add(self, prompt: Prompt, params: SamplingParams) -> int:
        """Queue a prompt; returns the number that its completions will carry."""
        request, self._requests = self._requests, self._requests + 1
        for first in range(0, prompt.samples, self._max_rows):  # more samples than rows run as several groups
            size = min(self._max_rows, prompt.samples - first)
            self._waiting.append(_Group(request, prompt, params, first, size))
        return request

    @torch.inference_mode()
    def step(self) -> list[Finished]:
        """Admit what fits, then one token for every row. Returns what ended."""
        finished = self._admit()
        if self._rows:
            finished += self._decode()
        return finished

    def _admit(self) -> list[Finished]:
        room = self._max_rows - len(self._rows)
        admitted: list[_Group] = []
        while self._waiting and self._waiting[0].size <= room:
            admitted.append(self._waiting.popleft())
            room -= admitted[-1].size
        if not admitted:
            return []
        first_logits = self._prefill(admitted)
        new_rows = []
        for group in admitted:
            group.slot, group.live = len(self._groups), group.size
            self._groups.append(group)
            for number in range(group.first_sample, group.first_sample + group.size):
                new_rows.append(_Row(group, number, uniforms(group.prompt.seed, number, group.params.max_new_tokens)))
        self._rows += new_rows
        self._membership = None
        self._reserve_responses(1)
        # The prompt's last position is computed once; its samples part ways from here on.
        of_group = torch.tensor([group.size for group in admitted], device=first_logits.device)
        sampling = RowSampling([row.group.params for row in new_rows], first_logits.device)
        return self._sample(new_rows, first_logits.repeat_interleave(of_group, dim=0), sampling)

    def _prefill(self, groups: Sequence[_Group]) -> Tensor:
        """Store the prompts' keys and values behind those of running groups; logits (P, V) of their last positions."""
        slots, longest = len(self._groups) + len(groups), max(len(group.prompt.token_ids) for group in groups)
        self._prompts.reserve(slots, longest, most_slots=self._max_rows, most_columns=longest)
        slot, last_hidden = len(self._groups), []
        for chunk in _chunks([group.prompt.token_ids for group in groups], PREFILL_TOKENS):
            tokens = _padded(chunk).to(self._decoder.device)
            hidden = self._decoder.prefill(tokens, self._prompts, slot)
            last = torch.tensor([len(ids) - 1 for ids in chunk], device=tokens.device)
            last_hidden.append(hidden[torch.arange(len(chunk), device=tokens.device), last])
            slot += len(chunk)
        return self._decoder.logits(torch.cat(last_hidden))

    def _reserve_responses(self, columns: int) -> None:
        longest = max(row.group.params.max_new_tokens for row in self._rows)
        columns = max(columns, min(FIRST_COLUMNS, longest))
        self._responses.reserve(len(self._rows), columns, most_slots=self._max_rows, most_columns=longest)

    def _decode(self) -> list[Finished]:
        ages = [row.age for row in self._rows]
        self._reserve_responses(max(ages) + 1)
        if self._membership is None or self._sampling is None:
            groups = [row.group for row in self._rows]
            slots, lengths = [group.slot for group in groups], [len(group.prompt.token_ids) for group in groups]
            self._membership = Membership(slots, lengths, self._decoder.device)
            self._sampling = RowSampling([group.params for group in groups], self._decoder.device)
        layout = self._membership.layout(ages)
        tokens = torch.tensor([row.tokens[-1] for row in self._rows], device=self._decoder.device)
        hidden = self._decoder.decode(tokens, layout, self._prompts, self._responses)
        return self._sample(self._rows, self._decoder.logits(hidden), self._sampling)

    def _sample(self, rows: Sequence[_Row], logits: Tensor, sampling: RowSampling) -> list[Finished]:
        numbers = torch.tensor(
            [row.numbers[len(row.tokens)] for row in rows], dtype=torch.float64, device=logits.device
        )
        if self._probabilities is None:
            self._probabilities = logits.new_empty(self._max_rows, logits.shape[-1])
        tokens, logprobs = sample(logits, numbers, sampling, buffer=self._probabilities[: len(rows)])
        finished = []
        for row, token, logprob in zip(rows, tokens.tolist(), logprobs.tolist(), strict=True):
            if math.isnan(logprob):
                raise ModelError(
                    "The policy gives NaN logits: its weights are damaged or diverged. Load a good checkpoint."
                )
            row.tokens.append(token)
            row.logprobs.append(logprob)
            params = row.group.params
            reason = self._stop_rule(row.tokens, params.stop, params.max_new_tokens)
            if reason is not None:
                finished.append((row, reason))
        self._drop([row for row, _ in finished])
        return [self._finish(row, reason) for row, reason in finished]

    def _finish(self, row: _Row, reason: FinishReason) -> Finished:
        text = self._stop_rule.text(row.tokens)
        completion = Completion(token_ids=row.tokens, logprobs=row.logprobs, finish_reason=reason, text=text)
        return Finished(row.group.request, row.sample, completion)

    def _drop(self, rows: Sequence[_Row]) -> None:
        """Let rows leave; the last rows and groups move into the holes, so that what runs stays contiguous."""
        if not rows:
            return
        self._membership = None
        gone = set(map(id, rows))
        for index in reversed(range(len(self._rows))):
            if id(self._rows[index]) in gone:
                self._rows[index].group.live -= 1
                last = self._rows.pop()
                if index < len(self._rows):
                    self._rows[index] = last
                    self._responses.move(len(self._rows), index)
        for index in reversed(range(len(self._groups))):
            if self._groups[index].live == 0:
                last_group = self._groups.pop()
                if index < len(self._groups):
                    self._groups[index] = last_group
                    last_group.slot = index
                    self._prompts.move(len(self._groups), index)


def _chunks(sequences: Sequence[list[int]], budget: int) -> list[list[list[int]]]:
    """Cut in order, each chunk at most `budget` tokens when padded to its longest (or one sequence)."""
    chunks: list[list[list[int]]] = []
    for ids in sequences:
        if chunks and (len(chunks[-1]) + 1) * max(len(ids), *map(len, chunks[-1])) <= budget:
            chunks[-1].append(ids)
        else:
            chunks.append([ids])
    return chunks


def _padded(sequences: Sequence[Sequence[int]]) -> Tensor:
    """(B, T) ids, zeros behind each sequence."""
    longest = max(map(len, sequences))
    return torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in sequences])
