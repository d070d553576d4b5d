"""What a job settles before anything starts: paths that hold anywhere, its origin, and the books of its problems."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from r1ray.config.jobs import PPOJobConfig
from r1ray.config.policy import CriticConfig, PolicyConfig
from r1ray.config.problems import ProblemsConfig
from r1ray.config.reward import RewardConfig
from r1ray.config.run import RunConfig
from r1ray.errors import CheckpointError, ConfigError, DataError, ModelError
from r1ray.models.loading import load_tokenizer
from r1ray.reasoning.prompts import prompt_ids
from r1ray.rl.prepare import QUARANTINE, absolute_paths, read_problems, settle
from r1ray.runs import Run
from r1ray.runs.files import hash_path
from r1ray.types import Problem
from tests.tiny import make_tiny_policy


@pytest.fixture
def job(tmp_path: Path, tiny_policy: Path) -> PPOJobConfig:
    return PPOJobConfig(
        run=RunConfig(storage=str(tmp_path / "runs"), name="x"),
        policy=PolicyConfig(path=str(tiny_policy)),
        problems=ProblemsConfig(path=str(tmp_path / "problems.jsonl"), heldout=2),
    )


def write(path: str, *rows: object) -> None:
    Path(path).write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))


def numbered(count: int) -> list[dict[str, str]]:
    return [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(count)]


def test_local_paths_become_absolute_and_names_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prm").mkdir()
    config = absolute_paths(
        PPOJobConfig(
            problems=ProblemsConfig(path="data/*.jsonl", heldout_path="s3://bucket/held.jsonl"),
            reward=RewardConfig(process_path="prm", functions=("mine.py:score@0.5", "package.module:score")),
        )
    )
    assert config.policy.path == "smollm2-135m"
    assert config.critic.path == ""
    assert config.problems.path == str(tmp_path / "data" / "*.jsonl")
    assert config.problems.heldout_path == "s3://bucket/held.jsonl"
    assert config.reward.process_path == str(tmp_path / "prm")
    assert config.reward.functions == (f"{tmp_path / 'mine.py'}:score@0.5", "package.module:score")
    assert absolute_paths(config) == config


def test_models_and_files_are_recorded_with_their_hashes(
    job: PPOJobConfig, tmp_path: Path, tiny_policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(job.problems.path, *numbered(5))
    critic = make_tiny_policy(tmp_path / "critic", seed=3)
    monkeypatch.chdir(tmp_path)
    relative = replace(
        job,
        critic=CriticConfig(kind="model", path="critic"),
        problems=replace(job.problems, path="problems.jsonl", heldout_path="problems.jsonl"),
    )
    run = Run.create("ppo", relative)
    settled = settle(relative, run)
    manifest = run.manifest()
    assert manifest["parents"]["policy"]["sha256"] == hash_path(tiny_policy)
    assert manifest["parents"]["critic"]["sha256"] == hash_path(critic)
    assert manifest["inputs"]["problems"]["sha256"] == hash_path(tmp_path / "problems.jsonl")
    assert set(manifest["inputs"]) == {"problems", "heldout"}
    assert run.config_data()["critic"]["path"] == settled.critic.path == str(critic)


def test_a_run_is_not_resumed_from_another_model_than_it_started_from(job: PPOJobConfig, tmp_path: Path) -> None:
    policy = make_tiny_policy(tmp_path / "policy", seed=1)
    own = replace(job, policy=PolicyConfig(path=str(policy)))
    run = Run.create("ppo", own)
    settle(own, run)
    recorded = run.manifest()["parents"]
    settle(own, run)
    make_tiny_policy(policy, seed=2)
    with pytest.raises(CheckpointError, match="is not what this run started from"):
        settle(own, run)
    assert run.manifest()["parents"] == recorded


def test_wrong_models_and_functions_are_found_at_once(job: PPOJobConfig) -> None:
    run = Run.create("ppo", job)
    with pytest.raises(ModelError, match="nowhere"):
        settle(replace(job, policy=PolicyConfig(path="nowhere")), run)
    with pytest.raises(ConfigError, match="no file"):
        settle(replace(job, reward=RewardConfig(functions=("nowhere.py:score",))), run)


def test_rows_that_cannot_be_used_are_counted_written_down_and_said(job: PPOJobConfig) -> None:
    write(job.problems.path, *numbered(5), "{broken", {"question": "And the answer?"}, numbered(1)[0])
    run, notes = Run.create("ppo", job), []
    problems = read_problems(job, run, notes.append)
    books = run.manifest()["problems"]
    assert (books["rows_in"], books["kept"], books["quarantined"], books["duplicates"]) == (8, 5, 2, 1)
    assert (books["train"], books["heldout"]) == (len(problems.train), len(problems.heldout)) == (3, 2)
    rows = [json.loads(line) for line in (run.folder / QUARANTINE).read_text().splitlines()]
    assert [(row["line"], row["reason"]) for row in rows] == [(6, "not JSON"), (7, "no answer")]
    assert notes == [f"2 of 8 rows were set aside (not JSON 1, no answer 1): {run.folder / QUARANTINE}"]


def test_problems_are_read_once_in_a_process_until_their_file_changes(job: PPOJobConfig) -> None:
    write(job.problems.path, *numbered(5))
    run = Run.create("ppo", job)
    first = read_problems(job, run, print)
    assert read_problems(job, run, print) is first
    write(job.problems.path, *numbered(6))
    assert read_problems(job, run, print).report.kept == 6


def test_without_bad_rows_nothing_is_said(job: PPOJobConfig) -> None:
    write(job.problems.path, *numbered(5))
    run, notes = Run.create("ppo", job), []
    read_problems(job, run, notes.append)
    assert notes == [] and not (run.folder / QUARANTINE).exists()


def test_too_few_problems_are_an_error_that_says_how_many(job: PPOJobConfig) -> None:
    write(job.problems.path, *numbered(2))
    with pytest.raises(DataError, match="needs 3 distinct problems; there are 2"):
        read_problems(job, Run.create("ppo", job), print)


def test_a_prompt_may_have_just_as_many_tokens_as_allowed(job: PPOJobConfig) -> None:
    long = Problem(id="", question="Why " + "so " * 20 + "€?", answer="1")
    length = len(prompt_ids(load_tokenizer(job.policy.path), long, job.problems.system))
    write(job.problems.path, *numbered(5), {"question": long.question, "answer": "1"})
    for limit, used in ((length, 6), (length - 1, 5)):
        limited = replace(job, problems=replace(job.problems, max_prompt_tokens=limit))
        run = Run.create("ppo", replace(limited, run=replace(limited.run, name=f"limit-{limit}")))
        assert read_problems(limited, run, print).report.kept == used
