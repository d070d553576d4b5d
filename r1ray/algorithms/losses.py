"""The losses of the learner, each a sum over masked tokens divided by one global count.

The count is the caller's to give, from `global_count`: of the whole optimizer step, over all ranks and micro-batches.
So a loss and its gradient do not depend on how the tokens are cut up. Every function takes tensors of any one shape,
(B, T) or a flat (N,), and what lies under mask = 0 changes nothing.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from r1ray.algorithms.kl import k2, k3
from r1ray.algorithms.masked import AllReduce, masked_sum, one_rank
from r1ray.config.ppo import PPOConfig

MAX_LOG_RATIO = 20.0
"""Log-ratios are kept within ±this: e²⁰ stays finite, and is far outside every clip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyDiagnostics:
    """What the clipped loss saw, detached. Sums over tokens, but for the last."""

    tokens: Float[Tensor, ""]
    """Number of action tokens."""
    policy_kl: Float[Tensor, ""]
    """Sum of k3 of old against new policy: how far this update has moved, in nats."""
    clipped: Float[Tensor, ""]
    """Number of tokens whose gradient a clip has set to 0."""
    ratio_deviation: Float[Tensor, ""]
    """Largest |ratio − 1|: take the maximum. 0, but for rounding, at the first inner step."""

    def merge(self, other: "PolicyDiagnostics") -> "PolicyDiagnostics":
        """Those of both parts together."""
        return PolicyDiagnostics(
            tokens=self.tokens + other.tokens,
            policy_kl=self.policy_kl + other.policy_kl,
            clipped=self.clipped + other.clipped,
            ratio_deviation=torch.maximum(self.ratio_deviation, other.ratio_deviation),
        )


def global_count(
    mask: Bool[Tensor, "*shape"], *, all_reduce: AllReduce = one_rank, averaged_over: int = 1
) -> Float[Tensor, ""]:
    """The denominator of every loss of one optimizer step, from the mask of this rank's whole share of it.

    `averaged_over` is the number of ranks where the engine *averages* gradients over ranks (DDP, DeepSpeed): each
    rank's loss is then divided by count / ranks, and the average is the sum over all tokens divided by their count.
    """
    return all_reduce(mask.sum().float()).clamp(min=1) / averaged_over


def policy_loss(
    policy_logprobs: Float[Tensor, "*shape"],
    old_logprobs: Float[Tensor, "*shape"],
    advantages: Float[Tensor, "*shape"],
    mask: Bool[Tensor, "*shape"],
    config: PPOConfig,
    denominator: Float[Tensor, ""] | float,
    importance_weights: Float[Tensor, "*shape"] | None = None,
) -> tuple[Float[Tensor, ""], PolicyDiagnostics]:
    """PPO's clipped surrogate, −Σ w · min(ρA, clip(ρ, 1 − ε, 1 + ε_high) A) / denominator (arXiv 1707.06347 equation
    7).

    ε_high may exceed ε (clip-higher, DAPO, arXiv 2503.14476 section 3.1). With `dual_clip` c, where A < 0 the objective
    is no less than cA (arXiv 1912.09729). `importance_weights` w, taken as constants, correct for rollouts that another
    policy sampled.
    """
    log_ratio = torch.where(mask, policy_logprobs - old_logprobs.detach(), 0.0).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    advantages = torch.where(mask, advantages, 0.0)
    ratio = log_ratio.exp()
    objective = torch.min(
        ratio * advantages,
        ratio.clamp(1 - config.clip_eps, 1 + (config.clip_eps_high or config.clip_eps)) * advantages,
    )
    if config.dual_clip:
        objective = torch.where(advantages < 0, torch.max(objective, config.dual_clip * advantages), objective)
    # Where mask = 0 the objective is 0 by now, but a weight may be nan.
    weighted = (
        objective if importance_weights is None else objective * torch.where(mask, importance_weights.detach(), 0.0)
    )
    loss = -weighted.sum() / denominator
    return loss, _diagnostics(log_ratio.detach(), ratio.detach(), advantages, objective.detach(), mask)


def importance_weights(
    old_logprobs: Float[Tensor, "*shape"], rollout_logprobs: Float[Tensor, "*shape"], cap: float
) -> Float[Tensor, "*shape"]:
    """min(π_old / π_rollout, cap), without gradient: truncated importance sampling (Ionides 2008).

    The trainer's π_old and the policy that sampled differ by staleness and by arithmetic; no token counts for more than
    `cap`.
    """
    return (old_logprobs - rollout_logprobs).detach().clamp(max=MAX_LOG_RATIO).exp().clamp(max=cap)


def value_loss(
    values: Float[Tensor, "*shape"],
    old_values: Float[Tensor, "*shape"],
    returns: Float[Tensor, "*shape"],
    mask: Bool[Tensor, "*shape"],
    value_clip: float,
    denominator: Float[Tensor, ""] | float,
) -> Float[Tensor, ""]:
    """½ Σ max((V − R)², (clip(V, V_old ± ε) − R)²) / denominator; `value_clip` 0 = no clip (arXiv 2403.17031)."""
    values, old_values, returns = (torch.where(mask, x, 0.0) for x in (values, old_values.detach(), returns.detach()))
    error = (values - returns).square()
    if value_clip:
        near = old_values + (values - old_values).clamp(-value_clip, value_clip)
        error = torch.max(error, (near - returns).square())
    return 0.5 * error.sum() / denominator


def entropy_bonus(
    entropy: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"], denominator: Float[Tensor, ""] | float
) -> Float[Tensor, ""]:
    """Mean entropy, in nats: subtract `ent_coef` times it from the loss."""
    return masked_sum(entropy, mask) / denominator


def kl_loss(
    policy_logprobs: Float[Tensor, "*shape"],
    ref_logprobs: Float[Tensor, "*shape"],
    mask: Bool[Tensor, "*shape"],
    denominator: Float[Tensor, ""] | float,
) -> Float[Tensor, ""]:
    """Σ k2 / denominator: its gradient, on policy, is that of KL(policy ‖ reference). For `kl_in_loss`."""
    policy_logprobs, ref_logprobs = (torch.where(mask, x, 0.0) for x in (policy_logprobs, ref_logprobs.detach()))
    return k2(policy_logprobs, ref_logprobs).sum() / denominator


def nll_loss(
    logprobs: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"], denominator: Float[Tensor, ""] | float
) -> Float[Tensor, ""]:
    """Negative log-likelihood per token: supervised training."""
    return -masked_sum(logprobs, mask) / denominator


def _diagnostics(
    log_ratio: Tensor, ratio: Tensor, advantages: Tensor, objective: Tensor, mask: Tensor
) -> PolicyDiagnostics:
    return PolicyDiagnostics(
        tokens=mask.sum().float(),
        policy_kl=k3(torch.zeros_like(log_ratio), log_ratio).sum(),
        clipped=(mask & (objective != ratio * advantages)).sum().float(),
        ratio_deviation=(ratio - 1).abs().max() if ratio.numel() else ratio.new_zeros(()),
    )
