"""The search itself: its order, its memory, its failures and its parallel points."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest

from r1ray.config.tune import ACQUISITIONS, LIARS, SearcherConfig
from r1ray.errors import CheckpointError, ConfigError
from r1ray.tune.proposals import Proposals
from r1ray.tune.ranges import choice, integer, uniform
from r1ray.tune.space import SearchSpace
from tests.tune.functions import BOWL, MIXED, bowl, mixed, run


def test_given_points_come_first_then_spread_ones_then_guided_ones() -> None:
    proposals = Proposals(BOWL, SearcherConfig(initial_points=3), first=[{"x": 0.5, "y": 0.5}, {"x": 0.1, "y": 0.0}])
    guided = []
    asked = []
    for number in range(7):
        guided.append(proposals.guided)
        asked += run(proposals, bowl, 1)
        assert proposals.asked == number + 1
    assert asked[:2] == [{"x": 0.5, "y": 0.5}, {"x": 0.1, "y": 0.0}]
    assert guided == [False] * 5 + [True] * 2


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_every_acquisition_finds_the_bottom_of_a_bowl(acquisition: str) -> None:
    proposals = Proposals(BOWL, SearcherConfig(acquisition=acquisition))
    run(proposals, bowl, 18)
    assert proposals.best is not None
    assert proposals.best.result == max(bowl(o.values) for o in proposals.observations)
    assert proposals.best.result > -0.01  # a random point is 0.4 below on average


def test_integers_and_choices_are_found_together() -> None:
    proposals = Proposals(MIXED)
    run(proposals, mixed, 20)
    assert proposals.best is not None
    assert proposals.best.values["optimizer"] == "adam"
    assert proposals.best.values["layers"] == 5


def test_a_bowl_under_noise_is_found_and_its_noise_seen() -> None:
    noise = np.random.default_rng(0)
    proposals = Proposals(BOWL)
    run(proposals, lambda values: bowl(values) + 0.05 * noise.standard_normal(), 24)
    assert proposals.surrogate().noise == pytest.approx(0.05, rel=0.7)
    assert bowl(run(proposals, bowl, 1)[0]) > -0.1


def test_a_small_space_is_exhausted_before_anything_is_tried_again() -> None:
    space = SearchSpace({"a": integer(1, 4), "b": choice("x", "y", "z")})
    proposals = Proposals(space)
    asked = run(proposals, lambda values: values["a"], 16)
    guided = asked[5:]
    new = {tuple(values.values()) for values in asked}
    assert len(new) == 12
    repeats = len(asked[:5]) - len({tuple(values.values()) for values in asked[:5]})
    assert len({tuple(values.values()) for values in asked[: 12 + repeats]}) == 12
    assert len(guided) == 11


@pytest.mark.parametrize("interruption", [2, 5, 9])
def test_a_restored_search_continues_as_the_undisturbed_one(interruption: int) -> None:
    """With points still out at the interruption, through JSON, into an optimiser of another seed."""
    config = SearcherConfig(acquisition="ucb", exploration_decay=0.9)
    undisturbed = Proposals(MIXED, config, seed=3)
    for number in range(interruption):
        undisturbed.ask(f"{number}")
        if number % 3:  # every third stays out
            undisturbed.tell(f"{number}", mixed(undisturbed.pending[f"{number}"]) if number % 4 else None)
    restored = Proposals(MIXED, seed=99)
    restored.load_state_dict(json.loads(json.dumps(undisturbed.state_dict())))
    for number in range(interruption, interruption + 5):
        assert restored.ask(f"{number}") == undisturbed.ask(f"{number}")
        if number % 2:
            for proposals in (restored, undisturbed):
                proposals.tell(f"{number}", mixed(proposals.pending[f"{number}"]))
    assert restored.state_dict() == undisturbed.state_dict()


def test_domain_reduction_continues_exactly_too_and_narrows_the_box() -> None:
    config = SearcherConfig(shrink=True)
    undisturbed = Proposals(BOWL, config)
    run(undisturbed, bowl, 10)
    restored = Proposals(BOWL, config)
    restored.load_state_dict(json.loads(json.dumps(undisturbed.state_dict())))
    assert run(restored, bowl, 3) == run(undisturbed, bowl, 3)
    box = undisturbed._bounds()
    assert (box[:, 1] - box[:, 0] < 0.9).all()
    assert undisturbed.best is not None
    best = BOWL.encode(undisturbed.best.values)
    assert ((box[:, 0] <= best) & (best <= box[:, 1])).all()


def test_another_seed_is_another_search_and_the_same_seed_the_same() -> None:
    first, again, other = (run(Proposals(BOWL, seed=seed), bowl, 7) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("liar", LIARS)
def test_parallel_points_do_not_collapse(liar: str) -> None:
    proposals = Proposals(BOWL, SearcherConfig(liar=liar))
    run(proposals, bowl, 8)
    points = np.array([BOWL.encode(proposals.ask(f"parallel {k}")) for k in range(4)])
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)[np.triu_indices(4, 1)]
    assert apart.min() > 0.01
    assert len(proposals.pending) == 4


def test_parallel_points_in_a_discrete_space_are_all_different() -> None:
    space = SearchSpace({"a": integer(1, 5), "b": choice("x", "y")})
    proposals = Proposals(space)
    run(proposals, lambda values: -abs(values["a"] - 3), 5)
    asked = {tuple(proposals.ask(f"parallel {k}").values()) for k in range(4)}
    assert len(asked) == 4
    assert not asked & {tuple(o.values.values()) for o in proposals.observations}


@pytest.mark.parametrize("broken", [None, math.nan, math.inf, -math.inf])
def test_a_failed_trial_is_kept_counted_and_taken_for_the_worst(broken: float | None) -> None:
    proposals = Proposals(BOWL)
    run(proposals, bowl, 6)
    values = proposals.ask("broken")
    assert proposals.tell("broken", broken).result is None
    assert (proposals.failures, len(proposals.observations)) == (1, 7)
    assert proposals.best is not None
    assert proposals.best.values != values
    assert proposals._data()[1][-1] == min(bowl(o.values) for o in proposals.observations[:6])
    assert len(run(proposals, bowl, 1)) == 1


def test_the_search_leaves_a_region_where_trials_fail() -> None:
    proposals = Proposals(BOWL)
    asked = run(proposals, lambda values: bowl(values) if values["x"] > 0.5 else math.nan, 20)
    assert sum(values["x"] <= 0.5 for values in asked[12:]) <= 3
    assert proposals.best is not None
    assert proposals.best.values["x"] == pytest.approx(0.5, abs=0.15)


def test_where_every_trial_fails_the_search_goes_on_spreading() -> None:
    proposals = Proposals(BOWL)
    asked = run(proposals, lambda values: math.nan, 9)
    assert proposals.best is None
    assert proposals.failures == 9
    assert len({values["x"] for values in asked}) == 9
    with pytest.raises(ValueError, match="two results"):
        proposals.surrogate()


def test_a_warm_start_takes_the_place_of_the_initial_points() -> None:
    earlier = Proposals(BOWL, seed=1)
    run(earlier, bowl, 8)
    proposals = Proposals(BOWL)
    assert proposals.warm_start(earlier.state_dict()) == 8
    assert proposals.guided
    assert proposals.best == earlier.best
    run(proposals, bowl, 3)
    restored = Proposals(BOWL)
    restored.load_state_dict(proposals.state_dict())
    assert restored.ask("next") == proposals.ask("next")


def test_states_of_another_space_are_refused() -> None:
    other = Proposals(MIXED).state_dict()
    with pytest.raises(ConfigError, match="same space"):
        Proposals(BOWL).warm_start(other)
    with pytest.raises(CheckpointError, match="this one"):
        Proposals(BOWL).load_state_dict(other)


def test_keys_are_used_once_at_a_time() -> None:
    proposals = Proposals(BOWL)
    proposals.ask("a")
    with pytest.raises(ValueError, match="already out"):
        proposals.ask("a")
    proposals.forget("a")
    with pytest.raises(KeyError):
        proposals.tell("a", 1.0)


def test_domain_reduction_of_a_discrete_space_is_refused() -> None:
    with pytest.raises(ConfigError, match="continuous"):
        Proposals(MIXED, SearcherConfig(shrink=True))


def test_a_first_point_outside_the_space_is_refused() -> None:
    with pytest.raises(ConfigError, match="x is 2"):
        Proposals(BOWL, first=[{"x": 2, "y": 0}])


@pytest.mark.parametrize(
    "change",
    [{"initial_points": 0}, {"acquisition": "best"}, {"kappa": -1.0}, {"exploration_decay": 0.0}, {"liar": "a"}],
)
def test_a_rule_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        dataclasses.replace(SearcherConfig(), **change)


def test_a_space_of_one_number_is_enough() -> None:
    space = SearchSpace({"weight": uniform(0, 1)})
    proposals = Proposals(space)
    run(proposals, lambda values: -abs(values["weight"] - 0.7), 12)
    assert proposals.best is not None
    assert proposals.best.values["weight"] == pytest.approx(0.7, abs=0.05)
