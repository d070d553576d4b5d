"""`jobs/ppo.py` from end to end on Ray, with a tiny policy: what one whole run leaves behind, and a second one whose
learner is killed."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from r1ray.config.evaluation import EvaluationConfig
from r1ray.config.jobs import PPOJobConfig
from r1ray.config.ppo import PPOConfig
from r1ray.config.problems import ColdStartConfig
from r1ray.config.reward import RewardConfig
from r1ray.config.run import RunConfig
from r1ray.rl import actors
from r1ray.runs import Run
from r1ray.runs.files import hash_path
from r1ray.runs.lineage import lineage
from tests.jobs.helpers import Ended, attempts, learn_mortally, run_job, tiny_job

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("ray_session")]

FUNCTION = """
import os

def evenness(rollout):
    with open({path!r}, "a") as file:
        file.write(f"{{os.getpid()}}\\n")
    tokens = rollout.completion.token_ids
    return sum(token % 2 == 0 for token in tokens) / len(tokens)
"""


def whole_job(policy: Path, reward_model: Path, storage: Path, name: str) -> PPOJobConfig:
    """Everything on: cold start, evaluations, reference, process reward model, a function of the user's."""
    file = storage / f"rewards_{name}.py"
    file.write_text(FUNCTION.format(path=str(storage / f"calls-{name}")))
    return replace(
        tiny_job(policy, storage),
        run=RunConfig(storage=str(storage), checkpoint_every=2),
        cold_start=ColdStartConfig(examples=16, families=("chain:1/plain",), batch=8),
        reward=RewardConfig(process_path=str(reward_model), functions=(f"{file}:evenness@0.5",)),
        ppo=PPOConfig(steps=4, prompts_per_step=4, samples_per_prompt=2, kl_coef=0.01),
        evaluation=EvaluationConfig(problems=8, every=2, during=4, samples=2, max_new_tokens=8),
    )


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def whole(ray_session: None, policy: Path, reward_model: Path, storage: Path) -> Iterator[Ended]:
    """A run of the whole job."""
    yield run_job(whole_job(policy, reward_model, storage, "whole"), "--run.name", "whole")


@pytest.fixture(scope="module")
def killed(whole: Ended, policy: Path, reward_model: Path, storage: Path) -> Ended:
    """The same job, whose learner's process is killed after step 3 and restarted from the checkpoint of step 2."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(actors, "learn", learn_mortally)
        return run_job(whole_job(policy, reward_model, storage, "killed"), "--run.name", "killed")


def test_the_last_line_is_the_summary(whole: Ended) -> None:
    assert whole.code == 0, whole.err
    summary = json.loads(whole.out.splitlines()[-1])
    assert summary["run"] == str(whole.folder)
    assert set(summary) >= {
        "minutes",
        "accuracy_base",
        "accuracy_cold_start",
        "accuracy_after",
        "p_value",
        "problems",
        "pass_at_1",
        "pass_at_2",
    }
    assert summary["problems"] == 8
    assert 0 <= summary["p_value"] <= 1
    assert whole.manifest()["summary"] == summary


def test_the_run_folder_is_complete(whole: Ended) -> None:
    manifest, config = whole.manifest(), Run.open(whole.folder).config_data()
    assert manifest["status"] == "done"
    assert config["ppo"]["steps"] == 4
    assert (whole.folder / "report.html").read_text().count("<svg") > 3
    assert list((whole.folder / "tensorboard").glob("events.out.*"))
    assert Run.open(whole.folder).checkpoints.steps() == [2, 4]
    assert (manifest["problems"]["quarantined"], manifest["problems"]["heldout"]) == (0, 8)


def test_its_parents_are_named_by_their_hashes(whole: Ended, policy: Path, reward_model: Path) -> None:
    parents = whole.manifest()["parents"]
    assert {role: entry["sha256"] for role, entry in parents.items()} == {
        "policy": hash_path(policy),
        "reward": hash_path(reward_model),
    }
    assert [ancestor.state for ancestor in lineage(whole.folder).parents] == ["intact", "intact"]


def test_every_step_has_a_row_with_every_group_of_metrics(whole: Ended) -> None:
    rows = whole.rows()
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        groups = {key.partition("/")[0] for key in row if "/" in key}
        assert groups >= {"rollout", "reward", "ppo", "optim", "time", "throughput"}
        assert row["rollout/logprob_gap_max"] < 1e-3
        assert row["ppo/ratio_deviation"] < 1e-4
        assert row["rollout/staleness"] == 0
        assert row["rollout/tokens"] <= 8 * 12
    assert ["evaluation/accuracy" in row for row in rows] == [False, True, False, False]


def test_the_process_reward_model_and_the_users_function_are_logged(whole: Ended, storage: Path) -> None:
    assert all({"reward/process", "reward/evenness"} <= set(row) for row in whole.rows())
    assert len({row["reward/evenness"] for row in whole.rows()}) > 1


def test_the_users_function_is_called_once_a_rollout_in_the_reward_workers(whole: Ended, storage: Path) -> None:
    callers = [int(line) for line in (storage / "calls-whole").read_text().splitlines()]
    assert len(callers) == 4 * 8
    assert set(callers) == set(whole.pids["reward"])
    assert os.getpid() not in callers


def test_samples_line_up(whole: Ended) -> None:
    rows = whole.rows("samples.jsonl")
    assert [row["step"] for row in rows] == [step for step in (1, 2, 3, 4) for _ in range(8)]
    for row in rows:
        assert len(row["tokens"]) == len(row["advantages"]) > 0
        assert all(row["text"][step["start"] : step["end"]] == step["text"] for step in row["steps"])
        assert all(step["last_token"] < len(row["tokens"]) for step in row["steps"])


def test_the_model_opens_with_transformers_and_differs_from_its_start(whole: Ended) -> None:
    tokenizer = AutoTokenizer.from_pretrained(whole.folder / "model")
    trained = AutoModelForCausalLM.from_pretrained(whole.folder / "model")
    ids = torch.tensor([tokenizer("1 + 1 =").input_ids])
    start = AutoModelForCausalLM.from_pretrained(whole.folder / "cold_start")
    with torch.no_grad():
        assert not torch.equal(trained(ids).logits, start(ids).logits)


def test_a_learner_killed_in_the_middle_is_restarted_beside_its_living_pools(killed: Ended, storage: Path) -> None:
    assert killed.code == 0, killed.err
    assert "Resumed at step 2." in killed.out
    assert len(set(attempts(killed.folder))) == 2
    callers = [int(line) for line in (storage / "calls-killed").read_text().splitlines()]
    assert set(callers) == set(killed.pids["reward"])
    assert len(callers) == (4 + 1) * 8  # step 3 was scored twice, by the same process
    assert killed.pids["rollout"] == killed.started["rollout"]


def test_the_restarted_run_ends_bit_for_bit_like_the_one_that_was_not_killed(whole: Ended, killed: Ended) -> None:
    models = [load_file(run.folder / "model" / "model.safetensors") for run in (whole, killed)]
    assert models[0].keys() == models[1].keys()
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    ends = [Run.open(run.folder).checkpoints.load(4).info for run in (whole, killed)]
    assert ends[0] == ends[1]  # policy version, KL coefficient, sampler and curriculum


def test_its_files_have_every_step_once(whole: Ended, killed: Ended) -> None:
    def figures(run: Ended) -> list[dict[str, float]]:
        return [{k: v for k, v in row.items() if not k.startswith(("time", "throughput/"))} for row in run.rows()]

    assert figures(killed) == figures(whole)
    assert killed.rows("samples.jsonl") == whole.rows("samples.jsonl")
