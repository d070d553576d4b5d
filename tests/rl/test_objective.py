"""The objective's terms add up, by hand on three tokens."""

import math
from dataclasses import replace

import pytest
import torch

from r1ray.algorithms.experience import Experience, collate
from r1ray.algorithms.packing import PackedBatch, pack
from r1ray.config.ppo import PPOConfig
from r1ray.metrics.reductions import Mean, reduce_all
from r1ray.models.policy import PolicyOutput
from r1ray.rl.objective import objective
from r1ray.types import Completion, Problem, Rollout, ScoredRollout

PLAIN = PPOConfig(importance_cap=0.0, value_clip=0.0)


def experience() -> Experience:
    """Two rollouts, of two tokens and of one."""

    def rollout(ids: list[int], logprobs: list[float]) -> ScoredRollout:
        completion = Completion(token_ids=ids, logprobs=logprobs, finish_reason="stop")
        problem = Problem(id="p", question="?", answer="1")
        made = Rollout(problem=problem, prompt_ids=[7, 8], completion=completion, policy_version=1)
        return ScoredRollout(rollout=made, steps=[], step_scores=[], outcome_reward=0.0, components={}, correct=False)

    batch = collate([rollout([1, 2], [-1.0, -1.0]), rollout([3], [-2.0])])
    return replace(
        batch,
        advantages=torch.tensor([[1.0, -2.0], [0.5, 0.0]]),
        policy_logprobs=torch.tensor([[-1.0, -1.0], [-2.0, 0.0]]),
        ref_logprobs=torch.tensor([[-1.0, -1.5], [-1.0, 0.0]]),
        values=torch.tensor([[0.0, 0.0], [0.0, 0.0]]),
        returns=torch.tensor([[1.0, 1.0], [2.0, 0.0]]),
    )


def packed_output(logprobs: list[float]) -> tuple[PackedBatch, PolicyOutput]:
    """One micro-batch of all three tokens, in order, and what a network said of them."""
    [packed] = pack([[7, 8], [7, 8]], [[1, 2], [3]], group=[0, 0], max_tokens=100)
    assert (packed.sequence.tolist(), packed.token.tolist()) == ([0, 0, 1], [0, 1, 0])
    values, entropy = torch.tensor([0.5, 1.0, 0.0]), torch.tensor([0.3, 0.2, 0.1])
    output = PolicyOutput(
        logprobs=torch.tensor(logprobs, requires_grad=True), entropy=entropy, values=values, tail_values=torch.zeros(2)
    )
    return packed, output


def loss_of(config: PPOConfig, batch: Experience, logprobs: list[float], kl_coef: float = 0.0) -> float:
    packed, output = packed_output(logprobs)
    loss, _ = objective(batch, packed, output, torch.tensor(4.0), config, kl_coef)
    return float(loss.detach())


def test_every_term_by_hand() -> None:
    batch, same = experience(), [-1.0, -1.0, -2.0]
    # Ratio 1: −(1 − 2 + 0.5) / 4. The denominator is the whole step's, not this micro-batch's three tokens.
    policy = 0.5 / 4
    # ½ (0.5² + 0² + 2²) / 4, weighted by 0.5.
    value = 0.5 * 0.5 * (0.25 + 0.0 + 4.0) / 4
    assert loss_of(PLAIN, batch, same) == pytest.approx(policy + value)
    assert loss_of(replace(PLAIN, vf_coef=0.0), batch, same) == pytest.approx(policy)
    # Entropies 0.3 + 0.2 + 0.1, over 4.
    assert loss_of(replace(PLAIN, ent_coef=2.0), batch, same) == pytest.approx(policy + value - 2.0 * 0.6 / 4)
    # k2 of 0, 0.5 and −1: ½ (0 + 0.25 + 1) / 4, with β = 3; only under kl_in_loss.
    assert loss_of(PLAIN, batch, same, kl_coef=3.0) == pytest.approx(policy + value)
    in_loss = replace(PLAIN, kl_in_loss=True)
    assert loss_of(in_loss, batch, same, kl_coef=3.0) == pytest.approx(policy + value + 3.0 * 0.5 * 1.25 / 4)


def test_the_clip_and_the_importance_weight_by_hand() -> None:
    config = replace(PLAIN, vf_coef=0.0)
    batch = replace(experience(), rollout_logprobs=torch.tensor([[-1.0, -1.0], [-2.0 - math.log(1.5), 0.0]]))
    moved = [-1.0 + math.log(1.3), -1.0 + math.log(1.3), -2.0]
    # Ratios 1.3, 1.3, 1: the first is cut to 1.2, the second is worse unclipped, min(1.3 · −2, 1.2 · −2) = −2.6.
    assert loss_of(config, batch, moved) == pytest.approx(-(1.2 - 2.6 + 0.5) / 4)
    # π_old is 1.5 times likelier than the engine said for the third token; the cap allows 2, then 1.25.
    assert loss_of(replace(config, importance_cap=2.0), batch, moved) == pytest.approx(-(1.2 - 2.6 + 1.5 * 0.5) / 4)
    assert loss_of(replace(config, importance_cap=1.25), batch, moved) == pytest.approx(-(1.2 - 2.6 + 1.25 * 0.5) / 4)


def test_figures_are_means_over_the_microbatchs_own_tokens() -> None:
    packed, output = packed_output([-1.0 + math.log(1.3), -1.0, -2.0])
    _, metrics = objective(experience(), packed, output, torch.tensor(4.0), PLAIN, 0.0)
    figures = reduce_all([metrics])
    assert figures["ppo/policy_loss"] == pytest.approx(-(1.2 - 2.0 + 0.5) / 3)
    assert figures["ppo/clip_fraction"] == pytest.approx(1 / 3)
    assert figures["ppo/ratio_deviation"] == pytest.approx(0.3)
    assert figures["ppo/entropy"] == pytest.approx(0.2)
    assert figures["ppo/value_loss"] == pytest.approx(0.5 * 4.25 / 3)
    assert all(metric.weight == 3 for metric in metrics.values() if isinstance(metric, Mean))


def test_without_old_logprobs_the_policy_is_its_own_and_the_gradient_is_reinforces() -> None:
    batch = replace(experience(), policy_logprobs=None, values=None, returns=None)
    packed, output = packed_output([-0.3, -1.7, -2.2])
    loss, metrics = objective(batch, packed, output, torch.tensor(4.0), PLAIN, 0.0)
    assert metrics["ppo/ratio_deviation"].value == 0
    loss.backward()
    assert output.logprobs.grad is not None
    assert output.logprobs.grad.tolist() == pytest.approx([-1.0 / 4, 2.0 / 4, -0.5 / 4])  # −A / denominator
