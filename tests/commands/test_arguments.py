"""From arguments to a configuration: overrides, files, resumed runs, and messages that say what was meant."""

import json
from pathlib import Path

import pytest

from r1ray.commands.arguments import parse
from r1ray.config.jobs import PPOJobConfig
from r1ray.config.ppo import PPOConfig
from r1ray.config.run import RunConfig
from r1ray.errors import ConfigError
from r1ray.runs import Run


def parsed(*arguments: str) -> PPOJobConfig:
    return parse(PPOJobConfig(), list(arguments), prog="jobs/ppo.py", description="PPO.")[0]


def test_without_arguments_the_default_stands() -> None:
    assert parsed() == PPOJobConfig()


def test_any_setting_is_overridden_by_its_dotted_name() -> None:
    config = parsed(
        "--ppo.clip-eps", "0.1", "--policy.path", "x", "--reward.functions", "a.py:f", "b.py:g@2", "--run.no-report"
    )
    assert (config.ppo.clip_eps, config.policy.path, config.run.report) == (0.1, "x", False)
    assert config.reward.functions == ("a.py:f", "b.py:g@2")


def test_underscores_and_hyphens_are_one_spelling() -> None:
    assert parsed("--ppo.clip_eps", "0.1") == parsed("--ppo.clip-eps", "0.1")


@pytest.mark.parametrize("form", [["--config", "FILE"], ["--config=FILE"]])
def test_a_file_is_the_start_and_arguments_go_on_top(tmp_path: Path, form: list[str]) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"ppo": {"steps": 3, "gamma": 0.9}}))
    config = parsed(*(part.replace("FILE", str(file)) for part in form), "--ppo.steps", "5")
    assert (config.ppo.steps, config.ppo.gamma) == (5, 0.9)


def test_an_unknown_flag_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--ppo.clip-epss", "0.1")
    assert ended.value.code == 2
    assert "--ppo.clip-eps" in capsys.readouterr().err


def test_a_value_out_of_range_says_what_was_expected(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--ppo.clip-eps", "3")
    assert ended.value.code == 2
    assert "a number from 0 to 1" in " ".join(capsys.readouterr().err.split())


def test_help_explains_every_field_and_where_a_configuration_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--help")
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for part in ("--ppo.clip-eps FLOAT", "The ratio is kept in", "--config FILE", "--resume RUN"):
        assert part in text


@pytest.fixture
def earlier(tmp_path: Path) -> Run:
    return Run.create(
        "ppo",
        PPOJobConfig(run=RunConfig(storage=str(tmp_path), name="earlier", seed=5), ppo=PPOConfig(steps=3, gamma=0.9)),
    )


def test_a_resumed_run_has_its_own_configuration(earlier: Run) -> None:
    config, run = parse(PPOJobConfig(), ["--resume", earlier.location], prog="p", description="")
    assert run is not None and run.location == earlier.location
    assert (config.ppo.steps, config.ppo.gamma, config.run.seed, config.run.name) == (3, 0.9, 5, "earlier")


def test_a_resumed_run_may_go_on_longer_and_elsewhere(earlier: Run) -> None:
    arguments = [
        "--resume",
        earlier.location,
        "--ppo.steps",
        "9",
        "--resources.rollout-workers",
        "4",
        "--run.keep-checkpoints",
        "7",
    ]
    config, _ = parse(PPOJobConfig(), arguments, prog="p", description="")
    assert (config.ppo.steps, config.resources.rollout_workers, config.run.keep_checkpoints) == (9, 4, 7)


@pytest.mark.parametrize(
    "flag", [["--ppo.gamma", "0.5"], ["--run.seed", "6"], ["--policy.path", "x"], ["--problems.max-number", "99"]]
)
def test_a_resumed_run_does_not_become_another_experiment(earlier: Run, flag: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"cannot change when .*earlier is resumed.*--config"):
        parse(PPOJobConfig(), ["--resume", earlier.location, *flag], prog="p", description="")


def test_resuming_what_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No run at"):
        parsed("--resume", str(tmp_path / "none"))


def test_config_and_resume_exclude_each_other(earlier: Run) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        parsed("--resume", earlier.location, "--config", "x.json")


@pytest.mark.parametrize("flag", ["--config", "--resume"])
def test_a_flag_without_its_path_is_an_error(flag: str) -> None:
    with pytest.raises(ConfigError, match="needs a value"):
        parsed(flag)
