"""REINFORCE Leave-One-Out. Ahmadian et al., arXiv 2402.14740."""

import torch

from r1ray.algorithms.advantages import leave_one_out
from r1ray.algorithms.estimators.base import Advantages, Scored
from r1ray.algorithms.masked import AllReduce, masked_whiten, one_rank
from r1ray.config.ppo import PPOConfig


def estimate(batch: Scored, config: PPOConfig, all_reduce: AllReduce = one_rank) -> Advantages:
    """Every token's advantage is its rollout's return minus the mean return of the others in its group; 0 if alone.

    The return includes −β KL. `whiten` scales by the batch's root mean square without moving the mean, which the group
    has set; the paper does without.
    """
    baseline, compared = leave_one_out(batch.returns, batch.group)
    relative = torch.where(compared, batch.returns - baseline, 0.0)
    advantages = relative[:, None] * batch.action_mask
    if config.whiten:
        advantages = masked_whiten(advantages, batch.action_mask, center=False, all_reduce=all_reduce)
    return Advantages(advantages=advantages, returns=None)
