"""What a search says of its parameters: the ones that matter are told from the ones that do not."""

import numpy as np
import pytest

from r1ray.config.tune import SearcherConfig
from r1ray.tune.explain import importance, positions, slices
from r1ray.tune.proposals import Proposals
from r1ray.tune.ranges import choice, log, uniform
from r1ray.tune.space import SearchSpace

SPACE = SearchSpace({"lr": log(1e-4, 1e-2), "kind": choice("a", "b", "c"), "idle": uniform(0, 1)})


@pytest.fixture(scope="module")
def searched() -> Proposals:
    proposals = Proposals(SPACE, SearcherConfig(), seed=0)
    rng = np.random.default_rng(0)
    for _ in range(40):
        values = SPACE.decode(rng.random(SPACE.width))
        proposals.observe(values, -abs(np.log10(values["lr"]) + 3) - 0.2 * (values["kind"] == "b"))  # type: ignore[arg-type]
    return proposals


def test_importance_ranks_parameters_by_what_they_do(searched: Proposals) -> None:
    shares = importance(searched)
    assert shares["lr"] > shares["kind"] > shares["idle"]
    assert shares["idle"] < 0.05
    assert all(0 <= share <= 1 for share in shares.values())


def test_slices_pass_through_the_incumbent_and_show_every_choice(searched: Proposals) -> None:
    found = slices(searched)
    lr = found["lr"]
    assert lr["values"][int(np.argmax(lr["mean"]))] == pytest.approx(1e-3, rel=0.5)
    assert all(low <= mean <= high for low, mean, high in zip(lr["low"], lr["mean"], lr["high"], strict=True))
    assert found["kind"]["values"] == ["a", "b", "c"]
    assert found["kind"]["mean"][1] < found["kind"]["mean"][0]


def test_slices_of_a_minimised_objective_are_turned_back(searched: Proposals) -> None:
    up, down = slices(searched)["lr"], slices(searched, -1.0)["lr"]
    assert down["mean"] == [-value for value in up["mean"]]
    assert down["low"] == [-value for value in up["high"]]


def test_positions_lie_on_each_parameters_axis() -> None:
    proposals = Proposals(SPACE)
    assert positions(proposals, {"lr": 1e-3, "kind": "c", "idle": 0.25}) == pytest.approx([0.5, 1.0, 0.25])
