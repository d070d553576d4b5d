"""Schedules by hand and beside transformers' own."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
    get_wsd_schedule,
)

from r1ray.algorithms.schedules import SCHEDULES, schedule_factor
from r1ray.config.optim import OptimConfig
from r1ray.errors import ConfigError
from r1ray.train.engine import learning_rate


def theirs(make: Callable[..., Any], **arguments: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make(optimizer, **arguments)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize(
    ("name", "make", "arguments"),
    [
        ("cosine", get_cosine_schedule_with_warmup, {"num_training_steps": 20}),
        ("linear", get_linear_schedule_with_warmup, {"num_training_steps": 20}),
        ("wsd", get_wsd_schedule, {"num_decay_steps": 5, "num_training_steps": 20, "decay_type": "linear"}),
    ],
)
def test_after_the_warm_up_it_is_transformers_schedule(
    name: str, make: Callable[..., Any], arguments: dict[str, Any]
) -> None:
    ours = [schedule_factor(name, step, 20, warmup=4, decay_fraction=0.25) for step in range(20)]
    expected = theirs(make, num_warmup_steps=4, **arguments)
    assert ours[4:] == pytest.approx(expected[4:])
    assert ours[:4] == [0.25, 0.5, 0.75, 1.0]  # theirs begins with a step at rate 0


def test_wsd_is_flat_and_then_falls_in_a_line() -> None:
    factors = [schedule_factor("wsd", step, 10, decay_fraction=0.4, floor=0.2) for step in range(11)]
    # 6 steps at 1, then 1 − 0.8 · k/4
    assert factors == pytest.approx([1, 1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])


@pytest.mark.parametrize("name", ["constant", "linear", "cosine"])
def test_it_is_the_schedule_that_engines_have(name: str) -> None:
    config = OptimConfig(schedule=name, warmup=3)
    for step in range(14):
        assert schedule_factor(name, step, 12, warmup=3) == pytest.approx(learning_rate(config, step, 12))


@given(st.sampled_from(SCHEDULES), st.integers(1, 50), st.integers(0, 60), st.floats(0, 1), st.floats(0, 1))
def test_it_never_rises_after_the_warm_up_nor_leaves_its_range(
    name: str, total: int, warmup: int, decay: float, floor: float
) -> None:
    factors = [
        schedule_factor(name, step, total, warmup=warmup, decay_fraction=decay, floor=floor)
        for step in range(warmup, total + 5)
    ]
    assert all(low <= high + 1e-12 for high, low in pairwise(factors))
    assert all(floor - 1e-12 <= factor <= 1 for factor in factors)


def test_an_unknown_schedule_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="polynomial"):
        schedule_factor("polynomial", 1, 2)
