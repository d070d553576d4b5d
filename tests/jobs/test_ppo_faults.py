"""`jobs/ppo.py` on Ray when things go wrong: lost workers, Ctrl-C, bad rows, errors in a learner, wrong settings."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from r1ray.config.jobs import PPOJobConfig
from r1ray.config.policy import CriticConfig
from r1ray.rl import actors
from r1ray.runs import Run
from tests.jobs.helpers import (
    Ended,
    attempts,
    learn_and_note,
    make_mortal_rollout_worker,
    press_ctrl_c_after,
    run_job,
    tiny_job,
)

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


@pytest.fixture
def job(policy: Path, tmp_path: Path) -> PPOJobConfig:
    return tiny_job(policy, tmp_path)


@pytest.mark.slow
def test_overlapped_grpo_survives_a_lost_rollout_worker_and_ctrl_c_and_is_resumed(
    job: PPOJobConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grpo = replace(
        job,
        ppo=replace(job.ppo, algorithm="grpo", max_staleness=1, steps=500),
        critic=CriticConfig(kind="none"),
        resources=replace(job.resources, rollout_workers=2),
        run=replace(job.run, samples_every=0),
    )
    monkeypatch.setattr(actors, "make_rollout_worker", make_mortal_rollout_worker)
    waiting = press_ctrl_c_after(3, tmp_path / "x")
    stopped = run_job(grpo, "--run.name", "x")
    waiting.join()

    assert stopped.code == 130
    assert "Stopping after this step, with a checkpoint." in stopped.out
    assert "--resume" in stopped.err
    assert stopped.manifest()["status"] == "interrupted"
    rows = stopped.rows()
    assert Run.open(stopped.folder).checkpoints.steps() == [len(rows)]
    assert not (stopped.folder / "model").exists()
    # A worker died in the generation of step 1, and nothing of it is missing.
    assert (tmp_path / "died").exists()
    assert [row["rollout/tokens_mean"] * 8 for row in rows] == [row["rollout/tokens"] for row in rows]
    lost = set(stopped.started["rollout"]) - set(stopped.pids["rollout"])
    assert len(lost) == 1
    # The first step has nothing to overlap with; from then on, rollouts are one version old.
    assert [row["rollout/staleness"] for row in rows] == [0.0] + [1.0] * (len(rows) - 1)

    done = run_job(job, "--resume", str(stopped.folder), "--ppo.steps", str(len(rows) + 1))
    assert done.code == 0, done.err
    assert done.manifest()["status"] == "done"
    assert [row["step"] for row in done.rows()] == list(range(1, len(rows) + 2))
    assert (done.folder / "model" / "model.safetensors").exists()


@pytest.mark.slow
def test_two_learners_share_the_work_and_bad_rows_are_set_aside(job: PPOJobConfig, tmp_path: Path) -> None:
    rows = [{"question": f"What is {n} + {n + 1}?", "answer": str(2 * n + 1)} for n in range(40)]
    lines = [*map(json.dumps, rows), "{broken", '{"question": "No answer?"}', json.dumps(rows[0])]
    lines.append(json.dumps({"question": "Why? " * 100, "answer": "1"}))
    (tmp_path / "problems.jsonl").write_text("\n".join(lines))
    shared = replace(
        job,
        problems=replace(job.problems, path=os.path.relpath(tmp_path / "problems.jsonl")),
        cold_start=replace(job.cold_start, examples=5, families=("chain:1/plain",), batch=4),  # the last batch has one
        evaluation=replace(job.evaluation, problems=4),
        resources=replace(job.resources, learners=2),
        ppo=replace(job.ppo, minibatches=2, kl_coef=0.1),
        run=replace(job.run, report=True, checkpoint_every=1),
    )
    ended = run_job(shared, "--run.name", "two")

    assert ended.code == 0, ended.err
    problems = ended.manifest()["problems"]
    assert (problems["rows_in"], problems["kept"], problems["quarantined"], problems["duplicates"]) == (44, 40, 3, 1)
    assert problems["reasons"] == {"not JSON": 1, "no answer": 1, "prompt too long": 1}
    assert [row["reason"] for row in ended.rows("quarantine.jsonl")] == list(problems["reasons"])
    assert "3 of 44 rows were set aside" in ended.out
    assert "prompt too long" in (ended.folder / "report.html").read_text()
    assert ended.manifest()["inputs"]["problems"]["sha256"]

    metrics = ended.rows()
    assert [row["step"] for row in metrics] == [1, 2]
    for row in metrics:
        # Of all 8 rollouts, not of one rank's share, and by the clock of the rank that had to wait for them.
        assert row["rollout/tokens_mean"] * 8 == row["rollout/tokens"]
        assert 1e-3 < row["time/generate"] < row["time/step"]
        assert row["throughput/generated_tokens_per_s"] == pytest.approx(row["rollout/tokens"] / row["time/generate"])
        assert row["rollout/logprob_gap_max"] < 1e-3
    assert [row["step"] for row in ended.rows("samples.jsonl")] == [1] * 4 + [2] * 4  # rank 0's two groups
    assert ended.out.count("Held-out accuracy, after") == 1
    assert json.loads(ended.out.splitlines()[-1])["problems"] == 4


@pytest.mark.slow
def test_an_error_in_a_learner_comes_out_as_it_was_and_nobody_tries_again(
    job: PPOJobConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actors, "learn", learn_and_note)
    ended = run_job(replace(job, ppo=replace(job.ppo, parity_bound=1e-12)), "--run.name", "x")
    assert ended.code == 1
    assert ended.err.count("ParityError: Rollout and trainer log-probs of policy version 1 differ by") == 1
    assert "Traceback" not in ended.err
    assert ended.manifest()["status"] == "failed"
    assert len(attempts(ended.folder)) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--problems.heldout", "1000"), 1, "DataError: Holding out 1000 problems"),
        (("--problems.max-prompt-tokens", "20"), 1, "DataError: Nothing in chain:1-2 can be used"),
        (("--problems.path", "nowhere.jsonl"), 1, "nowhere.jsonl"),
        (("--reward.process-path", "nowhere"), 1, "ModelError: No model at 'nowhere'"),
        (("--reward.functions", "nowhere.py:score"), 2, "ConfigError: "),
        (("--resources.learners", "1000"), 1, "ResourceError: The job does not fit"),
    ],
)
def test_what_cannot_work_is_said_before_any_worker_starts(
    job: PPOJobConfig, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, message: str
) -> None:
    monkeypatch.setattr(actors, "start_pools", lambda config: pytest.fail("workers were started"))
    impatient = replace(job, resources=replace(job.resources, wait_seconds=0))
    ended: Ended = run_job(impatient, "--run.name", "x", *arguments)
    assert ended.code == code
    assert message in ended.err
    assert ended.manifest()["status"] == "failed"
