"""The padded batch that the learner trains on: scored rollouts as tensors, and room for what it adds to them."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from r1ray.errors import DataError
from r1ray.types import ScoredRollout


@dataclass(frozen=True, kw_only=True, slots=True)
class Experience:
    """B rollouts of at most T response tokens and S steps, padded on the right; slots are filled with `replace`."""

    prompts: list[list[int]]
    """Prompt ids of each rollout: what `packing.pack` takes."""
    responses: list[list[int]]
    """Response ids of each rollout, as sampled."""
    group: Int[Tensor, " B"]
    """Rollouts of one problem have one number."""
    policy_version: Int[Tensor, " B"]
    """Which weights sampled each rollout."""
    truncated: Bool[Tensor, " B"]
    """Whether it ended otherwise than by its own stop: then the value of its last state is bootstrapped."""
    action_mask: Bool[Tensor, "B T"]
    """True on tokens that the policy sampled."""
    rollout_logprobs: Float[Tensor, "B T"]
    """Log-probs as sampled, by the engine."""
    step_scores: Float[Tensor, "B S"]
    step_ends: Int[Tensor, "B S"]
    """Index of each step's last token in the response."""
    step_mask: Bool[Tensor, "B S"]
    outcome: Float[Tensor, " B"]

    policy_logprobs: Float[Tensor, "B T"] | None = None
    """By the learner's policy before the update: PPO's π_old."""
    ref_logprobs: Float[Tensor, "B T"] | None = None
    values: Float[Tensor, "B T"] | None = None
    """`values[t]` is the value before token t, by the critic before the update."""
    tail_values: Float[Tensor, " B"] | None = None
    """Value after the last token, V(s_T)."""
    advantages: Float[Tensor, "B T"] | None = None
    returns: Float[Tensor, "B T"] | None = None

    def __len__(self) -> int:
        return len(self.prompts)

    def to(self, device: torch.device | str) -> "Experience":
        """The same batch with its tensors on another device."""
        return self._map(lambda value: value.to(device) if isinstance(value, Tensor) else value)

    def select(self, indices: Sequence[int]) -> "Experience":
        """These rollouts only, in this order. T and S stay as they are."""
        rows = torch.tensor(list(indices), dtype=torch.long, device=self.group.device)
        return self._map(lambda value: value[rows] if isinstance(value, Tensor) else [value[i] for i in indices])

    def _map(self, change: Any) -> "Experience":
        present = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        return replace(self, **{name: change(value) for name, value in present.items()})


def collate(rollouts: Sequence[ScoredRollout]) -> Experience:
    """Pad scored rollouts into one batch. Groups are numbered by `problem.id` in order of appearance.

    Raises `DataError` for a rollout whose lengths disagree, whose step ends outside its response, or whose scores are
    not finite.
    """
    for scored in rollouts:
        _check(scored)
    completions = [s.rollout.completion for s in rollouts]
    numbers: dict[str, int] = {}
    group = [numbers.setdefault(s.rollout.problem.id, len(numbers)) for s in rollouts]
    ends = [[step.last_token for step in s.steps] for s in rollouts]
    return Experience(
        prompts=[list(s.rollout.prompt_ids) for s in rollouts],
        responses=[list(c.token_ids) for c in completions],
        group=torch.tensor(group, dtype=torch.long),
        policy_version=torch.tensor([s.rollout.policy_version for s in rollouts], dtype=torch.long),
        truncated=torch.tensor([c.finish_reason != "stop" for c in completions], dtype=torch.bool),
        action_mask=_pad([[True] * len(c.token_ids) for c in completions], torch.bool),
        rollout_logprobs=_pad([c.logprobs for c in completions], torch.float32),
        step_scores=_pad([s.step_scores for s in rollouts], torch.float32),
        step_ends=_pad(ends, torch.long),
        step_mask=_pad([[True] * len(s.steps) for s in rollouts], torch.bool),
        outcome=torch.tensor([s.outcome_reward for s in rollouts], dtype=torch.float32),
    )


def minibatches(experience: Experience, count: int, seed: int) -> list[Experience]:
    """Shuffle groups and deal them into exactly `count` parts whose numbers of groups differ by one at most.

    A function of (experience, count, seed) alone. Groups stay whole. With fewer groups than `count` some parts are
    empty: every rank takes the same number of optimizer steps whatever its share.
    """
    group = experience.group.tolist()
    order = sorted(set(group))
    random.Random(seed).shuffle(order)
    part = {name: position % count for position, name in enumerate(order)}
    return [experience.select([b for b, name in enumerate(group) if part[name] == k]) for k in range(count)]


def _pad(rows: Sequence[Sequence[float]], dtype: torch.dtype) -> Shaped[Tensor, "B width"]:
    """Right-pad with zeros."""
    padded = torch.zeros(len(rows), max((len(row) for row in rows), default=0), dtype=dtype)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = torch.tensor(row, dtype=dtype)
    return padded


def _check(scored: ScoredRollout) -> None:
    """Lengths that must agree do, ends are inside, numbers are finite."""
    completion, where = scored.rollout.completion, f"rollout of problem {scored.rollout.problem.id!r}"
    tokens = len(completion.token_ids)
    if len(completion.logprobs) != tokens:
        raise DataError(
            f"{where} has {tokens} tokens and {len(completion.logprobs)} log-probs; engines must return one for "
            "each sampled token."
        )
    if len(scored.steps) != len(scored.step_scores):
        raise DataError(
            f"{where} has {len(scored.steps)} steps and {len(scored.step_scores)} step scores; every step needs "
            "exactly one score."
        )
    for step in scored.steps:
        if not 0 <= step.last_token < tokens:
            raise DataError(
                f"{where} has a step that ends at token {step.last_token}; expected 0 … {tokens - 1}, an index "
                "into its own response."
            )
    for name, numbers in (
        ("log-prob", completion.logprobs),
        ("step score", scored.step_scores),
        ("outcome reward", [scored.outcome_reward]),
    ):
        bad = next((x for x in numbers if not math.isfinite(x)), None)
        if bad is not None:
            raise DataError(
                f"{where} has a {name} of {bad}; expected finite numbers. Mend the reward or engine that gave it."
            )
