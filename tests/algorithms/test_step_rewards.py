"""Where rewards land, how much they are in total, and that cutting steps up does not pay."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from r1ray.algorithms.step_rewards import kl_rewards, last_action, place_steps, token_rewards
from r1ray.errors import DataError

PLACEMENTS = ("place", "difference", "min", "prod", "mean", "last")


def rewards_of(
    scores: list[float], ends: list[int], outcome: float, tokens: int, placement: str, padding: int = 0
) -> list[float]:
    """One rollout of `tokens` sampled tokens, with `padding` steps and tokens of garbage behind."""
    nan = float("nan")
    step_mask = torch.tensor([[True] * len(scores) + [False] * padding], dtype=torch.bool)
    step_rewards, aggregate = place_steps(torch.tensor([scores + [nan] * padding]), step_mask, placement)
    return token_rewards(
        step_rewards,
        torch.tensor([ends + [10**6] * padding], dtype=torch.long),
        step_mask,
        torch.tensor([outcome]) + aggregate,
        torch.tensor([[True] * tokens + [False] * padding]),
    )[0].tolist()


@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        # Scores .5, .9, .6 on tokens 1, 3, 4 of six; outcome 1 on token 5.
        ("place", [0, 0.5, 0, 0.9, 0.6, 1]),
        ("difference", [0, 0.5, 0, 0.4, -0.3, 1]),  # .5 − 0, .9 − .5, .6 − .9
        ("min", [0, 0, 0, 0, 0, 1.5]),
        ("prod", [0, 0, 0, 0, 0, 1.27]),  # .5 · .9 · .6 = .27
        ("mean", [0, 0, 0, 0, 0, 1 + 2 / 3]),
        ("last", [0, 0, 0, 0, 0, 1.6]),
    ],
)
def test_placements_by_hand(placement: str, expected: list[float]) -> None:
    assert rewards_of([0.5, 0.9, 0.6], [1, 3, 4], 1.0, 6, placement) == pytest.approx(expected)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_padding_changes_nothing(placement: str) -> None:
    clean = rewards_of([0.5, 0.9], [1, 3], 1.0, 5, placement)
    assert rewards_of([0.5, 0.9], [1, 3], 1.0, 5, placement, padding=3) == [*clean, 0, 0, 0]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_without_steps_only_the_outcome_is_paid(placement: str) -> None:
    assert rewards_of([], [], 0.7, 3, placement) == pytest.approx([0, 0, 0.7])
    assert rewards_of([], [], 0.7, 3, placement, padding=2) == pytest.approx([0, 0, 0.7, 0, 0])


def test_two_steps_that_end_on_one_token_both_count() -> None:
    assert rewards_of([0.25, 0.5], [1, 1], 0.0, 2, "place") == [0, 0.75]


@settings(max_examples=150, deadline=None)
@given(data=st.data(), placement=st.sampled_from(PLACEMENTS))
def test_splitting_a_step_in_two_of_the_same_total_does_not_raise_the_return(
    data: st.DataObject, placement: str
) -> None:
    scores = data.draw(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=6))
    at = data.draw(st.integers(0, len(scores) - 1))
    share = data.draw(st.floats(0, 1, width=32))
    split = [*scores[:at], scores[at] * share, scores[at] * (1 - share), *scores[at + 1 :]]

    def total(steps: list[float]) -> float:
        return sum(rewards_of(steps, list(range(len(steps))), 0.0, 8, placement))

    assert total(split) <= total(scores) + 1e-5


@settings(max_examples=100, deadline=None)
@given(data=st.data(), placement=st.sampled_from([p for p in PLACEMENTS if p != "place"]))
def test_repeating_a_step_with_the_same_score_does_not_pay_where_scores_do_not_add_up(
    data: st.DataObject, placement: str
) -> None:
    score, count = data.draw(st.floats(0, 1, width=32)), data.draw(st.integers(1, 5))

    def total(steps: int) -> float:
        return sum(rewards_of([score] * steps, list(range(steps)), 0.0, 8, placement))

    assert total(count + 1) <= total(count) + 1e-5


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), placement=st.sampled_from(PLACEMENTS))
def test_rewards_lie_on_sampled_tokens_and_add_up(seed: int, placement: str) -> None:
    rng = torch.Generator().manual_seed(seed)
    action_mask = torch.rand(4, 7, generator=rng) < 0.7
    action_mask[:, 2] = True  # at least one
    ends = torch.multinomial(action_mask.float(), 3, replacement=True, generator=rng)
    step_mask = torch.arange(3) < torch.randint(0, 4, (4, 1), generator=rng)
    scores, outcome = torch.rand(4, 3, generator=rng), torch.rand(4, generator=rng)
    step_rewards, aggregate = place_steps(scores, step_mask, placement)
    rewards = token_rewards(step_rewards, ends, step_mask, outcome + aggregate, action_mask)
    assert (rewards[~action_mask] == 0).all()
    torch.testing.assert_close(rewards.sum(1), step_rewards.sum(1) + aggregate + outcome)


def test_the_outcome_lands_on_the_last_sampled_token_not_on_padding() -> None:
    mask = torch.tensor([[1, 1, 0, 1, 0], [0, 1, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)
    assert last_action(mask).tolist() == [3, 1, 4]
    none = torch.zeros(3, 0)
    rewards = token_rewards(none, none.long(), none.bool(), torch.ones(3), mask)
    assert rewards.tolist() == [[0, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1]]


@pytest.mark.parametrize("end", [2, 3, 9, -1])
def test_a_step_that_ends_on_a_token_not_sampled_is_refused(end: int) -> None:
    mask = torch.tensor([[True, True, False, False]])
    with pytest.raises(DataError, match=f"step 0 of rollout 0 ends at token {end}"):
        token_rewards(torch.ones(1, 1), torch.tensor([[end]]), torch.ones(1, 1).bool(), torch.ones(1), mask)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0), (2, 3)])
def test_batches_without_a_single_action_earn_nothing(shape: tuple[int, int]) -> None:
    none = torch.zeros(shape[0], 0)
    mask = torch.zeros(shape, dtype=torch.bool)
    rewards = token_rewards(none, none.long(), none.bool(), torch.ones(shape[0]), mask)
    assert torch.equal(rewards, torch.zeros(shape))


def test_a_rollout_without_actions_earns_nothing_beside_one_with_them() -> None:
    none = torch.zeros(2, 0)
    mask = torch.tensor([[False, False], [True, False]])
    rewards = token_rewards(none, none.long(), none.bool(), torch.ones(2), mask)
    assert rewards.tolist() == [[0, 0], [1, 0]]


def test_the_kl_costs_on_action_tokens_and_carries_no_gradient() -> None:
    policy = torch.tensor([[-1.0, -2.0, float("nan")]], requires_grad=True)
    ref = torch.tensor([[-1.5, -1.0, 3.0]])
    rewards = kl_rewards(policy, ref, torch.tensor([[True, True, False]]), 0.1)
    assert rewards[0].tolist() == pytest.approx([-0.05, 0.1, 0.0])  # −0.1 · (0.5, −1.0)
    assert not rewards.requires_grad


def test_an_unknown_placement_names_the_known_ones() -> None:
    scores: Tensor = torch.ones(1, 1)
    with pytest.raises(DataError, match="'sum'; expected place, difference"):
        place_steps(scores, scores.bool(), "sum")
