"""Our Bayesian search beside others: the best of 25 evaluations.

    python benchmarks/tune_quality.py --seeds 20 --rivals random library
    python benchmarks/tune_quality.py --seeds 20 --rivals tpe ray --ray-python OLD/bin/python --first-seed 1000

Rivals: `random`; `library`, bayesian-optimization 3 with its own process and suggestions; `tpe`, Optuna's default,
where it is installed; `ray`, Ray's `BayesOptSearch`, which needs bayesian-optimization 1.4.3 and so an interpreter of
its own.

Three functions: Branin and Hartmann-6 (Surjanovic and Bingham's library of test functions), and one of two numbers, two
integers and a choice on which the others hang. The last line is one JSON object; its value is the largest, over
functions and rivals, of our median regret (distance to the known optimum) divided by the rival's. `parallel` is the
largest ratio of evaluations that four parallel suggestions need for the median result of a sequential run,
`suggest_seconds` the time of one suggestion at 200 observations.
"""

import argparse
import functools
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from benchmarks._functions import PROBLEMS
from r1ray.tune.proposals import Proposals
from r1ray.tune.ranges import Number

TARGET = 1.05
OBSERVATIONS = 200


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


def library(name: str, evaluations: int, seed: int) -> list[float]:
    """Best value after each evaluation of bayesian-optimization 3 by itself."""
    from benchmarks._bayesopt import library as search

    return search(name, evaluations, seed)


def ray_searcher(name: str, evaluations: int, seed: int, python: str = "") -> list[float]:
    """Best value after each evaluation of Ray's own searcher, in the interpreter that has what it needs."""
    script = Path(__file__).with_name("_bayesopt.py")
    command = [python, str(script), "--problem", name, "--evaluations", str(evaluations), "--seeds", str(seed)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(printed.splitlines()[-1])


def median_curve(pool: ProcessPoolExecutor, search: Callable[..., list[float]], seeds: Sequence[int]) -> list[float]:
    """Median over seeds of the best value, by evaluation."""
    return np.median(list(pool.map(search, seeds)), axis=0).tolist()


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
    known = {"random": random_search, "library": library, "tpe": tpe}
    known["ray"] = functools.partial(ray_searcher, python=args.ray_python)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    regrets: dict[str, dict[str, float]] = {}
    parallel: dict[str, float] = {}
    with ProcessPoolExecutor(args.processes) as pool:
        for name in args.problems:
            problem = PROBLEMS[name]
            ours = median_curve(pool, functools.partial(bayesian, name, args.evaluations), seeds)
            regrets[name] = {"ours": problem.optimum - ours[-1]}
            for rival in args.rivals:
                curve = median_curve(pool, functools.partial(known[rival], name, args.evaluations), seeds)
                regrets[name][rival] = problem.optimum - curve[-1]
            four = functools.partial(bayesian, name, 8 * args.evaluations // 5, parallel=4)
            curve = median_curve(pool, four, seeds)
            reached = next((n for n, value in enumerate(curve, start=1) if value >= ours[-1]), math.inf)
            parallel[name] = reached / args.evaluations
            figures = "  ".join(f"{search} {regret:.4f}" for search, regret in regrets[name].items())
            print(f"{name:10s} median regret: {figures}; four parallel: {parallel[name]:.2f} x", flush=True)
    report(
        "tune_quality",
        max(found["ours"] / found[rival] for found in regrets.values() for rival in args.rivals),
        f"x the median regret of {', '.join(args.rivals)}: the largest over {', '.join(args.problems)}",
        TARGET,
        args.seeds,
        regrets={name: {search: round(x, 4) for search, x in found.items()} for name, found in regrets.items()},
        parallel=max(parallel.values()) if math.isfinite(max(parallel.values())) else None,
        suggest_seconds=round(suggest_seconds(), 3),
        settings=f"{args.evaluations} evaluations, seeds {seeds[0]} to {seeds[-1]}",
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--evaluations", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument(
        "--rivals", nargs="+", default=["random", "library"], choices=["random", "library", "tpe", "ray"]
    )
    parser.add_argument("--ray-python", default="", help="an interpreter with ray and bayesian-optimization 1.4.3")
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
