"""Our Bayesian search beside random search and, where it is installed, Optuna's TPE: the best of 25 evaluations.

    python benchmarks/tune_quality.py --seeds 20

Three functions: Branin and Hartmann-6 (Surjanovic and Bingham's library of test functions), and one of two numbers, two
integers and a choice on which the others hang. The last line is one JSON object; its value is the largest over the
functions of our median regret (distance to the known optimum) divided by TPE's, or by random search's without Optuna.
`parallel` is the largest ratio of evaluations that four parallel suggestions need for the median result of a
sequential run, `suggest_seconds` the time of one suggestion at 200 observations.
"""

import argparse
import functools
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from r1ray.tune.proposals import Proposals
from r1ray.tune.ranges import Number, choice, integer, log, quantised, uniform
from r1ray.tune.space import SearchSpace

TARGET = 1.05
OBSERVATIONS = 200


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


def bayesian(name: str, evaluations: int, seed: int, parallel: int = 1) -> list[float]:
    """Best value after each evaluation; `parallel` points are asked for before any of them is told."""
    problem, proposals = PROBLEMS[name], Proposals(PROBLEMS[name].space, seed=seed)
    values: list[float] = []
    while len(values) < evaluations:
        batch = [str(len(values) + i) for i in range(min(parallel, evaluations - len(values)))]
        points = [proposals.ask(key) for key in batch]
        for key, point in zip(batch, points, strict=True):
            values.append(problem.function(point))
            proposals.tell(key, values[-1])
    return np.maximum.accumulate(values).tolist()


def random_search(name: str, evaluations: int, seed: int) -> list[float]:
    """Best value after each of as many independent points."""
    problem, rng = PROBLEMS[name], np.random.default_rng(seed)
    points = rng.random((evaluations, problem.space.width))
    return np.maximum.accumulate([problem.function(problem.space.decode(point)) for point in points]).tolist()


def tpe(name: str, evaluations: int, seed: int) -> list[float]:
    """Best value after each evaluation of Optuna's default sampler."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = PROBLEMS[name]

    def objective(trial: Any) -> float:
        values: dict[str, Any] = {}
        for path, span in problem.space.ranges.items():
            if not isinstance(span, Number):
                values[path] = trial.suggest_categorical(path, span.choices)
            elif span.whole:
                values[path] = trial.suggest_int(path, int(span.low), int(span.high), step=int(span.step))
            else:
                values[path] = trial.suggest_float(path, span.low, span.high, log=span.log, step=span.step or None)
        return problem.function(values)

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=evaluations)
    return np.maximum.accumulate([trial.value for trial in study.trials]).tolist()


def median_curve(pool: ProcessPoolExecutor, search: Callable[..., list[float]], seeds: int) -> list[float]:
    """Median over seeds of the best value, by evaluation."""
    return np.median(list(pool.map(search, range(seeds))), axis=0).tolist()


def suggest_seconds(repeats: int = 5) -> float:
    """Median seconds of one suggestion for Hartmann-6 after 200 observations."""
    problem, rng = PROBLEMS["hartmann6"], np.random.default_rng(0)
    seconds = []
    for repeat in range(repeats):
        proposals = Proposals(problem.space, seed=repeat)
        for point in rng.random((OBSERVATIONS, problem.space.width)):
            values = problem.space.decode(point)
            proposals.observe(values, problem.function(values))
        start = time.perf_counter()
        proposals.ask("next")
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    args = _arguments()
    rivals = {"random": random_search}
    try:
        import optuna  # noqa: F401
    except ImportError:
        print("Optuna is not installed: compared with random search alone.")
    else:
        rivals["tpe"] = tpe
    judge = list(rivals)[-1]
    regrets: dict[str, dict[str, float]] = {}
    parallel: dict[str, float] = {}
    with ProcessPoolExecutor(args.processes) as pool:
        for name, problem in PROBLEMS.items():
            ours = median_curve(pool, functools.partial(bayesian, name, args.evaluations), args.seeds)
            regrets[name] = {"bayesian": problem.optimum - ours[-1]}
            for rival, search in rivals.items():
                curve = median_curve(pool, functools.partial(search, name, args.evaluations), args.seeds)
                regrets[name][rival] = problem.optimum - curve[-1]
            four = functools.partial(bayesian, name, 8 * args.evaluations // 5, parallel=4)
            curve = median_curve(pool, four, args.seeds)
            reached = next((n for n, value in enumerate(curve, start=1) if value >= ours[-1]), math.inf)
            parallel[name] = reached / args.evaluations
            figures = "  ".join(f"{search} {regret:.4f}" for search, regret in regrets[name].items())
            print(f"{name:10s} median regret: {figures}; four parallel: {parallel[name]:.2f} x the evaluations")
    report(
        "tune_quality",
        max(found["bayesian"] / found[judge] for found in regrets.values()),
        f"x the median regret of {judge}, worst of {len(PROBLEMS)} functions",
        TARGET,
        args.seeds,
        regrets={name: {search: round(x, 4) for search, x in found.items()} for name, found in regrets.items()},
        parallel=max(parallel.values()) if math.isfinite(max(parallel.values())) else None,
        suggest_seconds=round(suggest_seconds(), 3),
        settings=f"{args.evaluations} evaluations, {args.seeds} seeds",
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--evaluations", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
