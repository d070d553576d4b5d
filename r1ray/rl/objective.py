"""PPO's objective on one micro-batch: policy, value, entropy and KL terms, and the figures that go with them."""

import math

import torch
from torch import Tensor

from r1ray.algorithms.experience import Experience
from r1ray.algorithms.losses import entropy_bonus, importance_weights, kl_loss, policy_loss, value_loss
from r1ray.algorithms.packing import PackedBatch, gather
from r1ray.config.ppo import PPOConfig
from r1ray.metrics.reductions import Max, Mean, Metric
from r1ray.models.policy import PolicyOutput


def objective(
    experience: Experience,
    packed: PackedBatch,
    output: PolicyOutput,
    denominator: Tensor,
    config: PPOConfig,
    kl_coef: float,
) -> tuple[Tensor, dict[str, Metric]]:
    """The loss of a micro-batch's N tokens, and its figures as means over them.

    Args:
        experience: with advantages. Without `policy_logprobs` the output's own are π_old: right for the first update.
        packed: the micro-batch, whose `sequence` points into `experience`.
        output: the network's on `packed`, with its graph.
        denominator: of the whole optimizer step, from `global_count`.
        config: clipping, and the weights of the terms.
        kl_coef: β, used under `kl_in_loss`.
    """
    assert experience.advantages is not None
    policy, tokens = output.logprobs, len(output.logprobs)
    known = experience.policy_logprobs
    old = policy.detach() if known is None else gather(known, packed)
    mask = torch.ones_like(policy, dtype=torch.bool)  # every token that lies here is an action token
    weights = None
    if config.importance_cap:
        weights = importance_weights(old, gather(experience.rollout_logprobs, packed), config.importance_cap)
    loss, seen = policy_loss(
        policy, old, gather(experience.advantages, packed), mask, config, denominator, importance_weights=weights
    )

    def mean(total: Tensor) -> Mean:
        return Mean(float(total) / tokens if tokens else math.nan, tokens)

    metrics: dict[str, Metric] = {
        "ppo/policy_loss": mean(loss.detach() * denominator),
        "ppo/policy_kl": mean(seen.policy_kl),
        "ppo/clip_fraction": mean(seen.clipped),
        "ppo/ratio_deviation": Max(float(seen.ratio_deviation)),
        "ppo/entropy": mean(output.entropy.detach().sum()),
    }
    if config.ent_coef:
        loss = loss - config.ent_coef * entropy_bonus(output.entropy, mask, denominator)
    if experience.values is not None and experience.returns is not None and output.values is not None:
        before, target = gather(experience.values, packed), gather(experience.returns, packed)
        value = value_loss(output.values, before, target, mask, config.value_clip, denominator)
        metrics["ppo/value_loss"] = mean(value.detach() * denominator)
        loss = loss + config.vf_coef * value
    if config.kl_in_loss and experience.ref_logprobs is not None:
        loss = loss + kl_coef * kl_loss(policy, gather(experience.ref_logprobs, packed), mask, denominator)
    return loss, metrics
