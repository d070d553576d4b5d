"""Whole searches: budgets, failures, schedulers, and trials that drive a Ray Train run of a job."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import tune
from ray.tune.search import Searcher

from r1ray.cluster.plan import make_plan
from r1ray.config.jobs import TinyJobConfig, TuneJobConfig
from r1ray.config.run import RunConfig
from r1ray.config.serialise import load_file, to_dict
from r1ray.config.tune import SearcherConfig, TuneConfig
from r1ray.errors import WorkerError
from r1ray.runs import Run
from r1ray.tune import search as module
from r1ray.tune.journal import JOURNAL, Journal
from r1ray.tune.proposals import Proposals
from r1ray.tune.search import RecordedSearch, search, trials_at_once
from tests.jobs.helpers import tiny_job
from tests.tiny import make_tiny_policy
from tests.tune.functions import BOWL
from tests.tune.mortal import MortalTrial
from tests.tune.tiny import SMALL

# ── Without Ray: when a search is over ────────────────────────────────────────────────────────────────────────────────


def recorded(path: Path, **settings: Any) -> RecordedSearch:
    return RecordedSearch(Journal(path / "j", Proposals(BOWL, seed=0)), TuneConfig(**settings))


def drive(one: RecordedSearch, results: list[float | None]) -> Any:
    """So many trials, one after another; what is suggested next."""
    for number, result in enumerate(results):
        one.suggest(f"t{number}")
        one.on_trial_complete(f"t{number}", {"objective": result}, error=result is None)
    return one.suggest("next")


def test_a_search_ends_after_its_trials(tmp_path: Path) -> None:
    one = recorded(tmp_path, trials=3)
    assert drive(one, [0.1, 0.2]) != Searcher.FINISHED
    assert one.suggest("beyond") == Searcher.FINISHED  # two are done and one is out
    one.on_trial_complete("next", {"objective": 0.3})
    assert "All 3" in one.over()


def test_a_search_ends_when_nothing_better_came(tmp_path: Path) -> None:
    assert drive(recorded(tmp_path, patience=3), [0.1, 0.5, 0.5, None]) != Searcher.FINISHED
    (tmp_path / "j").unlink()
    one = recorded(tmp_path, patience=3)
    assert drive(one, [0.1, 0.5, 0.5, None, 0.2]) == Searcher.FINISHED
    assert "No better trial in the last 3" in one.over()


def test_a_search_ends_when_its_minutes_are_over_and_they_go_on_counting_after_a_resume(tmp_path: Path) -> None:
    one = recorded(tmp_path, minutes=1.0)
    one._since -= 50
    assert drive(one, [0.1]) != Searcher.FINISHED
    again = recorded(tmp_path, minutes=1.0)
    assert not again.over()
    again._since -= 20
    assert "1 minutes" in again.over()


def test_a_search_whose_trials_all_fail_gives_up(tmp_path: Path) -> None:
    one = recorded(tmp_path)
    assert drive(one, [None] * 5) == Searcher.FINISHED
    assert "all failed" in one.over()


def test_one_trial_at_a_time_on_a_machine_of_its_own_and_two_on_a_cluster_that_has_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = make_plan(TuneJobConfig())
    gib = 2.0**30
    for cpus, at_once in ((1.0, 1), (2.0, 2)):
        there = [{"CPU": cpus, "GPU": 0.0, "memory": 8 * gib}]
        monkeypatch.setattr(module, "nodes", lambda there=there: there)
        assert trials_at_once(TuneConfig(), plan, local=True) == 1
        assert trials_at_once(TuneConfig(), plan, local=False) == at_once
    assert trials_at_once(TuneConfig(parallel=3), plan, local=True) == 3


def test_a_search_without_a_single_result_says_where_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(base: Any, config: TuneJobConfig, run: Run, one: RecordedSearch, *_: Any) -> None:
        drive(one, [None] * config.tune.trials)

    monkeypatch.setattr(module, "_fit", fail)
    monkeypatch.setattr(module, "connect", lambda: SimpleNamespace(local=True))
    monkeypatch.setattr(module, "wait_until_fits", lambda plan, seconds: None)
    config, run = begin(tmp_path, SMALL, trials=2)
    with pytest.raises(WorkerError, match=r"None of 2 trials.*jobs/tiny\.py"):
        search(config, run)
    assert not (run.folder / "best.json").exists()


# ── On Ray ────────────────────────────────────────────────────────────────────────────────────────────────────────────

SPACE = ("optim.lr=log(1e-3, 1e-1)", "tiny.batch=int(4, 16)")


def begin(tmp_path: Path, base: Any, name: str = "t", **settings: Any) -> tuple[TuneJobConfig, Run]:
    """A search's configuration and its run, trials of `base`."""
    (tmp_path / "base.json").write_text(json.dumps(to_dict(base)))
    settings = {"space": SPACE, "base": str(tmp_path / "base.json"), "trials": 4, **settings}
    config = TuneJobConfig(
        run=RunConfig(storage=str(tmp_path), name=name),
        tune=TuneConfig(**settings),
        searcher=SearcherConfig(initial_points=3),
    )
    return config, Run.create("tune", config)


