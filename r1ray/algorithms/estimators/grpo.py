"""Group Relative Policy Optimization under outcome supervision. DeepSeekMath, arXiv 2402.03300 section 4.1.2."""

from r1ray.algorithms.advantages import normalize_in_group
from r1ray.algorithms.estimators.base import Advantages, Scored
from r1ray.algorithms.masked import AllReduce, masked_whiten, one_rank
from r1ray.config.ppo import PPOConfig


def estimate(batch: Scored, config: PPOConfig, all_reduce: AllReduce = one_rank) -> Advantages:
    """Every token's advantage is its rollout's return, relative to its group: (R_i − mean) / std.

    Without `std_normalize` the std is left out (Dr. GRPO, arXiv 2503.20783). A flat group and a rollout alone get 0.
    The return sums all token rewards, so many mediocre steps can outweigh a right answer unless their total is bounded:
    with a process reward model take `grpo_process`, or `reward.step_placement` `min` or `mean`. `whiten` scales by the
    batch's root mean square without moving the mean, which the group has set.
    """
    relative = normalize_in_group(batch.returns, batch.group, divide=config.std_normalize)
    advantages = relative[:, None] * batch.action_mask
    if config.whiten:
        advantages = masked_whiten(advantages, batch.action_mask, center=False, all_reduce=all_reduce)
    return Advantages(advantages=advantages, returns=None)
