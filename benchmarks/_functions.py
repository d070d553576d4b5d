"""Functions whose maximum is known, to search on."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from r1ray.tune.ranges import choice, integer, log, quantised, uniform
from r1ray.tune.space import SearchSpace


def branin(v: Mapping[str, Any]) -> float:
    """Minus Branin's function."""
    x, y = v["x"], v["y"]
    valley = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return -(valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


def hartmann6(v: Mapping[str, Any]) -> float:
    """Minus Hartmann's function of six numbers."""
    weights = np.array([1.0, 1.2, 3.0, 3.2])
    sharpness = np.array(
        [
            [10, 3, 17, 3.5, 1.7, 8],
            [0.05, 10, 17, 0.1, 8, 14],
            [3, 3.5, 1.7, 10, 17, 8],
            [17, 8, 0.05, 10, 0.1, 14],
        ]
    )
    centres = 1e-4 * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    )
    away = (sharpness * (np.array(list(v.values())) - centres) ** 2).sum(axis=1)
    return float(weights @ np.exp(-away))


def mixed(v: Mapping[str, Any]) -> float:
    """Like a training: each optimizer has its own best learning rate; depth, batch and dropout matter less."""
    penalty, exponent = {"adam": (0.0, -4.0), "sgd": (0.35, -1.5), "lion": (0.15, -5.0)}[v["optimizer"]]
    return float(
        1
        - penalty
        - 0.15 * (math.log10(v["lr"]) - exponent) ** 2
        - 0.02 * (v["layers"] - 6) ** 2
        - 0.3 * ((math.log2(v["batch"]) - 6) / 3) ** 2
        - 0.5 * (v["dropout"] - 0.2) ** 2
    )


class Problem(NamedTuple):
    function: Callable[[Mapping[str, Any]], float]
    space: SearchSpace
    optimum: float


PROBLEMS = {
    "branin": Problem(branin, SearchSpace({"x": uniform(-5, 10), "y": uniform(0, 15)}), -0.397887),
    "hartmann6": Problem(hartmann6, SearchSpace({f"x{i}": uniform(0, 1) for i in range(6)}), 3.322368),
    "mixed": Problem(
        mixed,
        SearchSpace(
            {
                "optimizer": choice("adam", "sgd", "lion"),
                "lr": log(1e-6, 1e-1),
                "layers": integer(1, 12),
                "batch": quantised(16, 256, 16),
                "dropout": uniform(0, 0.5),
            }
        ),
        1.0,
    ),
}
