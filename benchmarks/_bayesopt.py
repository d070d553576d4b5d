"""bayesian-optimization by itself: version 3 as it comes, and Ray's `BayesOptSearch`, which needs version 1.4.3.

    python-with-1.4.3 benchmarks/_bayesopt.py --problem branin --evaluations 25 --seeds 0 1 2

prints one JSON list a seed: the best value after each evaluation of Ray's searcher.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._functions import PROBLEMS
from r1ray.tune.ranges import Number


def library(name: str, evaluations: int, seed: int) -> list[float]:
    """Version 3's own `suggest` and `register`, with its typed parameters; logarithmic ranges as their logarithms."""
    from bayes_opt import BayesianOptimization

    problem = PROBLEMS[name]
    bounds: dict[str, Any] = {}
    for path, span in problem.space.ranges.items():
        if not isinstance(span, Number):
            bounds[path] = span.choices
        elif span.step:
            bounds[path] = (0, span.levels - 1, int)
        else:
            bounds[path] = tuple(np.log([span.low, span.high])) if span.log else (span.low, span.high)
    values: list[float] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that typed parameters are experimental
        optimizer = BayesianOptimization(f=None, pbounds=bounds, random_state=seed, verbose=0)
        for number in range(evaluations):
            point = optimizer.random_sample()[0] if number < 5 else optimizer.suggest()
            meant = {}
            for path, span in problem.space.ranges.items():
                value: Any = point[path]
                if isinstance(span, Number) and span.step:
                    value = span.low + float(value) * span.step
                elif isinstance(span, Number) and span.log:
                    value = float(np.exp(value))
                meant[path] = value
            values.append(problem.function(meant))
            optimizer.register(point, values[-1])
    return np.maximum.accumulate(values).tolist()


def ray_searcher(name: str, evaluations: int, seed: int) -> list[float]:
    """Ray's searcher. It knows continuous numbers alone, so it gets the unit cube that our own optimiser works in."""
    from ray.tune.search.bayesopt import BayesOptSearch

    problem = PROBLEMS[name]
    names = [f"x{i}" for i in range(problem.space.width)]
    search = BayesOptSearch(dict.fromkeys(names, (0.0, 1.0)), metric="value", mode="max", random_state=seed)
    values: list[float] = []
    while len(values) < evaluations:
        trial = f"{seed}-{len(values)}"
        point = search.suggest(trial)
        if point is None:  # it found a point that it had tried
            search.repeat_float_precision += 1
            continue
        values.append(problem.function(problem.space.decode(np.array([point[x] for x in names]))))
        search.on_trial_complete(trial, {"value": values[-1]})
    return np.maximum.accumulate(values).tolist()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--problem")
    parser.add_argument("--evaluations", type=int)
    parser.add_argument("--seeds", type=int, nargs="+")
    args = parser.parse_args()
    for seed in args.seeds:
        print(json.dumps(ray_searcher(args.problem, args.evaluations, seed)), flush=True)
