"""Small functions to maximise."""

from collections.abc import Callable, Mapping
from typing import Any

from r1ray.tune.proposals import Proposals
from r1ray.tune.ranges import choice, integer, log, uniform
from r1ray.tune.space import SearchSpace

BOWL = SearchSpace({"x": uniform(0, 1), "y": uniform(-1, 1)})
MIXED = SearchSpace({"lr": log(1e-6, 1e-1), "layers": integer(1, 8), "optimizer": choice("adam", "sgd", "lion")})


def bowl(values: Mapping[str, Any]) -> float:
    """0 at (0.3, 0.2), lower everywhere else."""
    return -((values["x"] - 0.3) ** 2) - (values["y"] - 0.2) ** 2


def mixed(values: Mapping[str, Any]) -> float:
    """Best for adam, 5 layers and a small learning rate."""
    penalty = {"adam": 0.0, "sgd": 1.0, "lion": 0.5}[values["optimizer"]]
    return -penalty - 0.05 * (values["layers"] - 5) ** 2 - values["lr"]


def run(proposals: Proposals, function: Callable[[Mapping[str, Any]], float], trials: int) -> list[dict[str, Any]]:
    """Ask, evaluate and tell, one after the other; the points asked for."""
    asked = []
    for number in range(proposals.asked, proposals.asked + trials):
        values = proposals.ask(f"trial {number}")
        proposals.tell(f"trial {number}", function(values))
        asked.append(values)
    return asked
