"""The configuration decides which networks exist, and where they come from."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from r1ray.algorithms.packing import pack
from r1ray.config.policy import LoraConfig
from r1ray.rl.networks import build_actor_critic, build_reference
from tests.rl.helpers import job


@pytest.mark.parametrize(
    ("algorithm", "kind", "head", "model"),
    [
        ("ppo", "head", True, False),
        ("ppo", "model", False, True),
        ("rloo", "head", False, False),
        ("grpo", "model", False, False),
    ],
)
def test_only_ppo_gets_a_critic(algorithm: str, kind: str, head: bool, model: bool, tiny_policy: Path) -> None:
    module = build_actor_critic(job(tiny_policy, algorithm=algorithm, critic=kind), str(tiny_policy))
    assert (module.policy.value_head is not None, module.critic is not None) == (head, model)
    [packed] = pack([[1, 2]], [[3, 4, 5]], group=[0], max_tokens=100)
    output = module(packed)
    if head or model:  # an untrained critic expects nothing
        assert output.values.tolist() == [0.0] * 3
        assert output.tail_values.tolist() == [0.0]
    else:
        assert output.values is None and output.tail_values is None


def test_networks_come_from_where_ppo_starts_and_not_from_the_base_model(tiny_policy: Path) -> None:
    config = job(Path("no/such/model"), critic="model", kl_coef=0.1)
    module = build_actor_critic(config, str(tiny_policy))
    reference = build_reference(config, str(tiny_policy))
    assert module.critic is not None and reference is not None
    name = "layers.0.mlp.up_proj.weight"
    weights = [
        module.policy.model.get_parameter(f"model.{name}"),
        module.critic.trunk.get_parameter(name),
        reference.model.get_parameter(f"model.{name}"),
    ]
    assert torch.equal(weights[0], weights[1]) and torch.equal(weights[0], weights[2])
    assert [weight.requires_grad for weight in weights] == [True, True, False]
    assert not reference.training


def test_there_is_no_reference_unless_something_asks_for_it(tiny_policy: Path) -> None:
    assert build_reference(job(tiny_policy, kl_coef=0.0), str(tiny_policy)) is None
    assert build_reference(job(tiny_policy, measure_kl=True), str(tiny_policy)) is not None


def test_no_dropout_is_left_in_what_reinforcement_trains(tiny_policy: Path) -> None:
    config = job(tiny_policy)
    lora = LoraConfig(rank=2, dropout=0.5)
    config = replace(
        config,
        policy=replace(config.policy, lora=lora),
        critic=replace(config.critic, kind="model", lora=lora),
    )
    module = build_actor_critic(config, str(tiny_policy)).train()
    adapted = [name for name, _ in module.named_parameters() if "lora_A" in name]
    assert any(name.startswith("policy.") for name in adapted)
    assert any(name.startswith("critic.") for name in adapted)
    assert not any(isinstance(part, nn.Dropout) and part.p > 0 for part in module.modules())
