"""Losses by hand, against plain policy gradient, and under every way of cutting a batch up."""

import math
from dataclasses import replace
from functools import reduce

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from r1ray.algorithms.losses import (
    PolicyDiagnostics,
    entropy_bonus,
    global_count,
    importance_weights,
    kl_loss,
    nll_loss,
    policy_loss,
    value_loss,
)
from r1ray.config.ppo import PPOConfig

CONFIG = PPOConfig(clip_eps=0.2)
POISON = (0.0, 1e30, float("nan"), float("inf"))


def ratios(*values: float) -> Tensor:
    """Log-probs of a policy whose old log-probs are all 0."""
    return torch.tensor([math.log(v) for v in values])


def loss_of(ratio: float, advantage: float, config: PPOConfig = CONFIG) -> float:
    mask = torch.ones(1, dtype=torch.bool)
    loss, _ = policy_loss(ratios(ratio), torch.zeros(1), torch.tensor([advantage]), mask, config, 1.0)
    return loss.item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "objective"),
    [
        (1.1, 2.0, 2.2),  # inside
        (1.5, 2.0, 2.4),  # clipped above: 1.2 · 2
        (0.5, 2.0, 1.0),  # below, but the minimum is the unclipped one
        (0.5, -2.0, -1.6),  # clipped below: 0.8 · −2
        (1.5, -2.0, -3.0),  # above, and the minimum is the unclipped one
    ],
)
def test_the_clipped_objective_by_hand(ratio: float, advantage: float, objective: float) -> None:
    assert loss_of(ratio, advantage) == pytest.approx(-objective)


def test_the_upper_clip_can_be_higher() -> None:
    config = replace(CONFIG, clip_eps_high=0.28)
    assert loss_of(1.5, 2.0, config) == pytest.approx(-2.56)  # 1.28 · 2
    assert loss_of(0.5, -2.0, config) == pytest.approx(1.6)  # below it is still 0.8


def test_dual_clip_bounds_a_bad_action_that_became_likely() -> None:
    config = replace(CONFIG, dual_clip=3.0)
    assert loss_of(10.0, -2.0, config) == pytest.approx(6.0)  # not 20
    assert loss_of(2.0, -2.0, config) == pytest.approx(4.0)  # within 3
    assert loss_of(10.0, 2.0, config) == pytest.approx(-2.4)  # no part in good actions


def test_a_huge_ratio_stays_finite() -> None:
    mask = torch.ones(2, dtype=torch.bool)
    policy = torch.tensor([500.0, -500.0], requires_grad=True)
    loss, diagnostics = policy_loss(policy, torch.zeros(2), torch.tensor([-1.0, 1.0]), mask, CONFIG, 2.0)
    loss.backward()
    assert loss.isfinite() and policy.grad is not None and policy.grad.isfinite().all()
    assert diagnostics.policy_kl.isfinite()


def test_at_ratio_one_the_gradient_is_that_of_plain_policy_gradient_and_nothing_is_clipped() -> None:
    rng = torch.Generator().manual_seed(0)
    old, advantages = torch.randn(2, 3, 5, generator=rng)
    mask = torch.rand(3, 5, generator=rng) < 0.7
    policy = old.clone().requires_grad_()
    loss, diagnostics = policy_loss(policy, old, advantages, mask, CONFIG, 7.0)
    (gradient,) = torch.autograd.grad(loss, policy)
    torch.testing.assert_close(gradient, -(advantages * mask) / 7.0)
    assert diagnostics.ratio_deviation == 0
    assert diagnostics.policy_kl == 0
    assert diagnostics.clipped == 0
    assert diagnostics.tokens == mask.sum()


def test_diagnostics_by_hand() -> None:
    # Ratios 1.1 (free), 1.5 with A > 0 (clipped), 1.5 with A < 0 (the clip does not bind), masked.
    policy, advantages = ratios(1.1, 1.5, 1.5, 9.0), torch.tensor([1.0, 1.0, -1.0, 1.0])
    mask = torch.tensor([True, True, True, False])
    _, diagnostics = policy_loss(policy, torch.zeros(4), advantages, mask, CONFIG, 3.0)
    assert diagnostics.tokens == 3
    assert diagnostics.clipped == 1
    assert diagnostics.ratio_deviation.item() == pytest.approx(0.5)
    expected = (1.1 - 1 - math.log(1.1)) + 2 * (1.5 - 1 - math.log(1.5))  # k3 of old against new
    assert diagnostics.policy_kl.item() == pytest.approx(expected, rel=1e-5)


