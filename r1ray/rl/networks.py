"""The networks that PPO trains and measures itself against, as one module for one engine."""

from dataclasses import replace
from typing import Any

from torch import nn

from r1ray.algorithms.packing import PackedBatch
from r1ray.config.jobs import PPOJobConfig
from r1ray.config.policy import LoraConfig, PolicyConfig
from r1ray.models.critic import Critic, load_critic
from r1ray.models.loading import load_policy
from r1ray.models.policy import Policy, PolicyOutput
from r1ray.models.trunk import base_model
from r1ray.models.value_head import ValueHead


class ActorCritic(nn.Module):
    """Policy and critic behind one forward pass, whether they share a trunk or not: one engine, one backward, one
    step."""

    def __init__(self, policy: Policy, critic: Critic | None = None) -> None:
        super().__init__()
        self.policy = policy
        self.critic = critic

    def forward(self, packed: PackedBatch, **options: Any) -> PolicyOutput:
        """Log-probs and entropy from the policy (`Policy.forward` has the options), values from its head or the
        critic."""
        output: PolicyOutput = self.policy(packed, **options)
        if self.critic is None:
            return output
        judged = self.critic(packed)
        return output._replace(values=judged.values, tail_values=judged.tail_values)


def build_actor_critic(config: PPOJobConfig, start: str) -> ActorCritic:
    """Networks whose weights come from the model at `start`, with the critic that the configuration asks for.

    Only `ppo` gets a critic: the other algorithms would compute its values for nothing. Adapters get no dropout:
    sampled and trained log-probs must agree.
    """
    policy = replace(config.policy, path=start, lora=_still(config.policy.lora))
    critic = replace(config.critic, lora=_still(config.critic.lora))
    kind = critic.kind if config.ppo.algorithm == "ppo" else "none"
    model, _ = load_policy(policy)
    head = None
    if kind == "head":
        width: int = base_model(model).config.hidden_size
        head = ValueHead(width, trunk_gradient=critic.trunk_gradient)
    return ActorCritic(Policy(model, head), load_critic(critic, policy) if kind == "model" else None)


def build_reference(config: PPOJobConfig, start: str) -> Policy | None:
    """The frozen policy at `start` that the KL is measured against; None where nothing asks for it."""
    if not config.ppo.needs_reference:
        return None
    model, _ = load_policy(PolicyConfig(path=start, dtype=config.policy.dtype))
    return Policy(model).requires_grad_(False).eval()


def _still(lora: LoraConfig) -> LoraConfig:
    return replace(lora, dropout=0.0)
