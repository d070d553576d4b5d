"""The adapted weight: where it goes for gains and losses, that it keeps its bounds, and that it resumes exactly."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from r1ray.config.reward import RewardConfig
from r1ray.errors import ConfigError
from r1ray.rl.step_weight import StepWeight


def make(weight: float = 0.3, **reward: Any) -> StepWeight:
    return StepWeight(RewardConfig(step_weight=weight, adaptive_weight=True, **reward), seed=0)


def drive(weight: StepWeight, gain: Callable[[float], float], times: int, accuracy: float = 0.0) -> list[float]:
    """The weights in use over so many intervals, of which each is worth `gain(weight)`."""
    used = []
    for _ in range(times):
        used.append(weight.value)
        accuracy += gain(weight.value)
        weight.observe(accuracy)
    return used


def test_the_first_observation_changes_nothing() -> None:
    weight = make()
    assert weight.observe(0.5)["ppo/step_weight"] == 0.3


def test_a_loss_rolls_back_to_the_last_weight_that_lost_nothing() -> None:
    weight = make()
    weight.observe(0.5)
    assert weight.observe(0.6)["ppo/step_weight_rolled_back"] == 0
    tried = weight.value
    assert tried != 0.3
    figures = weight.observe(0.55)
    assert figures["ppo/step_weight_rolled_back"] == 1
    assert figures["ppo/step_weight_gain"] == pytest.approx(-0.05)
    assert weight.value == 0.3


def test_a_loss_under_the_safe_weight_itself_tries_another() -> None:
    weight = make()
    weight.observe(0.5)
    weight.observe(0.4)
    assert weight.value != 0.3


def test_proposals_gather_where_gains_are_largest_and_stay_within_the_range() -> None:
    weight = make(0.1, adapt_range=(0.1, 0.9))
    weight.observe(0.0)
    used = drive(weight, lambda value: 0.05 - 0.1 * (value - 0.6) ** 2, 14)
    assert all(0.1 <= value <= 0.9 for value in used)
    assert all(abs(value - 0.6) < 0.15 for value in used[-3:])


def test_a_resumed_weight_makes_the_same_proposals() -> None:
    def gain(value: float) -> float:
        return 0.02 * math.sin(9 * value)

    undisturbed, first = make(), make()
    for weight in (undisturbed, first):
        weight.observe(0.0)
        drive(weight, gain, 6)
    resumed = make()
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert drive(resumed, gain, 5) == drive(undisturbed, gain, 5)


@pytest.mark.parametrize("reward", [{"adapt_range": (0.5, 0.5)}, {"adapt_range": (0.5, 1.0)}, {"adapt_every": 0}])
def test_a_range_that_is_none_or_leaves_out_the_start_is_refused(reward: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make(**reward)
