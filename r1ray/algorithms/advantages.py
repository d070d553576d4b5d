"""How much better than expected each action was: generalised advantage estimation, and baselines from a group."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from r1ray.algorithms.masked import masked_var

FLAT = 1e-6
"""A group whose scores have no larger standard deviation is flat: rounding must not tell its rollouts apart."""


def gae(
    rewards: Float[Tensor, "B T"],
    values: Float[Tensor, "B T"],
    action_mask: Bool[Tensor, "B T"],
    *,
    gamma: float,
    lam: float,
    bootstrap: Float[Tensor, " B"],
) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B T"]]:
    """Advantages and returns (advantage + value: the critic's targets), 0 where action_mask = 0.

    δ_t = r_t + γ V_next − V_t and A_t = δ_t + γλ A_next over action tokens alone: masked tokens, in the middle of a row
    as well, carry V_next and A_next on unchanged, and one discount is one action. After the last action stands
    `bootstrap`: V(s_T) of a truncated rollout, 0 of a finished one. Schulman et al., arXiv 1506.02438, equations 11 to
    16.
    """
    rewards = torch.where(action_mask, rewards, 0.0).float()
    values = torch.where(action_mask, values, 0.0).float()
    next_value, next_advantage = bootstrap.float(), torch.zeros_like(bootstrap, dtype=torch.float32)
    advantages = torch.zeros_like(rewards)
    for t in reversed(range(rewards.shape[1])):
        acts = action_mask[:, t]
        advantage = rewards[:, t] + gamma * next_value - values[:, t] + gamma * lam * next_advantage
        next_advantage = torch.where(acts, advantage, next_advantage)
        next_value = torch.where(acts, values[:, t], next_value)
        advantages[:, t] = torch.where(acts, advantage, 0.0)
    return advantages, advantages + values


def rewards_to_go(
    rewards: Float[Tensor, "B T"], action_mask: Bool[Tensor, "B T"], *, gamma: float = 1.0
) -> Float[Tensor, "B T"]:
    """Discounted sum of the rewards from each action token on, 0 where action_mask = 0."""
    nothing = torch.zeros_like(rewards)
    return gae(rewards, nothing, action_mask, gamma=gamma, lam=1.0, bootstrap=nothing.new_zeros(len(rewards)))[0]


def group_statistics(
    scores: Float[Tensor, " B"], group: Int[Tensor, " B"]
) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"], Float[Tensor, " B"]]:
    """Mean, population standard deviation and size of each score's group, per rollout (float64).

    Exact enough that equal float32 scores have a standard deviation of exactly 0.
    """
    _, member = torch.unique(group, return_inverse=True)
    wide = scores.double()

    def group_sum(x: Tensor) -> Tensor:
        return x.new_zeros(len(x)).index_add(0, member, x)[member]

    size = group_sum(torch.ones_like(wide))
    mean = group_sum(wide) / size
    return mean, (group_sum((wide - mean).square()) / size).sqrt(), size


def normalize_in_group(
    scores: Float[Tensor, " B"], group: Int[Tensor, " B"], *, divide: bool = True
) -> Float[Tensor, " B"]:
    """(score − group mean) / group standard deviation, or the difference alone without `divide`; 0 in a flat group."""
    mean, deviation, _ = group_statistics(scores, group)
    relative = scores - mean
    if divide:
        relative = relative / deviation.clamp(min=FLAT)
    return torch.where(deviation > FLAT, relative, 0.0).to(scores.dtype)


def leave_one_out(
    scores: Float[Tensor, " B"], group: Int[Tensor, " B"]
) -> tuple[Float[Tensor, " B"], Bool[Tensor, " B"]]:
    """Mean score of the *others* in the group, which the rollout's own actions cannot move; 0 and False if alone."""
    mean, _, size = group_statistics(scores, group)
    compared = size > 1
    others = (mean * size - scores) / (size - 1).clamp(min=1)
    return torch.where(compared, others, 0.0).to(scores.dtype), compared


def flat_groups(scores: Float[Tensor, " B"], group: Int[Tensor, " B"]) -> Bool[Tensor, " B"]:
    """True on rollouts whose group scored all the same: under a group baseline they teach nothing."""
    return group_statistics(scores, group)[1] <= FLAT


def explained_variance(
    values: Float[Tensor, "B T"], returns: Float[Tensor, "B T"], action_mask: Bool[Tensor, "B T"]
) -> Float[Tensor, ""]:
    """1 − Var(R − V) / Var(R): 1 = the critic knows the returns, 0 = a constant would do as well (or R is one)."""
    spread = masked_var(returns, action_mask)
    return torch.where(spread > 0, 1 - masked_var(returns - values, action_mask) / spread, 0.0)
