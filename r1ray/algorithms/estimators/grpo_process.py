"""Group Relative Policy Optimization under process supervision. DeepSeekMath, arXiv 2402.03300 section 4.1.3."""

import torch

from r1ray.algorithms.advantages import normalize_in_group, rewards_to_go
from r1ray.algorithms.estimators.base import Advantages, Scored
from r1ray.algorithms.masked import AllReduce, masked_sum, masked_whiten, one_rank
from r1ray.algorithms.step_rewards import token_rewards
from r1ray.config.ppo import PPOConfig


def estimate(batch: Scored, config: PPOConfig, all_reduce: AllReduce = one_rank) -> Advantages:
    """A token's advantage is the sum of the normalised rewards of the steps that end at it or after it.

    r̃ = (r − mean(R)) / std(R) with R all step rewards of the group pooled, and Â_t = Σ r̃_j over steps with end(j) ≥
    t. What the rollout earned beside its steps (outcome, aggregates, −β KL) is no part of the paper's formula; it is
    added as the outcome advantage of section 4.1.2, so that with step rewards alone the paper's estimator remains and
    without any step this is `grpo`. `std_normalize` and `whiten` act as in `grpo`.
    """
    rows, columns = batch.step_mask.nonzero(as_tuple=True)
    steps = torch.zeros_like(batch.step_rewards)
    steps[rows, columns] = normalize_in_group(
        batch.step_rewards[rows, columns], batch.group[rows], divide=config.std_normalize
    )
    other = batch.returns - masked_sum(batch.step_rewards, batch.step_mask, dim=1)
    relative = normalize_in_group(other, batch.group, divide=config.std_normalize)
    placed = token_rewards(steps, batch.step_ends, batch.step_mask, torch.zeros_like(other), batch.action_mask)
    advantages = rewards_to_go(placed, batch.action_mask) + relative[:, None] * batch.action_mask
    if config.whiten:
        advantages = masked_whiten(advantages, batch.action_mask, center=False, all_reduce=all_reduce)
    return Advantages(advantages=advantages, returns=None)
