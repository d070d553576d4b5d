"""Advantage estimators behind one interface: each a small file that cites its paper."""

from r1ray.algorithms.estimators import grpo, grpo_process, ppo, reinforce_pp, rloo
from r1ray.algorithms.estimators.base import Advantages, Estimator, Scored

ESTIMATORS: dict[str, Estimator] = {
    "ppo": ppo.estimate,
    "grpo": grpo.estimate,
    "grpo_process": grpo_process.estimate,
    "rloo": rloo.estimate,
    "reinforce_pp": reinforce_pp.estimate,
}
"""By `PPOConfig.algorithm`."""

__all__ = ["ESTIMATORS", "Advantages", "Estimator", "Scored"]
