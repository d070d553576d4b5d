"""GAE against its definition, and baselines from groups."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from r1ray.algorithms.advantages import (
    explained_variance,
    flat_groups,
    gae,
    group_statistics,
    leave_one_out,
    normalize_in_group,
    rewards_to_go,
)

NAN = float("nan")


def definition(rewards: list[float], values: list[float], gamma: float, lam: float, bootstrap: float) -> list[float]:
    """A_t = Σ_l (γλ)^l δ_{t+l} over the actions of one row, by the double sum (arXiv 1506.02438, equation 16)."""
    after = [*values[1:], bootstrap][: len(values)]
    deltas = [r + gamma * n - v for r, v, n in zip(rewards, values, after, strict=True)]
    return [sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, len(deltas))) for t in range(len(deltas))]


def test_three_tokens_by_hand() -> None:
    # γ = 0.9, λ = 0.5. Rewards 1, 0, 2; values 0.5, 1, 1.5; finished: nothing after the last token.
    # δ₂ = 2 − 1.5 = 0.5                         A₂ = 0.5
    # δ₁ = 0 + 0.9 · 1.5 − 1 = 0.35              A₁ = 0.35 + 0.45 · 0.5 = 0.575
    # δ₀ = 1 + 0.9 · 1 − 0.5 = 1.4               A₀ = 1.4 + 0.45 · 0.575 = 1.65875
    rewards, values = torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[0.5, 1.0, 1.5]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    advantages, returns = gae(rewards, values, mask, gamma=0.9, lam=0.5, bootstrap=torch.zeros(1))
    assert advantages[0].tolist() == pytest.approx([1.65875, 0.575, 0.5])
    assert returns[0].tolist() == pytest.approx([2.15875, 1.575, 2.0])
    # Truncated before a state worth 2: δ₂ = 2 + 0.9 · 2 − 1.5 = 2.3.
    advantages, _ = gae(rewards, values, mask, gamma=0.9, lam=0.5, bootstrap=torch.tensor([2.0]))
    assert advantages[0].tolist() == pytest.approx([1.4 + 0.45 * (0.35 + 0.45 * 2.3), 0.35 + 0.45 * 2.3, 2.3])


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 4),
    tokens=st.integers(0, 9),
    gamma=st.sampled_from([1.0, 0.9, 0.0]),
    lam=st.sampled_from([1.0, 0.95, 0.0]),
    poison=st.sampled_from([0.0, 1e9, NAN]),
)
def test_gaps_and_padding_on_either_side_give_the_definition_on_the_actions_alone(
    seed: int, rows: int, tokens: int, gamma: float, lam: float, poison: float
) -> None:
    rng = torch.Generator().manual_seed(seed)
    rewards, values = torch.randn(2, rows, tokens, generator=rng)
    mask = torch.rand(rows, tokens, generator=rng) < 0.6  # holes anywhere
    bootstrap = torch.randn(rows, generator=rng) * (torch.rand(rows, generator=rng) < 0.5)
    advantages, returns = gae(
        rewards.masked_fill(~mask, poison),
        values.masked_fill(~mask, poison),
        mask,
        gamma=gamma,
        lam=lam,
        bootstrap=bootstrap,
    )
    for b in range(rows):
        chosen = mask[b]
        expected = definition(rewards[b][chosen].tolist(), values[b][chosen].tolist(), gamma, lam, bootstrap[b].item())
        assert advantages[b][chosen].tolist() == pytest.approx(expected, abs=1e-5)
        assert returns[b][chosen].tolist() == pytest.approx(
            [a + v for a, v in zip(expected, values[b][chosen].tolist(), strict=True)], abs=1e-5
        )
    assert (advantages[~mask] == 0).all()
    assert (returns[~mask] == 0).all()


def test_gae_is_float32_whatever_comes_in() -> None:
    half = torch.ones(1, 2, dtype=torch.bfloat16)
    mask = torch.ones(1, 2, dtype=torch.bool)
    for result in gae(half, half, mask, gamma=1.0, lam=0.95, bootstrap=half[:, 0]):
        assert result.dtype == torch.float32


def test_lambda_one_without_a_critic_is_the_reward_to_go() -> None:
    # 1 + 0.5 · (2 + 0.5 · 4) = 3; the masked token in the middle costs no discount.
    rewards = torch.tensor([[1.0, 2.0, 99.0, 4.0]])
    mask = torch.tensor([[True, True, False, True]])
    assert rewards_to_go(rewards, mask, gamma=0.5)[0].tolist() == [3.0, 4.0, 0.0, 4.0]


def test_group_statistics_by_hand() -> None:
    # Group 7: 1 and 3 (mean 2, population deviation 1); group 4: 5 alone.
    mean, deviation, size = group_statistics(torch.tensor([1.0, 5.0, 3.0]), torch.tensor([7, 4, 7]))
    assert mean.tolist() == [2, 5, 2]
    assert deviation.tolist() == [1, 0, 1]
    assert size.tolist() == [2, 1, 2]


@settings(max_examples=100, deadline=None)
@given(score=st.floats(-100, 100, width=32), size=st.integers(1, 64))
def test_equal_scores_have_a_deviation_of_exactly_zero(score: float, size: int) -> None:
    group = torch.zeros(size, dtype=torch.long)
    assert (group_statistics(torch.full((size,), score), group)[1] == 0).all()


def test_normalising_by_hand() -> None:
    scores, group = torch.tensor([1.0, 3.0, 0.3, 0.3, 9.0]), torch.tensor([0, 0, 1, 1, 2])
    # (1 − 2) / 1 and (3 − 2) / 1; a flat group and a rollout alone tell nothing.
    assert normalize_in_group(scores, group).tolist() == [-1, 1, 0, 0, 0]
    assert normalize_in_group(scores * 5, group).tolist() == [-1, 1, 0, 0, 0]
    assert normalize_in_group(scores * 5, group, divide=False).tolist() == [-5, 5, 0, 0, 0]


def test_a_group_that_differs_by_rounding_is_flat() -> None:
    scores = torch.tensor([0.3, 0.1 + 0.2 + 3e-8, 0.0, 1.0])
    group = torch.tensor([0, 0, 1, 1])
    assert normalize_in_group(scores, group).tolist() == [0, 0, -1, 1]
    assert flat_groups(scores, group).tolist() == [True, True, False, False]


def test_leave_one_out_by_hand() -> None:
    # Group 0: 1, 2, 6 -> (2 + 6) / 2, (1 + 6) / 2, (1 + 2) / 2; group 1 is alone.
    baseline, compared = leave_one_out(torch.tensor([1.0, 2.0, 6.0, 8.0]), torch.tensor([0, 0, 0, 1]))
    assert baseline.tolist() == [4, 3.5, 1.5, 0]
    assert compared.tolist() == [True, True, True, False]


def test_explained_variance_knows_a_good_critic_from_a_constant() -> None:
    returns: Tensor = torch.tensor([[1.0, 2.0, 3.0, 50.0]])
    mask = torch.tensor([[True, True, True, False]])
    assert explained_variance(returns + 5, returns, mask).item() == pytest.approx(1.0)
    assert explained_variance(torch.zeros(1, 4), returns, mask).item() == pytest.approx(0.0)
    # Residuals of half the size have a quarter of the variance.
    assert explained_variance(returns / 2, returns, mask).item() == pytest.approx(0.75)
    assert explained_variance(returns, torch.ones(1, 4), mask).item() == 0.0
