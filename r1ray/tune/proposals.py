"""Ask for the next point, tell how it went: Bayesian optimisation without anything that runs trials."""

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bayes_opt import SequentialDomainReductionTransformer
from bayes_opt.target_space import TargetSpace
from numpy.typing import NDArray
from scipy.stats import qmc

from r1ray.config.tune import SearcherConfig
from r1ray.errors import CheckpointError, ConfigError
from r1ray.tune.acquire import acquisition_values, maximise
from r1ray.tune.gp import Surrogate
from r1ray.tune.ranges import Value
from r1ray.tune.space import SearchSpace

Floats = NDArray[np.float64]

AROUND = 3
"""Best points around which candidates are scattered."""
MINIMUM_WINDOW = 0.05
"""Domain reduction stops at boxes of this side."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What came of one point."""

    values: dict[str, Value]
    result: float | None
    """What was maximised; None = the trial failed, or its result was no finite number."""


class Proposals:
    """Suggests assignments that should make a result large, from the results so far.

    The n-th suggestion is a function of the seed, of n, and of what was known when it was asked for (results in the
    order in which they came, points still out). Nothing else is kept, no generator runs on between calls: so a search
    that is restored from its `state_dict` continues exactly, and any suggestion can be computed again.

    Order: `first` (assignments to try before all others), then `initial_points` spread evenly (scrambled Sobol points),
    then guided ones. A failed trial counts as the worst result seen, so that the search leaves its neighbourhood.
    """

    def __init__(
        self,
        space: SearchSpace,
        config: SearcherConfig | None = None,
        *,
        seed: int = 0,
        first: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.space = space
        self.config = config or SearcherConfig()
        self.seed = seed
        self.observations: list[Observation] = []
        """In the order in which they came."""
        self.pending: dict[str, dict[str, Value]] = {}
        """Points that are out, by the key under which they were asked for."""
        self.asked = 0
        """Suggestions so far."""
        self._first = [space.canonical(values) for values in first]
        self._inherited = 0
        if self.config.shrink and not space.continuous.all():
            raise ConfigError(
                "searcher.shrink needs a space of continuous numbers; leave it off, or take the integers, steps and "
                f"choices out of {space.describe()}."
            )

    def ask(self, key: str) -> dict[str, Value]:
        """The next assignment, pending under `key` until `tell` or `forget`. ValueError if `key` is already out."""
        if key in self.pending:
            raise ValueError(f"{key!r} is already out; expected a new key for each point.")
        values = self._next()
        self.pending[key] = values
        self.asked += 1
        return dict(values)

    def repeat(self, key: str, values: Mapping[str, Any]) -> None:
        """Take `values` as what `ask` answered for `key`: a question of an interrupted search."""
        self.pending[key] = self.space.canonical(values)
        self.asked += 1

    def tell(self, key: str, result: float | None) -> Observation:
        """What came of the point asked for as `key`: None, NaN or an infinity = it failed. KeyError if none is out."""
        observation = Observation(values=self.pending.pop(key), result=_finite(result))
        self.observations.append(observation)
        return observation

    def forget(self, key: str) -> None:
        """The point asked for as `key` will never have a result, and that says nothing about it."""
        self.pending.pop(key, None)

    def observe(self, values: Mapping[str, Any], result: float | None) -> None:
        """A result from elsewhere. `ConfigError` if it lies outside the space."""
        point = self.space.canonical(values)
        self.observations.append(Observation(values=point, result=_finite(result)))
        self._inherited += 1

    def warm_start(self, state: Mapping[str, Any]) -> int:
        """Take over the results of an earlier search (its `state_dict`); how many. `ConfigError` for another space."""
        if state["space"] != self.space.describe():
            raise ConfigError(
                f"The earlier search is over {state['space']}, this one over {self.space.describe()}; a warm start "
                "needs the same space."
            )
        for entry in state["observations"]:
            self.observe(entry["values"], entry["result"])
        return len(state["observations"])

    @property
    def failures(self) -> int:
        """Trials without a result."""
        return sum(observation.result is None for observation in self.observations)

    @property
    def best(self) -> Observation | None:
        """The observation with the largest result, the earliest of equals; None before the first."""
        return max(self._successes(), key=lambda observation: observation.result or 0.0, default=None)

    @property
    def guided(self) -> bool:
        """Whether the next point will be the surrogate's choice."""
        spread = max(0, self.config.initial_points - self._inherited)
        return self.asked >= len(self._first) + spread and len(self._successes()) >= 2

    def surrogate(self) -> Surrogate:
        """The process fitted to the results so far, points still out not among them. ValueError below two results."""
        if len(self._successes()) < 2:
            raise ValueError(f"A surrogate needs two results; so far there are {len(self._successes())}.")
        return self._fit(*self._data())

    def state_dict(self) -> dict[str, Any]:
        """All that the next suggestions depend on, as JSON can hold it."""
        return {
            "space": self.space.describe(),
            "config": dataclasses.asdict(self.config),
            "seed": self.seed,
            "asked": self.asked,
            "inherited": self._inherited,
            "first": [dict(values) for values in self._first],
            "pending": {key: dict(values) for key, values in self.pending.items()},
            "observations": [dataclasses.asdict(observation) for observation in self.observations],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the search that `state` describes, with its seed and rule. `CheckpointError` for another space."""
        if state["space"] != self.space.describe():
            raise CheckpointError(
                f"The saved search is over {state['space']}, this one over {self.space.describe()}; start a new "
                "search, or take the space back."
            )
        self.config = SearcherConfig(**state["config"])
        self.seed = state["seed"]
        self.asked = state["asked"]
        self._inherited = state["inherited"]
        self._first = [dict(values) for values in state["first"]]
        self.pending = {key: dict(values) for key, values in state["pending"].items()}
        self.observations = [Observation(**entry) for entry in state["observations"]]

    def _next(self) -> dict[str, Value]:
        if self.asked < len(self._first):
            return self._first[self.asked]
        if not self.guided:
            sobol = qmc.Sobol(self.space.width, scramble=True, rng=np.random.default_rng(self.seed))
            if skip := self.asked - len(self._first):
                sobol.fast_forward(skip)
            return self.space.decode(sobol.random(1)[0])
        return self.space.decode(self._guide())

    def _guide(self) -> Floats:
        points, results = self._data()
        surrogate = self._fit(points, results)
        known = points
        if self.pending:
            out = self.space.snap(np.vstack([self.space.encode(values) for values in self.pending.values()]))
            surrogate.believe(out, self._lies(surrogate, out))
            known = np.vstack([points, out])
        means, _ = surrogate.predict(known)
        order = np.argsort(-means, kind="stable")
        # The best mean, not the best result: with noise, the largest of many results is mostly luck.
        score = acquisition_values(self.config, surrogate, float(means[order[0]]), self._guided_so_far())
        rng = np.random.default_rng([self.seed, self.asked])
        return maximise(score, self.space, self._bounds(), known[order[:AROUND]], known, rng)

    def _lies(self, surrogate: Surrogate, out: Floats) -> Floats:
        """What the points still out are taken to have reached (Ginsbourger, Le Riche and Carraro, 2010)."""
        if self.config.liar == "believer":
            return surrogate.predict(out)[0]
        known = surrogate.known
        lies = {"max": float(known.max()), "mean": float(known.mean()), "min": float(known.min())}
        return np.full(len(out), lies[self.config.liar])

    def _fit(self, points: Floats, results: Floats) -> Surrogate:
        return Surrogate(points, results, snap=self.space.snap, groups=self.space.groups, seed=self.seed)

    def _data(self) -> tuple[Floats, Floats]:
        """Points [n, d] and results [n], failures as the worst result."""
        points = self.space.snap(np.vstack([self.space.encode(o.values) for o in self.observations]))
        worst = min(o.result for o in self._successes() if o.result is not None)
        return points, np.array([worst if o.result is None else o.result for o in self.observations])

    def _successes(self) -> list[Observation]:
        return [observation for observation in self.observations if observation.result is not None]

    def _guided_so_far(self) -> int:
        return max(0, self.asked - len(self._first) - max(0, self.config.initial_points - self._inherited))

    def _bounds(self) -> Floats:
        """[d, 2]: the box that is searched. Under domain reduction, the reductions of all guided results, replayed."""
        width = self.space.width
        if not self.config.shrink:
            return np.tile([0.0, 1.0], (width, 1))
        box = TargetSpace(None, {f"x{i}": (0.0, 1.0) for i in range(width)}, allow_duplicate_points=True)
        reduction = SequentialDomainReductionTransformer(minimum_window=MINIMUM_WINDOW)
        reduction.initialize(box)
        bounds = {f"x{i}": np.array([0.0, 1.0]) for i in range(width)}
        seen: set[bytes] = set()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of results outside the present box: those came before it
            for number, (point, result) in enumerate(zip(*self._data(), strict=True)):
                if point.tobytes() not in seen:
                    box.register(point, result)
                    seen.add(point.tobytes())
                if number >= len(self._first) + self.config.initial_points:
                    bounds = reduction.transform(box)
        return np.array(list(bounds.values()))


def _finite(result: float | None) -> float | None:
    return float(result) if result is not None and math.isfinite(result) else None
