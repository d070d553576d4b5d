"""Proximal Policy Optimization with a critic: GAE. Schulman et al., arXiv 1707.06347 and 1506.02438."""

from r1ray.algorithms.advantages import gae, leave_one_out
from r1ray.algorithms.estimators.base import Advantages, Scored
from r1ray.algorithms.masked import AllReduce, masked_mean, masked_whiten, one_rank
from r1ray.config.ppo import PPOConfig
from r1ray.errors import ConfigError


def estimate(batch: Scored, config: PPOConfig, all_reduce: AllReduce = one_rank) -> Advantages:
    """GAE; returns are taken first, then the optional group baseline, then whitening over all ranks.

    `group_baseline` subtracts from every token's advantage the mean, over the *other* rollouts of the group, of their
    token-mean advantages. It adds no bias, is 0 in expectation where the critic is right, and takes away what the
    critic misses of a problem's difficulty; with V = 0 and γ = λ = 1 the result is RLOO. The critic's targets stay as
    they are.
    """
    if batch.values is None:
        raise ConfigError(
            "ppo.algorithm `ppo` needs a critic's values and got none; set critic.kind to `head` or `model`."
        )
    mask = batch.action_mask
    advantages, returns = gae(
        batch.token_rewards,
        batch.values,
        mask,
        gamma=config.gamma,
        lam=config.gae_lambda,
        bootstrap=batch.bootstrap,
    )
    if config.group_baseline:
        baseline, _ = leave_one_out(masked_mean(advantages, mask, dim=1), batch.group)
        advantages = (advantages - baseline[:, None]) * mask
    if config.whiten:
        advantages = masked_whiten(advantages, mask, all_reduce=all_reduce)
    return Advantages(advantages=advantages, returns=returns)
