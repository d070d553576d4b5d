"""Collating scored rollouts, and cutting the batch into minibatches."""

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.algorithms.experience import Experience, collate, minibatches
from r1ray.errors import DataError
from r1ray.types import Completion, FinishReason, Problem, ReasoningStep, Rollout, ScoredRollout


def scored(
    problem: str = "p",
    tokens: int = 3,
    ends: tuple[int, ...] = (),
    *,
    finish: FinishReason = "stop",
    version: int = 0,
    outcome: float = 1.0,
) -> ScoredRollout:
    """A rollout whose token t has id 10 + t and log-prob −t, and whose step j scores (j + 1) / 10."""
    return ScoredRollout(
        rollout=Rollout(
            problem=Problem(id=problem, question="?", answer="!"),
            prompt_ids=[1, 2],
            completion=Completion(
                token_ids=[10 + t for t in range(tokens)],
                logprobs=[-float(t) for t in range(tokens)],
                finish_reason=finish,
            ),
            policy_version=version,
        ),
        steps=[ReasoningStep(text="s", start=0, end=1, last_token=end) for end in ends],
        step_scores=[(j + 1) / 10 for j in range(len(ends))],
        outcome_reward=outcome,
        components={},
        correct=True,
    )


def test_collating_by_hand() -> None:
    batch = collate(
        [scored("a", 3, (0, 2)), scored("b", 1, finish="length", version=4, outcome=-1.0), scored("a", 2, (1,))]
    )
    assert len(batch) == 3
    assert batch.prompts == [[1, 2]] * 3
    assert batch.responses == [[10, 11, 12], [10], [10, 11]]
    assert batch.action_mask.int().tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    assert batch.rollout_logprobs.tolist() == [[0, -1, -2], [0, 0, 0], [0, -1, 0]]
    torch.testing.assert_close(batch.step_scores, torch.tensor([[0.1, 0.2], [0, 0], [0.1, 0]]))
    assert batch.step_ends.tolist() == [[0, 2], [0, 0], [1, 0]]
    assert batch.step_mask.int().tolist() == [[1, 1], [0, 0], [1, 0]]
    assert batch.outcome.tolist() == [1, -1, 1]
    assert batch.group.tolist() == [0, 1, 0]
    assert batch.policy_version.tolist() == [0, 4, 0]
    assert batch.truncated.tolist() == [False, True, False]
    assert batch.values is None and batch.advantages is None


@pytest.mark.parametrize(("finish", "truncated"), [("stop", False), ("length", True), ("cancelled", True)])
def test_only_a_completion_that_stopped_by_itself_is_finished(finish: FinishReason, truncated: bool) -> None:
    assert collate([scored(finish=finish)]).truncated.tolist() == [truncated]


def test_token_ids_are_kept_exactly_even_where_float32_would_round_them() -> None:
    rollout = scored(tokens=1)
    rollout.rollout.completion.token_ids[0] = 2**24 + 1
    assert collate([rollout]).responses == [[2**24 + 1]]


@pytest.mark.parametrize("tokens", [0, 2])
def test_rollouts_without_steps_or_tokens_collate(tokens: int) -> None:
    batch = collate([scored(tokens=tokens)])
    assert batch.action_mask.shape == (1, tokens)
    assert batch.step_scores.shape == (1, 0)


def test_nothing_collates_into_nothing() -> None:
    assert len(collate([])) == 0


def broken_logprobs() -> ScoredRollout:
    rollout = scored("x7")
    rollout.rollout.completion.logprobs.pop()
    return rollout


@pytest.mark.parametrize(
    ("rollout", "message"),
    [
        (broken_logprobs(), "'x7' has 3 tokens and 2 log-probs"),
        (replace(scored("x7", 3, (0, 1)), step_scores=[1.0]), "'x7' has 2 steps and 1 step scores"),
        (scored("x7", 3, (3,)), "ends at token 3; expected 0 … 2"),
        (scored("x7", 3, (-1,)), "ends at token -1"),
        (scored("x7", outcome=float("nan")), "outcome reward of nan"),
        (replace(scored("x7", 3, (0,)), step_scores=[float("inf")]), "step score of inf"),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(rollout: ScoredRollout, message: str) -> None:
    with pytest.raises(DataError, match=message):
        collate([scored(), rollout])


def full() -> Experience:
    batch = collate([scored("a", 3, (0, 2)), scored("b", 1), scored("a", 2, (1,), version=3)])
    return replace(batch, values=torch.arange(9.0).view(3, 3), tail_values=torch.tensor([5.0, 6.0, 7.0]))


def test_selecting_takes_every_field_along() -> None:
    batch = full()
    picked = batch.select([2, 0])
    for field in fields(Experience):
        before, after = getattr(batch, field.name), getattr(picked, field.name)
        if before is None:
            assert after is None
        elif isinstance(before, list):
            assert after == [before[2], before[0]]
        else:
            assert torch.equal(after, before[torch.tensor([2, 0])])


def test_selecting_none_keeps_the_widths() -> None:
    nothing = full().select([])
    assert len(nothing) == 0
    assert nothing.action_mask.shape == (0, 3)
    assert nothing.step_scores.shape == (0, 2)


def test_a_batch_moves_whole() -> None:
    moved = full().to("meta")
    tensors = [getattr(moved, f.name) for f in fields(Experience)]
    assert all(x.is_meta for x in tensors if isinstance(x, torch.Tensor))
    assert moved.prompts == full().prompts


@settings(max_examples=60, deadline=None)
@given(problems=st.lists(st.integers(0, 7), max_size=20), count=st.integers(1, 5), seed=st.integers(0, 99))
def test_minibatches_part_the_batch_with_groups_whole_and_even(problems: list[int], count: int, seed: int) -> None:
    batch = collate([scored(str(p), version=index) for index, p in enumerate(problems)])
    parts = minibatches(batch, count, seed)
    assert len(parts) == count
    assert sorted(v for part in parts for v in part.policy_version.tolist()) == list(range(len(problems)))
    owners = [set(part.group.tolist()) for part in parts]
    assert sum(map(len, owners)) == len(set(problems))
    assert max(map(len, owners)) - min(map(len, owners)) <= 1


def test_minibatches_follow_from_the_seed_alone() -> None:
    batch = collate([scored(str(p)) for p in range(12)])

    def order(seed: int) -> list[list[int]]:
        return [part.group.tolist() for part in minibatches(batch, 3, seed)]

    torch.manual_seed(1)
    first = order(5)
    torch.manual_seed(2)
    assert order(5) == first
    assert order(6) != first
