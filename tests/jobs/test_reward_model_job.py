"""`jobs/reward_model.py` whole, with tiny models: from a policy's attempts and from files, and on into PPO's reward
worker."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1ray.cli import execute
from r1ray.config.jobs import PPOJobConfig, RewardModelJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.ppo import SamplingConfig
from r1ray.config.problems import ColdStartConfig, ProblemsConfig
from r1ray.config.resources import ResourcesConfig
from r1ray.config.reward import RewardConfig
from r1ray.config.reward_model import PreferenceConfig, RewardModelConfig, StepLabelsConfig
from r1ray.config.run import RunConfig
from r1ray.models.preference_reward import PreferenceRewardModel
from r1ray.rl.factories import make_reward_worker
from r1ray.runs import Run
from r1ray.runs.lineage import lineage
from r1ray.types import Completion, Problem, Rollout
from tests.tiny import make_tiny_tokenizer

VERB = "r1ray.train.reward_job:train_reward_model"
pytestmark = pytest.mark.ray


def job(policy: Path, storage: Path, name: str, **reward_model: Any) -> RewardModelJobConfig:
    return RewardModelJobConfig(
        run=RunConfig(storage=str(storage), name=name, checkpoint_every=4),
        policy=PolicyConfig(path=str(policy)),
        reward_model=RewardModelConfig(**{"evaluate_every": 4, "epochs": 1, **reward_model}),
        cold_start=ColdStartConfig(families=("chain:1-2",), max_number=5, examples=480, lr=4e-3),
        problems=ProblemsConfig(families=("chain:1",), count=60, heldout=16, max_number=4),
        sampling=SamplingConfig(max_new_tokens=24),
        step_labels=StepLabelsConfig(problems=16, validation=8, problems_per_task=8, completions=2, max_new_tokens=24),
        optim=OptimConfig(lr=3e-3, tokens_per_microbatch=1024),
        resources=ResourcesConfig(learner_cpus=0.5, rollout_cpus=0.5, threads=1),
    )


def rollout(text: str) -> Rollout:
    tokenizer = make_tiny_tokenizer()
    ids = tokenizer(text).input_ids
    return Rollout(
        problem=Problem(id="p", question="Compute 2 + 2.", answer="4", level=1),
        prompt_ids=[1, *tokenizer("user\nCompute 2 + 2.").input_ids],
        completion=Completion(token_ids=ids, logprobs=[0.0] * len(ids), finish_reason="stop", text=text),
        policy_version=0,
    )


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reward-runs")


@pytest.fixture(scope="module")
def labelled(ray_session: None, policy: Path, storage: Path) -> dict[str, Any]:
    """A run from the policy's own attempts."""
    return execute(VERB, job(policy, storage, "labelled", heldout=16), job="reward_model")


def test_the_whole_line_from_a_cold_start_to_held_out_figures(labelled: dict[str, Any], storage: Path) -> None:
    of_both_kinds = 0 < labelled["erroneous"] < labelled["solutions"]  # a tiny policy may solve none, and F1 needs both
    assert labelled["metric"] == ("first_error_f1" if of_both_kinds else "first_error_accuracy")
    assert labelled["solutions"] + labelled["undecided"] == 16 * 4
    assert {"random_f1", "majority_accuracy", "step_ece", "best_of_n", "best_of_n_oracle"} <= labelled.keys()
    folder = storage / "labelled"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["labels"]["attempts"] == 64 and manifest["labels"]["prefixes_completed"] > 0
    lines = (folder / "attempts" / "train-0000.prefixes.jsonl").read_text().splitlines()
    assert all(json.loads(line)["samples"] == 2 for line in lines) and lines
    assert sum(bin_["count"] for bin_ in json.loads((folder / "examination.json").read_text())["reliability"]) > 0
    assert "<h2>Reliability</h2>" in (folder / "report.html").read_text()
    assert lineage(folder).parents[0].role == "policy"


def test_a_resumed_run_labels_and_trains_nothing_twice(labelled: dict[str, Any], storage: Path) -> None:
    run = Run.open(storage / "labelled")
    written = {
        path: path.stat().st_mtime_ns for path in [*(run.folder / "attempts").iterdir(), *run.model_path.iterdir()]
    }
    steps = [json.loads(line)["step"] for line in run.metrics_path.read_text().splitlines()]
    config = job(Path(run.config_data()["policy"]["path"]), storage, "labelled", heldout=16)
    again = execute(VERB, config, job="reward_model", existing=run)
    assert {name: value for name, value in again.items() if name != "minutes"} == {
        name: value for name, value in labelled.items() if name != "minutes"
    }
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert [json.loads(line)["step"] for line in run.metrics_path.read_text().splitlines()] == steps


def test_ppos_reward_worker_takes_the_run_with_one_setting(
    labelled: dict[str, Any], policy: Path, storage: Path
) -> None:
    config = PPOJobConfig(
        policy=PolicyConfig(path=str(policy)),
        reward=RewardConfig(process_path=str(storage / "labelled"), step_weight=0.0, process_weight=1.0),
    )
    [scored], _ = make_reward_worker(config, threads=1).score([rollout("1. 2 + 2 = 4\nAnswer: 4")])
    assert scored.correct and len(scored.step_scores) == 1
    assert 0 < scored.step_scores[0] < 1 and scored.components["process"] == scored.step_scores[0]


def test_preferences_from_a_file(ray_session: None, policy: Path, storage: Path) -> None:
    """Whoever says `yes` is preferred, and says it at length."""
    path = storage / "pairs.jsonl"
    rows = [
        {"prompt": f"Question {i}", "chosen": "yes" + "." * (i % 7 + 2), "rejected": "no" + "." * (i % 5)}
        for i in range(96)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = job(policy, storage, "preference", kind="preference", path=str(path), heldout=24, epochs=2)
    config = replace(config, preference=PreferenceConfig(length_correction="posthoc"))
    summary = execute(VERB, config, job="reward_model")
    assert summary["metric"] == "pair_accuracy" and summary["pairs"] == 24
    assert summary["value"] > 0.9 > 0.5 <= summary["baseline"]
    model = PreferenceRewardModel.from_path(str(storage / "preference"))
    assert model.correction is not None
