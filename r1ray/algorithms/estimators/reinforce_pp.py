"""REINFORCE++: no critic, normalised over the global batch. Hu et al., arXiv 2501.03262."""

from r1ray.algorithms.advantages import group_statistics, rewards_to_go
from r1ray.algorithms.estimators.base import Advantages, Scored
from r1ray.algorithms.masked import AllReduce, masked_whiten, one_rank
from r1ray.config.ppo import PPOConfig


def estimate(batch: Scored, config: PPOConfig, all_reduce: AllReduce = one_rank) -> Advantages:
    """Discounted rewards to go, whitened over all action tokens of all ranks (`whiten`; the paper always does).

    `group_baseline` first subtracts the group's mean return from every token: the paper's REINFORCE++-baseline.
    """
    advantages = rewards_to_go(batch.token_rewards, batch.action_mask, gamma=config.gamma)
    if config.group_baseline:
        mean = group_statistics(batch.returns, batch.group)[0].to(advantages.dtype)
        advantages = (advantages - mean[:, None]) * batch.action_mask
    if config.whiten:
        advantages = masked_whiten(advantages, batch.action_mask, all_reduce=all_reduce)
    return Advantages(advantages=advantages, returns=None)