def rows(run: Run) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run.folder / JOURNAL).read_text().splitlines()]
    return [line for line in lines if line["event"] == "tell"]


@pytest.mark.ray
def test_dead_and_senseless_trials_count_as_the_worst_and_the_search_goes_on(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def mortal(base: Any, settings: TuneConfig, storage: str) -> Any:
        bound = tune.with_parameters(MortalTrial, base=base, settings=settings)
        return tune.with_resources(bound, {"cpu": 0.5})

    monkeypatch.setattr(module, "_trainable", mortal)
    config, run = begin(tmp_path, SMALL, trials=8)
    summary = search(config, run)
    told = rows(run)
    batches = [row["values"]["tiny.batch"] for row in json.loads((run.folder / "search.json").read_text())["rows"]]
    failed = [row["result"] is None for row in told]
    assert failed == [batch >= 14 or batch <= 5 for batch in batches]
    assert any(batch >= 14 for batch in batches)
    assert summary["failed"] == sum(failed)
    assert summary["trials"] == 8
    assert summary["default_value"] is not None
    assert "A trial failed, and counts as the worst seen" in capsys.readouterr().out
    best = load_file(TinyJobConfig(), summary["best_config"])  # a file that the job takes
    values = next(row["values"] for row in json.loads((run.folder / "search.json").read_text())["rows"]
                  if row["result"] == summary["best_value"])  # fmt: skip
    assert (best.optim.lr, best.tiny.batch) == (values["optim.lr"], values["tiny.batch"])
    assert best.tiny.width == SMALL.tiny.width  # and what the base changed
    assert best.run == TinyJobConfig().run


@pytest.mark.ray
@pytest.mark.parametrize("scheduler", ["asha", "hyperband"])
def test_schedulers_stop_weak_trials_and_every_trial_counts(ray_session: None, tmp_path: Path, scheduler: str) -> None:
    config, run = begin(tmp_path, SMALL, trials=6, scheduler=scheduler, parallel=2)
    search(config, run)
    told = rows(run)
    assert sorted(row["number"] for row in told) == list(range(6))
    assert all(0 <= row["result"] <= 1 for row in told)


@pytest.mark.ray
@pytest.mark.slow
def test_ppo_trials_drive_ray_train_and_are_judged_by_accuracy_less_kl(ray_session: None, tmp_path: Path) -> None:
    policy = make_tiny_policy(tmp_path / "policy")
    base = tiny_job(policy, tmp_path)
    base = replace(
        base,
        evaluation=replace(base.evaluation, problems=6, during=4, every=1),
        cold_start=replace(base.cold_start, examples=8, batch=8),
    )
    config, run = begin(
        tmp_path, base, job="ppo", trials=2, parallel=1, kl_weight=0.5, space=("reward.step_weight=uniform(0, 1)",)
    )
    summary = search(config, run)
    told = rows(run)
    assert len(told) == 2 and summary["failed"] == 0
    for row in told:
        figures = row["figures"]
        assert figures["kl"] >= 0 and figures["problems"] == 6
        assert row["result"] == pytest.approx(figures["accuracy"] - 0.5 * figures["kl"])
        assert figures["low"] <= row["result"] <= figures["high"]
        assert figures["reports"] == 3  # two PPO steps through the callback, and the end
    trials = sorted((run.folder / "trials").iterdir())
    assert len(trials) == 2
    for trial in trials:
        manifest = json.loads((trial / "manifest.json").read_text())
        assert manifest["status"] == "done"
        assert manifest["parents"]["policy"]["path"].startswith(str(run.folder / "shared"))  # one cold start for all
        assert not (trial / "cold_start").exists() and not (trial / "model").exists()
    best = json.loads((run.folder / "best.json").read_text())
    assert best["policy"]["path"] == str(policy)
    assert "measure_kl" not in best.get("ppo", {})