def test_value_loss_by_hand() -> None:
    # V 2, old 1, R 3, ε 0.2: unclipped (2 − 3)² = 1; clipped V is 1.2: (1.2 − 3)² = 3.24; ½ of the larger.
    one, mask = torch.ones(1), torch.ones(1, dtype=torch.bool)
    assert value_loss(2 * one, one, 3 * one, mask, 0.2, 1.0).item() == pytest.approx(1.62)
    assert value_loss(2 * one, one, 3 * one, mask, 0.0, 1.0).item() == pytest.approx(0.5)
    assert value_loss(2 * one, one, 3 * one, mask, 0.0, 4.0).item() == pytest.approx(0.125)


def test_a_clipped_value_that_is_worse_off_stops_learning() -> None:
    # Moved towards the return beyond the clip: the clipped error is the larger and has no gradient.
    values = torch.tensor([2.0], requires_grad=True)
    value_loss(values, torch.ones(1), torch.tensor([3.0]), torch.ones(1, dtype=torch.bool), 0.2, 1.0).backward()
    assert values.grad is not None and values.grad.item() == 0


def test_the_small_losses_by_hand() -> None:
    mask = torch.tensor([True, True, False])
    logprobs = torch.tensor([-1.0, -3.0, -50.0])
    assert nll_loss(logprobs, mask, 2.0).item() == pytest.approx(2.0)
    assert entropy_bonus(-logprobs, mask, 2.0).item() == pytest.approx(2.0)
    ref = torch.tensor([-2.0, -1.0, 0.0])
    assert kl_loss(logprobs, ref, mask, 2.0).item() == pytest.approx((0.5 * 1 + 0.5 * 4) / 2)


def test_the_gradient_of_the_kl_loss_points_to_the_reference() -> None:
    policy = torch.tensor([-1.0, -3.0], requires_grad=True)
    kl_loss(policy, torch.tensor([-2.0, -1.0]), torch.ones(2, dtype=torch.bool), 1.0).backward()
    assert policy.grad is not None and policy.grad.tolist() == [1.0, -2.0]  # log policy − log reference


@settings(max_examples=100, deadline=None)
@given(
    gap=st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=8),
    cap=st.floats(0.125, 10, width=32),
)
def test_importance_weights_obey_their_cap(gap: list[float], cap: float) -> None:
    old = torch.tensor(gap, requires_grad=True)
    weights = importance_weights(old, torch.zeros(len(gap)), cap)
    assert not weights.requires_grad
    for weight, difference in zip(weights.tolist(), gap, strict=True):
        assert 0 <= weight <= cap * (1 + 1e-6)
        assert weight == pytest.approx(min(math.exp(min(difference, 100)), cap), rel=1e-4, abs=1e-30)


def test_importance_weights_scale_each_tokens_gradient() -> None:
    policy = torch.zeros(2, requires_grad=True)
    weights = importance_weights(
        torch.tensor([0.0, 5.0]), torch.tensor([math.log(2), 0.0]), 2.0
    )  # 1/2, and e⁵ capped at 2
    mask = torch.ones(2, dtype=torch.bool)
    policy_loss(policy, torch.zeros(2), torch.ones(2), mask, CONFIG, 1.0, weights)[0].backward()
    assert policy.grad is not None and policy.grad.tolist() == pytest.approx([-0.5, -2.0])


