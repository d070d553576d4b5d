"""Schedules and optimizer groups."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from r1ray.config.optim import OptimConfig
from r1ray.train.engine import adamw, learning_rate, parameter_groups


def schedule(total: int, **settings: object) -> list[float]:
    config = OptimConfig(**settings)  # type: ignore[arg-type]
    return [learning_rate(config, step, total) for step in range(total)]


def test_the_schedules_by_hand() -> None:
    assert schedule(3) == [1.0, 1.0, 1.0]
    # Warm-up reaches the peak with its last step; what follows spans the other four steps.
    assert schedule(6, warmup=2, schedule="linear") == [1 / 2, 1.0, 1.0, 3 / 4, 2 / 4, 1 / 4]
    # Half a cosine: cos 0 = 1, cos 45° = 0.7071, cos 90° = 0, cos 135° = -0.7071, each (1 + c) / 2.
    assert schedule(4, schedule="cosine") == pytest.approx([1.0, 0.853553, 0.5, 0.146447], abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(["constant", "linear", "cosine"]), st.integers(0, 8), st.integers(1, 20))
def test_every_step_learns_and_none_exceeds_the_peak(name: str, warmup: int, total: int) -> None:
    factors = schedule(total, schedule=name, warmup=warmup)
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[warmup:] == sorted(factors[warmup:], reverse=True)


def network() -> nn.Module:
    network = nn.ModuleDict({"trunk": nn.Linear(3, 4), "frozen": nn.Linear(4, 4), "value_head": nn.Linear(4, 1)})
    network["frozen"].requires_grad_(False)
    return network


def test_matrices_decay_and_the_value_head_has_a_rate_of_its_own() -> None:
    module = network()
    groups = parameter_groups(module, OptimConfig(lr=1e-4, weight_decay=0.1), head_lr=1e-2)
    found = {id(parameter): (group["lr"], group["weight_decay"]) for group in groups for parameter in group["params"]}
    assert found == {
        id(module["trunk"].weight): (1e-4, 0.1),  # type: ignore[index]
        id(module["trunk"].bias): (1e-4, 0.0),  # type: ignore[index]
        id(module["value_head"].weight): (1e-2, 0.1),  # type: ignore[index]
        id(module["value_head"].bias): (1e-2, 0.0),  # type: ignore[index]
    }


def test_without_a_rate_of_its_own_the_head_learns_like_the_rest() -> None:
    config = OptimConfig(lr=1e-4)
    optimizer = adamw(parameter_groups(network(), config), config)
    assert {group["lr"] for group in optimizer.param_groups} == {1e-4}
    assert {group["peak_lr"] for group in optimizer.param_groups} == {1e-4}
    assert isinstance(optimizer, torch.optim.AdamW)
