"""What trials start from."""

import json
from pathlib import Path

import pytest

from r1ray.config.jobs import PPOJobConfig, TinyJobConfig
from r1ray.config.trial import trial_config, trial_space
from r1ray.config.tune import DEFAULT_SPACES, TUNABLE_JOBS, TuneConfig
from r1ray.errors import ConfigError


def test_trials_start_from_the_jobs_defaults_or_from_a_file(tmp_path: Path) -> None:
    assert trial_config(TuneConfig(job="ppo")) == PPOJobConfig()
    (tmp_path / "base.json").write_text(json.dumps({"tiny": {"batch": 7}}))
    base = trial_config(TuneConfig(base=str(tmp_path / "base.json")))
    assert base.tiny.batch == 7
    assert base.optim == TinyJobConfig().optim


def test_every_tunable_job_has_a_space_of_its_own() -> None:
    assert DEFAULT_SPACES.keys() == set(TUNABLE_JOBS)
    assert trial_space(TuneConfig(job="sft")) == DEFAULT_SPACES["sft"]
    assert trial_space(TuneConfig(space=("a=uniform(0, 1)",))) == ("a=uniform(0, 1)",)


@pytest.mark.parametrize("settings", [{"job": "pp0"}, {"job": "ppo", "scheduler": "hyperband"}, {"grace": 0}])
def test_what_cannot_be_searched_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        TuneConfig(**settings)  # type: ignore[arg-type]
