"""A Ray Tune `Searcher` over `Proposals`: the only module of the search that knows Ray."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher
from ray.tune.search.sample import Categorical, Domain, Float, Integer, LogUniform, Quantized, Uniform
from ray.tune.search.variant_generator import parse_spec_vars

from r1ray.config.tune import SearcherConfig
from r1ray.errors import CheckpointError, ConfigError
from r1ray.tune.proposals import Proposals
from r1ray.tune.ranges import Choice, Number, Range
from r1ray.tune.space import SearchSpace

SEPARATOR = "/"
"""Between the levels of a nested `param_space`, as in Ray's own flattened configurations."""


class BayesianSearch(Searcher):
    """Bayesian optimisation for `tune.TuneConfig(search_alg=…)`.

    `space` maps names to ranges; without it, the `param_space` of the `Tuner` is taken (`tune.uniform`,
    `tune.loguniform`, `tune.randint`, `tune.choice` …, nested as you like). With a `param_space`, `metric` and `mode`
    may come from `tune.TuneConfig`; without one Ray hands neither on, so give them here. Conditional spaces and grid
    searches are refused (`ConfigError`).

    A trial that fails, or ends without a finite metric, counts as the worst seen; `proposals.failures` has their
    number. A trial that a scheduler stops early (ASHA, HyperBand) counts with its last metric. Trials at once are
    limited by Ray, with `tune.TuneConfig(max_concurrent_trials=…)` or `ConcurrencyLimiter`; those that still run are
    told apart by the surrogate's belief in them. A search that was interrupted continues exactly (`save`, `restore`).
    """

    def __init__(
        self,
        space: SearchSpace | Mapping[str, Range] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        *,
        config: SearcherConfig | None = None,
        seed: int = 0,
        points_to_evaluate: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        if mode not in (None, "min", "max"):
            raise ConfigError(f"mode is {mode!r}; expected `min` or `max`.")
        super().__init__(metric=metric, mode=mode)
        self._metric, self._mode = metric, mode  # the base class keeps them only if both are there
        self._config = config or SearcherConfig()
        self._seed = seed
        self._first = [dict(point) for point in points_to_evaluate]
        self._nested = False
        self._proposals: Proposals | None = None
        if space is not None:
            self._start(space if isinstance(space, SearchSpace) else SearchSpace(space))

    @property
    def proposals(self) -> Proposals:
        """The optimiser: results, failures, surrogate. `ConfigError` before a search space is known."""
        if self._proposals is None:
            raise ConfigError(
                "The search has no search space: pass `space` to BayesianSearch, or `param_space` to the Tuner."
            )
        return self._proposals

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """What the `Tuner` says. False where it brings ranges and the space is already known, or another metric."""
        if (metric and self._metric not in (None, metric)) or (mode and self._mode not in (None, mode)):
            return False
        _, domains, grids = parse_spec_vars(config)
        if (domains or grids) and self._proposals is not None:
            return False
        if domains or grids:
            space = from_ray(config)
            self._nested = True
            self._first = [_flat(point) for point in self._first]
            self._start(space)
        self._metric, self._mode = metric or self._metric, mode or self._mode
        return True

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """The configuration of a new trial."""
        if not self._metric or not self._mode:
            raise ConfigError("The search has no metric or mode: pass both to BayesianSearch or to tune.TuneConfig.")
        values = self.proposals.ask(trial_id)
        return _unflat(values) if self._nested else values

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: a trial counts when it ends."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The end of a trial, however it ended. One that this search did not suggest is left alone."""
        if trial_id in self.proposals.pending:
            self.proposals.tell(trial_id, None if error else self._signed(result))

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """A result from outside the search."""
        values = _flat(parameters) if self._nested else parameters
        known = {name: values[name] for name in self.proposals.space.ranges if name in values}
        self.proposals.observe(known, None if error else self._signed({self._metric or "": value}))

    def save(self, checkpoint_path: str) -> None:
        """Write the search, as JSON."""
        state = {
            "metric": self._metric,
            "mode": self._mode,
            "nested": self._nested,
            "proposals": self._proposals.state_dict() if self._proposals else None,
        }
        Path(checkpoint_path).write_text(json.dumps(state), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Continue a search that was written by `save`.

        Raises `CheckpointError` for a file that is damaged, or of another space, metric or mode.
        """
        try:
            state = json.loads(Path(checkpoint_path).read_text(encoding="utf-8"))
            metric, mode, nested, saved = (state[key] for key in ("metric", "mode", "nested", "proposals"))
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise CheckpointError(f"{checkpoint_path} is no saved search: {error!r}; start a new one.") from None
        if self._metric not in (None, metric) or self._mode not in (None, mode):
            raise CheckpointError(
                f"{checkpoint_path} is a search for {mode} {metric}, this one for {self._mode} {self._metric}; "
                "restore it with the same metric and mode."
            )
        self._metric, self._mode, self._nested = metric, mode, nested
        if saved is not None:
            self.proposals.load_state_dict(saved)

    def _start(self, space: SearchSpace) -> None:
        self._proposals = Proposals(space, self._config, seed=self._seed, first=self._first)

    def _signed(self, result: Mapping[str, Any] | None) -> float | None:
        """The metric, larger is better; None where there is no finite one."""
        value = (result or {}).get(self._metric or "")
        if value is None or not math.isfinite(value):
            return None
        return float(value) if self._mode == "max" else -float(value)


def from_ray(config: dict[str, Any]) -> SearchSpace:
    """The space of a Tuner's `param_space`; constants are not part of it.

    Ray's integers exclude their upper end where ours include it. Raises `ConfigError` for grids, functions
    (`tune.sample_from`), choices that contain ranges, and samplers without bounds (`tune.randn`).
    """
    _, domains, grids = parse_spec_vars(config)
    if grids:
        names = ", ".join(SEPARATOR.join(map(str, path)) for path, _ in grids)
        raise ConfigError(f"{names}: a grid search does not mix with Bayesian search; use tune.choice.")
    return SearchSpace({SEPARATOR.join(map(str, path)): _range(path, domain) for path, domain in domains})


def _range(path: tuple[Any, ...], domain: Domain) -> Range:
    sampler = domain.get_sampler()
    if isinstance(domain, Categorical):
        return Choice(tuple(domain.categories))
    step = 0.0
    if isinstance(sampler, Quantized):
        step, sampler = float(sampler.q), sampler.get_sampler()
    if not isinstance(domain, (Float, Integer)) or not isinstance(sampler, (Uniform, LogUniform)):
        raise ConfigError(
            f"{SEPARATOR.join(map(str, path))} is {domain!r}; expected a bounded range or a choice. Conditional "
            "parameters (tune.sample_from) are not supported: search each branch on its own."
        )
    whole = isinstance(domain, Integer)
    low, high = float(domain.lower), float(domain.upper)
    if whole and step in (0.0, 1.0):
        step, high = 1.0, high - 1
    elif step:  # Ray's steps are multiples of q, ours are counted from the lower end
        low, high = math.ceil(low / step - 1e-9) * step, math.floor(high / step + 1e-9) * step
    return Number(low, high, log=isinstance(sampler, LogUniform), step=step, whole=whole)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}{SEPARATOR}")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _unflat(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *groups, leaf = path.split(SEPARATOR)
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[leaf] = value
    return tree
