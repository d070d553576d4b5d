"""The search of `jobs/tune.py` beside random search and the shipped default: accuracy of what each of them chose.

    python benchmarks/tune_search.py --seeds 3 --searches 3

Each search spends `--trials` trainings of the default tiny task (the default's own among them, as in the job), each
measured on the sums that seed 0 holds out. What it found best is then trained anew with `--seeds` other seeds, whose
held-out sums are others. Both searches choose by the same rule from trainings of the same program, in one process. The
value is the median over searches of our accuracy in fresh runs minus that of random search's choice. `--state` keeps
every training, so that the script can be stopped and called again.
"""

import argparse
import hashlib
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from r1ray.config.jobs import TinyJobConfig
from r1ray.config.tune import DEFAULT_SPACES, TuneConfig
from r1ray.tune.journal import first_points
from r1ray.tune.proposals import Proposals
from r1ray.tune.space import SearchSpace
from r1ray.tune.tiny import TinyTraining

SPACE = SearchSpace.parse(DEFAULT_SPACES["tiny"])
BASE = TinyJobConfig()
FIRST = first_points(TuneConfig(), SPACE, BASE)


class OutOfTime(Exception):
    """Call the script again: it goes on where it was."""


class Trainings:
    """Accuracies of configurations, each trained once and remembered."""

    def __init__(self, path: Path | None, seconds: float) -> None:
        self._path, self._end = path, time.monotonic() + seconds
        self._known: dict[str, float] = {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                self._known[entry["key"]] = entry["accuracy"]

    def accuracy(self, values: dict[str, Any], seed: int) -> float:
        """Held-out accuracy; NaN if the training diverged."""
        config = SearchSpace.apply(BASE, values)
        config = replace(config, run=replace(config.run, seed=seed))
        key = hashlib.sha256(repr(config).encode()).hexdigest()
        if key not in self._known:
            if time.monotonic() > self._end:
                raise OutOfTime
            training = TinyTraining(config)
            while not training.done:
                figures = training.advance()
            self._known[key] = figures["accuracy"]
            if self._path is not None:
                with self._path.open("a") as file:
                    file.write(json.dumps({"key": key, "accuracy": figures["accuracy"]}) + "\n")
        return self._known[key]


def bayesian(trainings: Trainings, trials: int, seed: int) -> dict[str, Any]:
    """What our search finds best."""
    proposals = Proposals(SPACE, seed=seed, first=FIRST)
    for number in range(trials):
        values = proposals.ask(str(number))
        proposals.tell(str(number), trainings.accuracy(values, seed=0))
    assert proposals.best is not None
    return proposals.best.values


def random_search(trainings: Trainings, trials: int, seed: int) -> dict[str, Any]:
    """The best of independent points, and of the default."""
    rng = np.random.default_rng(seed)
    points = [*FIRST, *(SPACE.decode(point) for point in rng.random((trials - len(FIRST), SPACE.width)))]
    return max(points, key=lambda values: np.nan_to_num(trainings.accuracy(values, seed=0), nan=-1.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--searches", type=int, default=3)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long; call again to go on")
    args = parser.parse_args()
    torch.set_num_threads(1)
    trainings = Trainings(args.state, args.seconds)

    def fresh(values: dict[str, Any]) -> float:
        return statistics.mean(trainings.accuracy(values, seed) for seed in range(1, args.seeds + 1))

    rows = []
    try:
        default = fresh(FIRST[0])
        for seed in range(args.searches):
            ours, theirs = bayesian(trainings, args.trials, seed), random_search(trainings, args.trials, seed)
            found = {
                "bayesian_in_search": trainings.accuracy(ours, 0),
                "random_in_search": trainings.accuracy(theirs, 0),
                "bayesian": fresh(ours),
                "random": fresh(theirs),
            }
            rows.append({name: round(value, 4) for name, value in found.items()})
            print(f"search {seed}: {rows[-1]}, default {default:.4f}; ours {ours}; random {theirs}", flush=True)
    except OutOfTime:
        print("Out of time; the same command goes on.")
        sys.exit(3)
    report(
        "tune_search",
        statistics.median(row["bayesian"] - row["random"] for row in rows),
        "accuracy in fresh runs above random search's choice, median over searches",
        0.0,
        args.searches,
        over_default=round(statistics.median(row["bayesian"] - default for row in rows), 4),
        default=round(default, 4),
        searches=rows,
        settings=f"{args.trials} trials a search, {args.seeds} fresh seeds",
    )


if __name__ == "__main__":
    main()
