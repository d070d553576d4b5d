"""Which problems a step trains on: a function of seed, step and what was observed, so a resumed run draws the same.

The problems are parted into buckets, by family and level where the curriculum is on, else one. Each bucket is an
endless row of shuffled epochs; a step takes the next few problems of each bucket.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Any

from r1ray.data.epochs import EpochStream
from r1ray.data.ids import dataset_fingerprint
from r1ray.errors import CheckpointError, DataError
from r1ray.types import Problem

UNKNOWN_RATE = 0.5
"""Success rate of a bucket before anything was observed."""
MEMORY = 0.9
"""What one observed problem leaves of the rate before it: the last 20 problems make 88 % of the figure."""
FLOOR = 0.05
"""Added to p(1-p): a bucket that is always or never solved is drawn a sixth as often as one solved half the time."""


class ProblemSampler:
    """Draws the batches of problems.

    Args:
        problems: any order; ids must be different.
        prompts_per_step: problems in a batch. No problem is in a batch twice where there are at least so many.
        seed: of the shuffles.
        curriculum: prefer buckets whose success rate p is neither near 0 nor near 1, with weights size · (p(1-p) +
            floor): p(1-p) is the variance of the outcome, and where it is 0 all samples of a problem get the same
            reward and teach nothing.

    Raises:
        DataError: no problems, or two with one id.
    """

    def __init__(
        self, problems: Sequence[Problem], prompts_per_step: int, seed: int, *, curriculum: bool = False
    ) -> None:
        self._problems = {problem.id: problem for problem in problems}
        if not problems or len(self._problems) < len(problems):
            raise DataError(
                f"The sampler needs problems with different ids; it got {len(problems)} with {len(self._problems)} ids."
            )
        self._bucket = {
            problem.id: f"{problem.family}/{problem.level}" if curriculum else "all" for problem in problems
        }
        members: dict[str, list[str]] = defaultdict(list)
        for key, bucket in self._bucket.items():
            members[bucket].append(key)
        self.fingerprint = dataset_fingerprint(self._problems)
        self._settings = {"prompts_per_step": prompts_per_step, "seed": seed, "curriculum": curriculum}
        self._prompts_per_step, self._seed, self._curriculum = prompts_per_step, seed, curriculum
        self._streams = {
            bucket: EpochStream(sorted(ids), spacing=prompts_per_step, seed=f"{seed}/{bucket}")
            for bucket, ids in sorted(members.items())
        }
        self._rates = dict.fromkeys(self._streams, UNKNOWN_RATE)
        self._plans: list[list[int]] = []  # [step][bucket]: how many were taken; only under the curriculum

    def batch(self, step: int) -> list[Problem]:
        """The `prompts_per_step` problems of step `step`, counted from 0. Asking again gives the same.

        Under the curriculum the shares of a step are fixed when it is first asked for, and kept in the state.
        """
        ids: list[str] = []
        for stream, start, count in zip(self._streams.values(), *self._take(step), strict=True):
            ids += stream.take(start, count)
        # Mixed, so that consecutive minibatches see every bucket.
        Random(f"{self._seed}/order/{step}").shuffle(ids)
        return [self._problems[key] for key in ids]

    def observe(self, ids: Sequence[str], success_rates: Sequence[float]) -> None:
        """Take in how often each of these problems was solved, 0 … 1; later steps are drawn accordingly."""
        by_bucket: dict[str, list[float]] = defaultdict(list)
        for key, rate in zip(ids, success_rates, strict=True):
            if key not in self._bucket:
                raise DataError(f"Problem {key!r} is not one that this sampler draws from.")
            by_bucket[self._bucket[key]].append(rate)
        for bucket, rates in by_bucket.items():
            keep = MEMORY ** len(rates)
            self._rates[bucket] = keep * self._rates[bucket] + (1 - keep) * sum(rates) / len(rates)

    @property
    def success_rates(self) -> dict[str, float]:
        """Recent success rate of each bucket (`story/3`; `all` without the curriculum), for the log."""
        return dict(self._rates)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, JSON-serialisable."""
        return {
            "fingerprint": self.fingerprint,
            "problems": len(self._problems),
            **self._settings,
            "rates": dict(self._rates),
            "plans": [list(plan) for plan in self._plans],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken.

        Raises:
            CheckpointError: it was taken with other problems or other settings; going on would skip some and repeat
                others.
        """
        if state["fingerprint"] != self.fingerprint:
            raise CheckpointError(
                f"The checkpoint was made with other training problems: {state['problems']} with fingerprint "
                f"{state['fingerprint']}; these are {len(self._problems)} with {self.fingerprint}. Resume with the "
                "same problems.* settings and files, or start a new run from its weights (--policy.path)."
            )
        for name, value in self._settings.items():
            if state[name] != value:
                raise CheckpointError(
                    f"The checkpoint's problems were drawn with {name} = {state[name]}, this run has {value}. Resume "
                    "with the same value, or start a new run from its weights (--policy.path)."
                )
        self._rates = dict(state["rates"])
        self._plans = [list(plan) for plan in state["plans"]]

    def _take(self, step: int) -> tuple[list[int], list[int]]:
        """For each bucket, where it stands before the step and how many the step takes."""
        if not self._curriculum:
            return [step * self._prompts_per_step], [self._prompts_per_step]
        while len(self._plans) <= step:
            self._plans.append(self._plan(len(self._plans)))
        starts = [sum(plan[bucket] for plan in self._plans[:step]) for bucket in range(len(self._streams))]
        return starts, self._plans[step]

    def _plan(self, step: int) -> list[int]:
        """How many problems of each bucket this step takes.

        Systematic sampling: each share is rounded up or down, and is right on average. No bucket gives more problems
        than it has, unless all together have too few.
        """
        rng = Random(f"{self._seed}/plan/{step}")
        sizes = [len(stream) for stream in self._streams.values()]
        weights = [size * (rate * (1 - rate) + FLOOR) for size, rate in zip(sizes, self._rates.values(), strict=True)]
        limits = sizes if sum(sizes) >= self._prompts_per_step else [self._prompts_per_step] * len(sizes)
        counts = [0] * len(sizes)
        while (missing := self._prompts_per_step - sum(counts)) > 0:
            open_weights = [
                weight if count < limit else 0.0 for weight, count, limit in zip(weights, counts, limits, strict=True)
            ]
            shares = list(accumulate(open_weights))
            offset = rng.random()
            for pick in range(missing):
                bucket = bisect_left(shares, (pick + offset) / missing * shares[-1])
                if counts[bucket] < limits[bucket]:
                    counts[bucket] += 1
        return counts
