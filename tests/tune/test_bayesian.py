"""The searcher as Ray Tune calls it; whole searches on a local Ray at the end."""

import math
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter

from r1ray.errors import CheckpointError, ConfigError
from r1ray.tune.bayesian import BayesianSearch, from_ray
from r1ray.tune.ranges import choice, integer, log, log_integer, quantised, uniform
from tests.tune.functions import BOWL, MIXED, bowl, mixed


def drive(search: Any, trials: int, start: int = 0) -> list[dict[str, Any]]:
    """What Tune does, one trial at a time."""
    asked = []
    for number in range(start, start + trials):
        values = search.suggest(f"trial-{number}")
        search.on_trial_complete(f"trial-{number}", {"score": bowl(values)})
        asked.append(values)
    return asked


def searcher(mode: str = "max", seed: int = 0) -> BayesianSearch:
    return BayesianSearch(BOWL, "score", mode, seed=seed)


def test_the_space_of_a_tuner_is_translated_with_its_bounds() -> None:
    space = from_ray(
        {
            "optim": {"lr": tune.loguniform(1e-6, 1e-2), "batch": tune.randint(1, 9)},
            "dropout": tune.quniform(0.1, 0.5, 0.1),
            "width": tune.qrandint(10, 64, 16),
            "depth": tune.lograndint(1, 33),
            "momentum": tune.uniform(0, 1),
            "optimizer": tune.choice(["adam", "sgd"]),
            "constant": 7,
        }
    )
    assert space.ranges == {
        "optim/lr": log(1e-6, 1e-2),
        "optim/batch": integer(1, 8),  # Ray leaves the upper end out
        "dropout": quantised(0.1, 0.5, 0.1),
        "width": integer(16, 64, 16),  # Ray's steps are multiples of 16
        "depth": log_integer(1, 32),
        "momentum": uniform(0, 1),
        "optimizer": choice("adam", "sgd"),
    }


@pytest.mark.parametrize(
    "config",
    [
        {"a": tune.uniform(0, 1), "b": tune.sample_from(lambda spec: spec.config.a)},
        {"a": tune.grid_search([1, 2])},
        {"a": tune.choice([{"kind": "adam", "beta": tune.uniform(0, 1)}, {"kind": "sgd"}])},
        {"a": tune.randn(0, 1)},
    ],
)
def test_conditional_unbounded_and_grid_spaces_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        BayesianSearch().set_search_properties("score", "max", config)


def test_nested_configurations_come_back_nested() -> None:
    search = BayesianSearch(points_to_evaluate=[{"optim": {"lr": 0.5}}])
    assert search.set_search_properties("score", "max", {"optim": {"lr": tune.uniform(0, 1)}})
    assert search.suggest("a") == {"optim": {"lr": 0.5}}
    assert search.suggest("b").keys() == {"optim"}


def test_metric_and_mode_may_come_from_the_tuner_but_not_change() -> None:
    search = BayesianSearch(BOWL)
    with pytest.raises(ConfigError, match="metric"):
        search.suggest("a")
    assert search.set_search_properties("score", "max", {"constant": 1})
    assert (search.metric, search.mode) == ("score", "max")
    assert not search.set_search_properties("loss", "min", {})
    assert not search.set_search_properties("score", "max", {"x": tune.uniform(0, 1)})  # it has a space already


def test_minimising_is_maximising_the_negative() -> None:
    down = searcher("min")
    asked = []
    for number in range(9):
        values = down.suggest(f"{number}")
        down.on_trial_complete(f"{number}", {"score": -bowl(values)})
        asked.append(values)
    assert asked == drive(searcher("max"), 9)


@pytest.mark.parametrize("result", [None, {}, {"score": None}, {"score": math.nan}, {"score": math.inf}])
def test_a_trial_without_a_finite_metric_is_a_counted_failure(result: dict[str, Any] | None) -> None:
    search = searcher()
    search.suggest("a")
    search.on_trial_complete("a", result)
    assert search.proposals.failures == 1


def test_a_trial_that_raised_is_a_failure_whatever_it_reported_before() -> None:
    search = searcher()
    search.suggest("a")
    search.on_trial_complete("a", {"score": 1.0}, error=True)
    assert (search.proposals.failures, search.proposals.best) == (1, None)


def test_trials_that_others_suggested_are_left_alone() -> None:
    search = searcher()
    search.on_trial_complete("unknown", {"score": 1.0})
    assert search.proposals.observations == []


def test_a_saved_search_continues_with_its_points_that_are_out(tmp_path: Path) -> None:
    undisturbed = searcher(seed=5)
    drive(undisturbed, 6)
    out = undisturbed.suggest("out")
    undisturbed.save(str(tmp_path / "search.json"))
    restored = searcher(seed=8)
    restored.restore(str(tmp_path / "search.json"))
    for search in (undisturbed, restored):
        search.on_trial_complete("out", {"score": bowl(out)})
    assert drive(restored, 3, 10) == drive(undisturbed, 3, 10)


def test_files_that_are_no_search_or_another_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "torn").write_text('{"metric": "sc')
    with pytest.raises(CheckpointError, match="no saved search"):
        searcher().restore(str(tmp_path / "torn"))
    searcher("min").save(str(tmp_path / "min"))
    with pytest.raises(CheckpointError, match="min score"):
        searcher("max").restore(str(tmp_path / "min"))


def test_results_from_outside_the_search_count() -> None:
    search = searcher()
    search.add_evaluated_point({"x": 0.5, "y": 0.5, "constant": 1}, 2.0)
    assert search.proposals.best is not None
    assert search.proposals.best.result == 2.0


def test_a_concurrency_limiter_holds_trials_back_until_one_ends() -> None:
    limited = ConcurrencyLimiter(searcher(), max_concurrent=2)
    first = limited.suggest("a")
    assert limited.suggest("b") is not None
    assert limited.suggest("c") is None
    limited.on_trial_complete("a", {"score": bowl(first)})
    assert limited.suggest("c") is not None


@pytest.mark.ray
def test_a_whole_search_with_failing_trials_parallel_ones_and_asha(ray_session: None, tmp_path: Path) -> None:
    def trial(config: dict[str, Any]) -> None:
        if config["optimizer"] == "sgd":
            raise ValueError("diverged")
        for step in range(1, 4):
            tune.report({"score": mixed(config) * 4 / (step + 1), "training_iteration": step})

    search = BayesianSearch(MIXED, "score", "max")  # no param_space: Ray would not hand metric and mode on
    results = tune.Tuner(
        tune.with_resources(trial, {"cpu": 0.1}),
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            num_samples=10,
            max_concurrent_trials=2,
            search_alg=search,
            scheduler=ASHAScheduler(max_t=3, grace_period=1, reduction_factor=2),
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="search", verbose=0),
    ).fit()
    assert len(results) == 10
    finished = BayesianSearch(MIXED, "score", "max")  # from the file that Tune saved
    finished.restore_from_dir(str(tmp_path / "search"))
    assert len(finished.proposals.observations) == 10
    assert finished.proposals.failures == len(results.errors)
    assert finished.proposals.pending == {}
    best = finished.proposals.best
    assert best is not None
    assert best.values["optimizer"] != "sgd"
