"""What a search space is, how it is written, and what it refuses before anything starts."""

import dataclasses
import math
from typing import Any

import pytest

from r1ray.config.jobs import PPOJobConfig
from r1ray.config.tune import DEFAULT_SPACES, TuneConfig
from r1ray.errors import ConfigError
from r1ray.tune.ranges import Choice, choice, integer, uniform
from r1ray.tune.space import SearchSpace, nested


def test_the_size_is_the_product_of_the_levels() -> None:
    assert SearchSpace({"a": integer(1, 4), "b": choice("x", "y", "z")}).size == 12
    assert math.isinf(SearchSpace({"a": integer(1, 4), "b": uniform(0, 1)}).size)


def test_the_surrogate_is_told_which_coordinates_belong_together() -> None:
    space = SearchSpace({"a": uniform(0, 1), "b": choice("x", "y", "z"), "c": integer(1, 3)})
    assert space.groups.tolist() == [0, 1, 1, 1, 2]
    assert space.continuous.tolist() == [True, False, False, False, False]


def test_a_trial_changes_the_settings_it_names_and_no_other() -> None:
    config = SearchSpace.apply(PPOJobConfig(), {"optim.lr": 3e-5, "ppo.epochs": 2})
    assert (config.optim.lr, config.ppo.epochs) == (3e-5, 2)
    assert config.reward == PPOJobConfig().reward


def test_dotted_paths_become_the_tree_of_a_configuration_file() -> None:
    assert nested({"optim.lr": 1, "optim.warmup": 2, "seed": 3}) == {"optim": {"lr": 1, "warmup": 2}, "seed": 3}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("optim.learning_rate=log(1e-6, 1e-4)", "not a setting"),
        ("optim.lrr=log(1e-6, 1e-4)", "optim.lr"),
        ("ppo=int(1, 4)", "group of settings"),
        ("ppo.epochs=uniform(1, 4)", "whole number"),
        ("ppo.epochs=int(0, 4)", "at least 1"),
        ("ppo.algorithm=choice(ppo, dqn)", "dqn"),
        ("ppo.whiten=int(0, 1)", "expected bool"),
        ("optim.lr=choice(1e-5, fast)", "expected float"),
    ],
)
def test_a_range_that_the_configuration_cannot_take_is_refused_at_once(entry: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SearchSpace.parse([entry]).check(PPOJobConfig())


@pytest.mark.parametrize(
    "entry",
    [
        "optim.lr",
        "optim.lr=1e-5",
        "optim.lr=normal(0, 1)",
        "optim.lr=log(1e-6)",
        "optim.lr=log(low, high)",
        "optim.lr=log(0, 1)",
        "optim.lr=uniform(1, 0)",
        "optim.lr=uniform(0, inf)",
        "ppo.epochs=int(1.5, 3)",
        "ppo.epochs=quantised(0, 1, 2)",
        "ppo.algorithm=choice(ppo)",
        "ppo.algorithm=choice(ppo, ppo)",
    ],
)
def test_an_entry_that_is_no_range_is_refused(entry: str) -> None:
    with pytest.raises(ConfigError):
        SearchSpace.parse([entry])


@pytest.mark.parametrize("conditional", [lambda config: 1, {"adam": uniform(0, 1)}, [1, 2]])
def test_conditional_parameters_are_refused_by_name(conditional: Any) -> None:
    with pytest.raises(ConfigError, match=r"optim\.lr.*[Cc]onditional"):
        SearchSpace({"optim.lr": conditional})
    with pytest.raises(ConfigError, match="not supported"):
        Choice((conditional, "b"))  # type: ignore[arg-type]


def test_an_empty_space_and_a_setting_named_twice_are_refused() -> None:
    with pytest.raises(ConfigError, match="empty"):
        SearchSpace({})
    with pytest.raises(ConfigError, match="twice"):
        SearchSpace.parse(["a=uniform(0, 1)", "a=uniform(0, 2)"])


@pytest.mark.parametrize(
    "values",
    [{"a": 2.0, "b": "x"}, {"a": 0.5}, {"a": 0.5, "b": "z"}, {"a": True, "b": "x"}, {"a": 0.5, "b": "x", "c": 1}],
)
def test_a_point_outside_the_space_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SearchSpace({"a": uniform(0, 1), "b": choice("x", "y")}).encode(values)


def test_the_default_space_of_ppo_fits_its_configuration() -> None:
    space = SearchSpace.parse(DEFAULT_SPACES["ppo"])
    space.check(PPOJobConfig())
    assert {"reward.step_weight", "optim.lr"} <= space.ranges.keys()


def test_the_dropout_range_of_the_literature_fits_too() -> None:
    SearchSpace.parse(["policy.lora.dropout=uniform(0.1, 0.5)"]).check(PPOJobConfig())


@pytest.mark.parametrize(
    "change", [{"job": "dance"}, {"trials": 0}, {"mode": "most"}, {"space": ("optim.lr",)}, {"kl_weight": -1.0}]
)
def test_a_search_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        dataclasses.replace(TuneConfig(), **change)


def test_a_given_number_stays_what_it_is_to_the_last_bit() -> None:
    space = SearchSpace.parse(["optim.lr=log(1e-6, 1e-1)", "ppo.clip_eps=quantised(0.1, 0.3, 0.1)"])
    values = {"optim.lr": 1e-3, "ppo.clip_eps": 0.21}
    assert space.decode(space.encode(values))["optim.lr"] != 1e-3  # why this is worth a test
    assert space.canonical(values) == {"optim.lr": 1e-3, "ppo.clip_eps": 0.2}
    with pytest.raises(ConfigError, match=r"optim\.lr"):
        space.canonical(values | {"optim.lr": 1.0})
