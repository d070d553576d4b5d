"""`jobs/evaluate.py` on a tiny model: one examined, two paired, and every answer on disk."""

import json
from pathlib import Path

import pytest

from r1ray.commands.evaluate import evaluate_models, split_notice
from r1ray.config.evaluation import EvaluationConfig
from r1ray.config.jobs import EvaluateJobConfig, PPOJobConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.problems import ProblemsConfig
from r1ray.config.run import RunConfig
from r1ray.runs import Run
from tests.tiny import make_tiny_policy

PROBLEMS = ProblemsConfig(families=("chain:1-1",), count=60, heldout=6)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return make_tiny_policy(folder / "one", seed=0), make_tiny_policy(folder / "two", seed=1)


def job(tmp_path: Path, policy: Path, baseline: str = "", seed: int = 0) -> EvaluateJobConfig:
    return EvaluateJobConfig(
        run=RunConfig(storage=str(tmp_path), seed=seed),
        policy=PolicyConfig(path=str(policy)),
        baseline=PolicyConfig(path=baseline),
        problems=PROBLEMS,
        evaluation=EvaluationConfig(problems=5, samples=2, max_new_tokens=4),
    )


def test_one_model_is_examined_on_the_held_out_problems(tmp_path: Path, models: tuple[Path, Path]) -> None:
    config = job(tmp_path, models[0])
    run = Run.create("evaluate", config)
    figures = evaluate_models(config, run)
    answers = [json.loads(line) for line in (run.folder / "answers.jsonl").read_text().splitlines()]
    assert figures["problems"] == len(answers) == 5
    assert figures["accuracy"] == sum(answer["correct"] for answer in answers) / 5
    assert {"pass_at_1", "pass_at_2"} <= set(figures) and "p_value" not in figures
    assert run.manifest()["parents"]["policy"]["sha256"]


def test_two_models_are_paired_on_the_same_problems(tmp_path: Path, models: tuple[Path, Path]) -> None:
    config = job(tmp_path, models[0], baseline=str(models[1]))
    run = Run.create("evaluate", config)
    figures = evaluate_models(config, run)
    answers = [json.loads(line) for line in (run.folder / "answers.jsonl").read_text().splitlines()]
    assert any(answer["text"] != answer["baseline_text"] for answer in answers)
    assert figures["difference_low"] <= figures["accuracy"] - figures["accuracy_baseline"] <= figures["difference_high"]
    assert 0 <= figures["p_value"] <= 1


def test_a_model_that_was_trained_under_another_split_is_noticed(tmp_path: Path, models: tuple[Path, Path]) -> None:
    trained = Run.create("ppo", PPOJobConfig(run=RunConfig(storage=str(tmp_path), seed=3), problems=PROBLEMS))
    trained.model_path.mkdir()
    for path in (trained.folder, trained.model_path):
        assert split_notice(str(path), job(tmp_path, path, seed=3)) == ""
        assert "run.seed 0, there 3" in split_notice(str(path), job(tmp_path, path, seed=0))
    assert split_notice(str(models[0]), job(tmp_path, models[0])) == ""
    assert split_notice("", job(tmp_path, models[0])) == ""
