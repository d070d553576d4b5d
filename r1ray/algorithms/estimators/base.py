"""What every estimator takes and gives back."""

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from r1ray.algorithms.experience import Experience
from r1ray.algorithms.masked import AllReduce, masked_sum
from r1ray.algorithms.step_rewards import kl_rewards, place_steps, token_rewards
from r1ray.config.ppo import PPOConfig
from r1ray.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """Rewards of B rollouts, and the critic's view of them. Groups are whole: none is split over ranks."""

    token_rewards: Float[Tensor, "B T"]
    """All that was earned, each reward on its token: steps, outcome, −β KL."""
    action_mask: Bool[Tensor, "B T"]
    group: Int[Tensor, " B"]
    step_rewards: Float[Tensor, "B S"]
    """The part of `token_rewards` that belongs to steps (0 under an aggregate placement)."""
    step_ends: Int[Tensor, "B S"]
    step_mask: Bool[Tensor, "B S"]
    values: Float[Tensor, "B T"] | None
    """Critic's value before each token; None without a critic."""
    bootstrap: Float[Tensor, " B"]
    """V(s_T) of truncated rollouts, 0 of finished ones and without a critic."""

    @classmethod
    def from_experience(cls, experience: Experience, *, placement: str, kl_coef: float = 0.0) -> "Scored":
        """Rewards of an experience: steps by `placement` (`RewardConfig.step_placement`), outcome, and −`kl_coef` · KL.

        A truncated rollout is bootstrapped with its tail value, a finished one with 0. Pass `kl_coef` 0 where the KL is
        in the loss (`PPOConfig.kl_in_loss`). Raises `ConfigError` for a KL without both policy and reference log-probs,
        `DataError` for a critic without tail values.
        """
        step_rewards, aggregate = place_steps(experience.step_scores, experience.step_mask, placement)
        rewards = token_rewards(
            step_rewards,
            experience.step_ends,
            experience.step_mask,
            experience.outcome + aggregate,
            experience.action_mask,
        )
        if kl_coef:
            if experience.policy_logprobs is None or experience.ref_logprobs is None:
                raise ConfigError(
                    "ppo.kl_coef is not 0 and the experience lacks policy_logprobs or ref_logprobs; fill both before "
                    "scoring, or set ppo.kl_coef to 0."
                )
            rewards += kl_rewards(experience.policy_logprobs, experience.ref_logprobs, experience.action_mask, kl_coef)
        if experience.values is not None and experience.tail_values is None and experience.truncated.any():
            raise DataError(
                "the experience has values and truncated rollouts but no tail_values; truncated rollouts are "
                "bootstrapped with V(s_T): fill tail_values from the critic at `PackedBatch.tails`."
            )
        tails = torch.zeros_like(experience.outcome) if experience.tail_values is None else experience.tail_values
        return cls(
            token_rewards=rewards,
            action_mask=experience.action_mask,
            group=experience.group,
            step_rewards=step_rewards,
            step_ends=experience.step_ends,
            step_mask=experience.step_mask,
            values=experience.values,
            bootstrap=torch.where(experience.truncated, tails, 0.0),
        )

    @property
    def returns(self) -> Float[Tensor, " B"]:
        """Undiscounted return of each rollout."""
        return masked_sum(self.token_rewards, self.action_mask, dim=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Advantages:
    """An estimator's answer, 0 where action_mask = 0."""

    advantages: Float[Tensor, "B T"]
    returns: Float[Tensor, "B T"] | None
    """Targets of the value loss, taken before whitening; None for critic-free estimators."""


class Estimator(Protocol):
    """Rewards and values in, advantages out. `all_reduce` lets whitening see every rank; every rank must call."""

    def __call__(self, batch: Scored, config: PPOConfig, all_reduce: AllReduce = ...) -> Advantages: ...
