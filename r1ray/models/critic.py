"""A value model of its own: PPO's critic where it does not share the policy's trunk."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AutoModel

from r1ray.algorithms.packing import PackedBatch
from r1ray.config.policy import CriticConfig, PolicyConfig
from r1ray.models.loading import add_lora, load_network, resolve_model
from r1ray.models.packed_attention import use_packed_attention
from r1ray.models.trunk import base_model, find_trunk, run_trunk
from r1ray.models.value_head import ValueHead


class CriticOutput(NamedTuple):
    """Values of N sampled tokens and of the K positions after a truncated response."""

    values: Float[Tensor, " N"]
    """Value before each target."""
    tail_values: Float[Tensor, " K"]
    """Value after the last token of each response."""


class Critic(nn.Module):
    """A trunk without a language-model head, and a value head."""

    def __init__(self, trunk: nn.Module, value_head: ValueHead) -> None:
        super().__init__()
        use_packed_attention(base_model(trunk))
        self.trunk = trunk
        self.value_head = value_head

    def forward(self, packed: PackedBatch) -> CriticOutput:
        """Values of a packed batch: L tokens, with N predictor positions and K tails."""
        hidden = run_trunk(find_trunk(self.trunk), packed)
        both = self.value_head(hidden.index_select(0, torch.cat([packed.predictors, packed.tails])))
        values, tail_values = both.split([len(packed.predictors), len(packed.tails)])
        return CriticOutput(values=values, tail_values=tail_values)


def load_critic(config: CriticConfig, policy: PolicyConfig) -> Critic:
    """A critic that starts from `config.path`, or from the policy's own weights, in the policy's type.

    Raises:
        ModelError: there is no model at the path.
    """
    folder = resolve_model(config.path or policy.path)
    trunk = load_network(AutoModel, folder, dtype=policy.dtype, gradient_checkpointing=policy.gradient_checkpointing)
    hidden_size = trunk.config.hidden_size
    return Critic(add_lora(trunk, config.lora, task=None), ValueHead(hidden_size))
