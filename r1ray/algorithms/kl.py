"""How far the policy is from the reference: estimators from sampled tokens, and the coefficient that keeps it near.

Estimators (Schulman, "Approximating KL divergence", joschu.net/blog/kl-approx.html), of KL(policy ‖ reference) where
tokens are sampled from the policy and d = log policy − log reference:

    k1 = d                unbiased; for the reward, where no gradient flows
    k2 = d² / 2           biased value, but its gradient is the KL's own on policy: for the loss
    k3 = exp(−d) − 1 + d  unbiased, never negative, small variance: for the log
"""

import torch
from jaxtyping import Float
from torch import Tensor

from r1ray.config.ppo import PPOConfig


def k1(policy_logprobs: Float[Tensor, "*shape"], ref_logprobs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """d."""
    return policy_logprobs - ref_logprobs


def k2(policy_logprobs: Float[Tensor, "*shape"], ref_logprobs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """d² / 2."""
    return 0.5 * (policy_logprobs - ref_logprobs).square()


def k3(policy_logprobs: Float[Tensor, "*shape"], ref_logprobs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """exp(−d) − 1 + d."""
    difference = ref_logprobs - policy_logprobs
    return torch.expm1(difference) - difference


class FixedKL:
    """The coefficient β of the KL penalty, `value`, when it never changes."""

    def __init__(self, value: float) -> None:
        self.value = value

    def update(self, kl: float, n: int) -> None:
        """Take note that `n` more rollouts were `kl` nats each away from the reference, on average."""

    def state_dict(self) -> dict[str, float]:
        """β, for the checkpoint."""
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on with the β of a checkpoint."""
        self.value = state["value"]


class AdaptiveKL(FixedKL):
    """β moves so that the KL per rollout approaches `target`: β ← β (1 + e n / horizon), e = clip(KL / target − 1,
    ±0.2).

    Ziegler et al., arXiv 1909.08593 section 2.2.
    """

    def __init__(self, value: float, *, target: float, horizon: int) -> None:
        super().__init__(value)
        self.target = target
        self.horizon = horizon

    def update(self, kl: float, n: int) -> None:
        """One proportional step for `n` more rollouts that were `kl` nats each away from the reference, on average."""
        error = min(max(kl / self.target - 1, -0.2), 0.2)
        self.value *= 1 + error * n / self.horizon


def kl_controller(config: PPOConfig) -> FixedKL:
    """The controller that `kl_coef`, `kl_target` and `kl_horizon` ask for."""
    if config.kl_target > 0:
        return AdaptiveKL(config.kl_coef, target=config.kl_target, horizon=config.kl_horizon)
    return FixedKL(config.kl_coef)
