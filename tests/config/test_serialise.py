"""Configurations survive JSON, and typing mistakes are named with what was meant."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.config.jobs import EvaluateJobConfig, PPOJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.config.ppo import PPOConfig
from r1ray.config.serialise import (
    config_classes,
    differences,
    flatten,
    from_dict,
    job_name,
    load_file,
    nearest,
    to_dict,
)
from r1ray.errors import ConfigError


@pytest.mark.parametrize("kind", [PPOJobConfig, EvaluateJobConfig])
def test_a_configuration_survives_json(kind: type[Any]) -> None:
    config = kind()
    assert from_dict(kind(), json.loads(json.dumps(to_dict(config)))) == config


@settings(deadline=None)
@given(st.integers(1, 10_000), st.floats(0, 1), st.booleans(), st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_any_values_survive_json(steps: int, clip: float, whiten: bool, betas: tuple[float, float]) -> None:
    config = PPOJobConfig(ppo=PPOConfig(steps=steps, clip_eps=clip, whiten=whiten), optim=OptimConfig(betas=betas))
    assert from_dict(PPOJobConfig(), json.loads(json.dumps(to_dict(config)))) == config


def test_what_a_file_leaves_out_keeps_the_defaults_value() -> None:
    default = PPOJobConfig(ppo=PPOConfig(steps=7))
    config = from_dict(default, {"ppo": {"clip_eps": 0.1}, "reward": {"functions": ["a.py:f"]}})
    assert (config.ppo.steps, config.ppo.clip_eps, config.reward.functions) == (7, 0.1, ("a.py:f",))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"ppo": {"clip_epss": 0.1}}, r"Unknown setting ppo\.clip_epss\. Did you mean ppo\.clip_eps\?"),
        ({"evalution": {}}, r"Unknown setting evalution\. Did you mean evaluation\?"),
        ({"ppo": {"tokens_per_microbatch": 8}}, r"Did you mean optim\.tokens_per_microbatch\?"),
        ({"clip_eps": 0.1}, r"Unknown setting clip_eps\. Did you mean ppo\.clip_eps\?"),
        ({"zzz": 1}, r"Unknown setting zzz\. --help lists every setting"),
        ({"ppo": {"steps": "ten"}}, r"ppo\.steps is 'ten'; expected int"),
        ({"ppo": {"steps": 2.5}}, r"ppo\.steps is 2\.5; expected int"),
        ({"ppo": {"steps": True}}, r"ppo\.steps is True; expected int"),
        ({"ppo": {"whiten": 1}}, r"ppo\.whiten is 1; expected bool"),
        ({"ppo": 3}, r"ppo is 3; expected an object"),
        ({"optim": {"betas": [0.9]}}, r"optim\.betas is \[0\.9\]; expected tuple\[float, float\]"),
        ({"reward": {"functions": [1]}}, r"reward\.functions\[0\] is 1; expected str"),
        ({"policy": {"lora": {"rnak": 4}}}, r"Did you mean policy\.lora\.rank\?"),
        ({"ppo": {"clip_eps": 3}}, r"ppo\.clip_eps is 3\.0; expected a number from 0 to 1"),
    ],
)
def test_a_wrong_file_is_an_error_that_says_what_was_meant(data: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        from_dict(PPOJobConfig(), data)


def test_settings_that_only_fit_together_are_taken_together() -> None:
    config = from_dict(PPOJobConfig(), {"critic": {"kind": "none"}, "ppo": {"algorithm": "grpo"}})
    assert (config.critic.kind, config.ppo.algorithm) == ("none", "grpo")


def test_a_configuration_is_read_from_a_file_or_a_run_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"ppo": {"steps": 3}}')
    assert (
        load_file(PPOJobConfig(), tmp_path).ppo.steps
        == load_file(PPOJobConfig(), tmp_path / "config.json").ppo.steps
        == 3
    )


@pytest.mark.parametrize(("text", "expected"), [(None, "no such file"), ("{", "is not JSON"), ("[1]", "holds a list")])
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, text: str | None, expected: str) -> None:
    if text is not None:
        (tmp_path / "c.json").write_text(text)
    with pytest.raises(ConfigError, match=expected):
        load_file(PPOJobConfig(), tmp_path / "c.json")


def test_differences_name_what_was_changed() -> None:
    changed = dataclasses.replace(PPOJobConfig(), ppo=PPOConfig(steps=3))
    assert differences(changed, PPOJobConfig()) == {"ppo.steps": (3, PPOConfig().steps)}


def test_flatten_gives_dotted_names_in_order_of_declaration() -> None:
    names = [name for name, _ in flatten(PPOJobConfig())]
    assert names[0] == "run.name"
    assert "policy.lora.rank" in names
    assert len(names) == len(set(names))


def test_a_job_is_named_after_its_configuration() -> None:
    assert job_name(PPOJobConfig()) == "ppo"
    assert job_name(type("RewardModelJobConfig", (), {})) == "reward_model"
    assert config_classes()["evaluate"] is EvaluateJobConfig


def test_nothing_near_is_none() -> None:
    assert nearest("zzz", ["ppo.steps"]) is None


def test_configuration_loads_without_torch() -> None:
    code = """
import sys
import r1ray.config.jobs, r1ray.config.serialise
assert not {"torch", "ray", "transformers"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