def all_losses(rows: dict[str, Tensor], mask: Tensor, denominator: Tensor | float) -> tuple[Tensor, PolicyDiagnostics]:
    """Every loss of this module, added up: what a learner's step may hold."""
    config = replace(CONFIG, dual_clip=3.0, clip_eps_high=0.3)
    weights = importance_weights(rows["old"], rows["rollout"], 2.0)
    loss, diagnostics = policy_loss(rows["policy"], rows["old"], rows["advantages"], mask, config, denominator, weights)
    loss = loss + 0.5 * value_loss(rows["values"], rows["old_values"], rows["returns"], mask, 0.2, denominator)
    loss = loss - 0.1 * entropy_bonus(rows["entropy"], mask, denominator)
    loss = loss + 0.2 * kl_loss(rows["policy"], rows["ref"], mask, denominator)
    return loss + nll_loss(rows["policy"], mask, denominator), diagnostics


LEAVES = ("policy", "values", "entropy")
CONSTANTS = ("old", "rollout", "advantages", "old_values", "returns", "ref")


def draw(seed: int, count: int, tokens: int) -> tuple[dict[str, Tensor], Tensor]:
    rng = torch.Generator().manual_seed(seed)
    rows = {name: torch.randn(count, tokens, generator=rng, dtype=torch.float64) for name in (*LEAVES, *CONSTANTS)}
    return rows, torch.rand(count, tokens, generator=rng) < 0.6


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), ranks=st.integers(1, 3), microbatch=st.integers(1, 4), averaged=st.booleans())
def test_loss_and_gradient_do_not_depend_on_microbatches_or_ranks(
    seed: int, ranks: int, microbatch: int, averaged: bool
) -> None:
    rows, mask = draw(seed, 6, 5)
    whole = {name: x.clone().requires_grad_(name in LEAVES) for name, x in rows.items()}
    expected, expected_diagnostics = all_losses(whole, mask, global_count(mask))
    expected.backward()

    cut = {name: x.clone().requires_grad_(name in LEAVES) for name, x in rows.items()}
    shares = [list(range(rank, 6, ranks)) for rank in range(ranks)]
    total, parts = torch.zeros((), dtype=torch.float64), []
    for share in shares:
        count = global_count(
            mask[share], all_reduce=lambda _: mask.sum().float(), averaged_over=ranks if averaged else 1
        )
        for start in range(0, len(share), microbatch):
            piece = share[start : start + microbatch]
            loss, diagnostics = all_losses({name: x[piece] for name, x in cut.items()}, mask[piece], count)
            (loss / ranks if averaged else loss).backward()  # an engine that averages divides by the number of ranks
            total += loss.detach() / (ranks if averaged else 1)
            parts.append(diagnostics)
    torch.testing.assert_close(total, expected.detach())
    for name in LEAVES:
        torch.testing.assert_close(cut[name].grad, whole[name].grad)
    merged = reduce(PolicyDiagnostics.merge, parts)
    for name in PolicyDiagnostics.__dataclass_fields__:
        torch.testing.assert_close(getattr(merged, name), getattr(expected_diagnostics, name))


@pytest.mark.parametrize("poison", POISON)
def test_what_lies_under_the_mask_changes_neither_loss_nor_gradient(poison: float) -> None:
    rows, mask = draw(1, 4, 5)
    results = []
    for fill in (0.5, poison):
        filled = {n: x.masked_fill(~mask, fill).requires_grad_(n in LEAVES) for n, x in rows.items()}
        loss, diagnostics = all_losses(filled, mask, 3.0)
        loss.backward()
        results.append([loss, diagnostics.policy_kl, diagnostics.ratio_deviation, *(filled[n].grad for n in LEAVES)])
    for a, b in zip(*results, strict=True):
        assert a is not None and b is not None and torch.equal(a, b)
        assert b.isfinite().all()


def test_flat_tokens_give_what_padded_rows_give() -> None:
    rows, mask = draw(2, 4, 5)
    padded, _ = all_losses(rows, mask, 3.0)
    flat, _ = all_losses({n: x[mask] for n, x in rows.items()}, mask[mask], 3.0)
    torch.testing.assert_close(flat, padded)


def test_a_share_without_tokens_adds_nothing() -> None:
    rows, mask = draw(3, 2, 0)
    loss, diagnostics = all_losses(rows, mask, global_count(mask))
    assert loss == 0
    assert diagnostics.ratio_deviation == 0
