"""A trial's configuration, its worth, and the file that a search leaves."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from r1ray.config.jobs import PPOJobConfig, TinyJobConfig
from r1ray.config.ppo import PPOConfig
from r1ray.config.serialise import config_classes, load_file
from r1ray.config.trial import trial_config
from r1ray.config.tune import DEFAULT_SPACES, TUNABLE_JOBS, TuneConfig
from r1ray.errors import ConfigError
from r1ray.runs import Run
from r1ray.tune.space import SearchSpace
from r1ray.tune.trials import best_file, measurable, run_trial, shares_start, verb_of
from tests.tiny import make_tiny_policy
from tests.tune.tiny import SMALL

THERE = [job for job in TUNABLE_JOBS if job in config_classes()]


@pytest.mark.parametrize("job", THERE)
def test_every_jobs_default_space_fits_its_configuration(job: str) -> None:
    SearchSpace.parse(DEFAULT_SPACES[job]).check(trial_config(TuneConfig(job=job)))


def test_the_space_of_ppo_holds_the_shipped_default() -> None:
    space, base = SearchSpace.parse(DEFAULT_SPACES["ppo"]), PPOJobConfig()
    values = {
        "reward.step_weight": base.reward.step_weight,
        "optim.lr": base.optim.lr,
        "ppo.prompts_per_step": base.ppo.prompts_per_step,
    }
    assert space.decode(space.encode(values)) == pytest.approx(values)


def test_the_best_file_holds_what_differs_and_the_job_takes_it(tmp_path: Path) -> None:
    base = replace(PPOJobConfig(), ppo=PPOConfig(steps=3), run=replace(PPOJobConfig().run, name="x", seed=4))
    values = {"optim.lr": 1e-5, "reward.step_weight": 0.9}
    found = best_file(base, values)
    # The learning rate is the default's own, and stands there all the same: it was searched.
    assert found == {"ppo": {"steps": 3}, "optim": {"lr": 1e-5}, "reward": {"step_weight": 0.9}}
    (tmp_path / "best.json").write_text(json.dumps(found))
    config = load_file(PPOJobConfig(), tmp_path / "best.json")
    assert replace(config, run=base.run) == SearchSpace.apply(base, values)


def test_ppo_trials_measure_their_kl_where_it_costs_something() -> None:
    base = PPOJobConfig()
    assert measurable(base, TuneConfig(job="ppo")).ppo.needs_reference
    assert not measurable(base, TuneConfig(job="ppo", kl_weight=0)).ppo.needs_reference
    assert measurable(base, TuneConfig(job="ppo")).ppo.kl_coef == 0
    assert measurable(SMALL, TuneConfig()) is SMALL


def test_a_scheduler_needs_something_to_look_at() -> None:
    with pytest.raises(ConfigError, match=r"evaluation.every is 0"):
        measurable(PPOJobConfig(), TuneConfig(job="ppo", scheduler="asha"))


def test_one_cold_start_serves_all_trials_unless_it_is_searched_itself(tmp_path: Path) -> None:
    policy = make_tiny_policy(tmp_path / "policy")
    base = PPOJobConfig()
    base = replace(base, policy=replace(base.policy, path=str(policy)))
    lr = SearchSpace.parse(["optim.lr=log(1e-6, 1e-4)"])
    assert shares_start(base, lr)
    assert not shares_start(base, SearchSpace.parse(["cold_start.lr=log(1e-5, 1e-3)"]))
    assert not shares_start(replace(base, cold_start=replace(base.cold_start, examples=0)), lr)
    assert not shares_start(SMALL, lr)


def test_a_trial_of_a_whole_job_keeps_its_figures_and_not_its_weights(tmp_path: Path) -> None:
    found = run_trial(SMALL, {"tiny.batch": 4}, TuneConfig(), str(tmp_path), "trial-1")
    assert 0 <= found.objective <= 1
    assert found.problems == 20
    run = Run.open(tmp_path / "trial-1")
    assert run.config_data()["tiny"]["batch"] == 4
    assert run.manifest()["status"] == "done"
    assert not run.model_path.exists()


def test_the_verbs_of_the_jobs_that_are_there_exist() -> None:
    assert all(callable(verb_of(job)) for job in THERE)
    assert TinyJobConfig in config_classes().values()
