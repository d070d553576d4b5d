"""What bayesian-optimization 3.4 does with typed parameters, which it calls experimental: why the search takes its
acquisition functions and its domain reduction, and neither its process nor its constant liar."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from bayes_opt import BayesianOptimization, acquisition

from r1ray.tune.proposals import Proposals
from r1ray.tune.ranges import choice, integer, log
from r1ray.tune.space import SearchSpace


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def optimiser(function: Any) -> BayesianOptimization:
    bounds: dict[str, Any] = {"lr": (-6.0, -1.0), "layers": (1, 12, int), "optimizer": ("adam", "sgd", "lion")}
    one = BayesianOptimization(f=None, pbounds=bounds, random_state=0, verbose=0, acquisition_function=function)
    for _ in range(6):
        point = one.random_sample()[0]
        one.register(params=point, target=float(np.sin(point["lr"])))
    return one


def test_typed_parameters_come_back_as_what_they_are() -> None:
    point = optimiser(acquisition.ExpectedImprovement(xi=0.0)).suggest()
    assert isinstance(point["layers"], (int, np.integer)) and 1 <= point["layers"] <= 12
    assert point["optimizer"] in ("adam", "sgd", "lion")
    assert -6 <= point["lr"] <= -1


def test_its_constant_liar_cannot_deal_with_categories_and_ours_can() -> None:
    liar = optimiser(acquisition.ConstantLiar(acquisition.ExpectedImprovement(xi=0.0)))
    with pytest.raises(ValueError, match="broadcast"):  # where this passes one day, ours may go
        for _ in range(3):
            liar.suggest()
    ours = Proposals(SearchSpace({"lr": log(1e-6, 1e-1), "layers": integer(1, 12), "optimizer": choice("a", "b")}))
    for number in range(6):
        ours.tell(str(number), float(np.sin(np.log(float(ours.ask(str(number))["lr"])))))
    together = [tuple(ours.ask(f"parallel {number}").values()) for number in range(4)]
    assert len(set(together)) == 4
