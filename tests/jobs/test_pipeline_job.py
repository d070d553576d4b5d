"""`jobs/pipeline.py` whole, with a tiny policy: four stages feed each other, and nothing is done twice."""

import json
from pathlib import Path
from typing import Any

import pytest

from r1ray.cli import execute
from r1ray.config.corpus import CorpusConfig
from r1ray.config.evaluation import EvaluationConfig
from r1ray.config.jobs import CorpusJobConfig, PipelineJobConfig, PPOJobConfig, RewardModelJobConfig, SFTJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.ppo import PPOConfig, SamplingConfig
from r1ray.config.problems import ProblemsConfig
from r1ray.config.resources import ResourcesConfig
from r1ray.config.reward import RewardConfig
from r1ray.config.reward_model import RewardModelConfig, StepLabelsConfig
from r1ray.config.run import RunConfig
from r1ray.config.sft import SFTConfig
from r1ray.runs import Run
from r1ray.runs.lineage import Ancestor, lineage

pytestmark = [pytest.mark.ray, pytest.mark.slow]
VERB = "r1ray.pipeline:run_pipeline"


def job(policy: Path, storage: Path) -> PipelineJobConfig:
    problems = ProblemsConfig(families=("chain:1",), count=60, heldout=16, max_number=4, max_prompt_tokens=400)
    resources = ResourcesConfig(learner_cpus=0.5, rollout_cpus=0.5, reward_cpus=0.25, threads=1)
    evaluation = EvaluationConfig(problems=8, max_new_tokens=20)
    start = PolicyConfig(path=str(policy))
    return PipelineJobConfig(
        run=RunConfig(storage=str(storage), name="pipeline"),
        corpus=CorpusJobConfig(corpus=CorpusConfig(families=("chain:1-2",), count=400, max_number=5)),
        sft=SFTJobConfig(
            policy=start,
            problems=problems,
            sft=SFTConfig(validation=16, evaluate_every=0),
            optim=OptimConfig(lr=4e-3, schedule="cosine", tokens_per_microbatch=1024),
            evaluation=evaluation,
            resources=resources,
        ),
        reward_model=RewardModelJobConfig(
            problems=problems,
            reward_model=RewardModelConfig(heldout=16, epochs=1),
            sampling=SamplingConfig(max_new_tokens=24),
            step_labels=StepLabelsConfig(
                problems=16, validation=8, problems_per_task=8, completions=2, max_new_tokens=24
            ),
            optim=OptimConfig(lr=3e-3, tokens_per_microbatch=1024),
            resources=resources,
        ),
        ppo=PPOJobConfig(
            problems=problems,
            sampling=SamplingConfig(max_new_tokens=24),
            ppo=PPOConfig(steps=1, prompts_per_step=4, samples_per_prompt=2),
            reward=RewardConfig(step_weight=0.0, step_placement="mean"),
            optim=OptimConfig(lr=1e-4, tokens_per_microbatch=1024),
            evaluation=evaluation,
            resources=resources,
        ),
    )


@pytest.fixture(scope="module")
def whole(ray_session: None, policy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, Any]]:
    storage = tmp_path_factory.mktemp("pipeline-runs")
    summary = execute(VERB, job(policy, storage), job="pipeline")
    return Run.open(storage / "pipeline"), summary


def test_every_stage_ends_and_accuracies_share_their_problems(whole: tuple[Run, dict[str, Any]]) -> None:
    _, summary = whole
    assert [one["stage"] for one in summary["stages"]] == ["corpus", "sft", "reward_model", "ppo"]
    accuracies = {row["stage"]: row["problems"] for row in summary["table"] if row["accuracy"] is not None}
    assert accuracies == {"base": 8, "sft": 8, "ppo": 8}
    assert {"accuracy_base", "accuracy_sft", "accuracy_ppo"} <= summary.keys()


def test_one_lineage_leads_from_the_policy_back_to_the_corpus(whole: tuple[Run, dict[str, Any]]) -> None:
    run, _ = whole

    def shape(one: Ancestor) -> dict[str, Any]:
        assert one.state in ("intact", "named"), one.path
        return {(parent.role, parent.manifest.get("job", "")): shape(parent) for parent in one.parents}

    found = shape(lineage(run.folder / "ppo"))
    sft = {("sft", "corpus"): {}, ("policy", ""): {}}
    assert found == {("policy", "sft"): sft, ("reward", "reward_model"): {("policy", "sft"): sft}}


def test_process_rewards_of_the_trained_model_reached_ppo(whole: tuple[Run, dict[str, Any]]) -> None:
    run, _ = whole
    [row] = [json.loads(line) for line in (run.folder / "ppo" / "metrics.jsonl").read_text().splitlines()]
    assert 0 <= row["reward/process"] <= 1


def test_a_resumed_pipeline_makes_nothing_twice(whole: tuple[Run, dict[str, Any]], policy: Path) -> None:
    run, first = whole
    again = execute(VERB, job(policy, run.folder.parent), job="pipeline", existing=run)
    assert again["stages"] == first["stages"]
    names = sorted(path.name for path in run.folder.iterdir() if (path / "manifest.json").exists())
    assert names == ["corpus", "ppo", "reward_model", "sft"]
