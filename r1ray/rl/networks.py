"""The networks that PPO trains and measures itself against, as one module for one engine."""

from typing import Any

from torch import nn

from r1ray.algorithms.packing import PackedBatch
from r1ray.config.jobs import PPOJobConfig
from r1ray.config.policy import PolicyConfig
from r1ray.models.critic import Critic, load_critic
from r1ray.models.loading import load_policy
from r1ray.models.policy import Policy, PolicyOutput
from r1ray.models.value_head import ValueHead


class ActorCritic(nn.Module):
    """Policy and critic behind one forward pass, whether they share a trunk or not: one engine, one backward, one step."""

    def __init__(self, policy: Policy, critic: Critic | None = None) -> None:
        super().__init__()
        self.policy = policy
        self.critic = critic

    def forward(self, packed: PackedBatch, **options: Any) -> PolicyOutput:
        """Log-probs and entropy from the policy (`Policy.forward` has the options), values from its head or the critic."""
        output: PolicyOutput = self.policy(packed, **options)
        if self.critic is None:
            return output
        judged = self.critic(packed)
        return output._replace(values=judged.values, tail_values=judged.tail_values)


def build_actor_critic(config: PPOJobConfig, start: str) -> ActorCritic:
    """Networks whose weights come from the model at `start`, with the critic that the configuration asks for."""
    policy_config = _at(config.policy, start)
    model, _ = load_policy(policy_config)
    head = None
    if config.critic.kind == "head":
        head = ValueHead(model.config.hidden_size, trunk_gradient=config.critic.trunk_gradient)
    critic = load_critic(config.critic, policy_config) if config.critic.kind == "model" else None
    return ActorCritic(Policy(model, head), critic)


def build_reference(config: PPOJobConfig, start: str) -> Policy | None:
    """The frozen policy at `start` that the KL is measured against; None where no coefficient asks for it."""
    if config.ppo.kl_coef == 0:
        return None
    model, _ = load_policy(PolicyConfig(path=start, dtype=config.policy.dtype))
    return Policy(model).requires_grad_(False).eval()


def _at(config: PolicyConfig, start: str) -> PolicyConfig:
    return PolicyConfig(
        path=start, dtype=config.dtype, gradient_checkpointing=config.gradient_checkpointing, lora=config.lora
    )
