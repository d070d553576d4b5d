"""`jobs/sft.py` on Ray, from the command line to the saved model; a killed worker; Ctrl-C, and more learners."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from r1ray.config.jobs import SFTJobConfig
from r1ray.runs import Run
from r1ray.runs.lineage import lineage
from r1ray.train import finetune
from tests.jobs.helpers import Ended, attempts
from tests.jobs.sft_helpers import learn_mortally, press_ctrl_c_after, run_sft, tiny_sft

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("ray_session")]


@pytest.fixture
def job(policy: Path, tmp_path: Path) -> SFTJobConfig:
    config = tiny_sft(policy, tmp_path)
    return replace(config, sft=replace(config.sft, dropout=0.1))


def losses(ended: Ended) -> list[float]:
    return [row["train/loss"] for row in ended.rows()]


def test_a_worker_that_is_killed_in_the_middle_of_an_epoch_changes_no_bit(
    job: SFTJobConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examined = replace(
        job, evaluation=replace(job.evaluation, problems=4, every=3, during=2), run=replace(job.run, report=True)
    )
    whole = run_sft(examined, "--run.name", "whole")
    assert whole.code == 0, whole.err
    summary = json.loads(whole.out.splitlines()[-1])
    assert set(summary) == {"run", "minutes", "accuracy_before", "accuracy_after", "p_value", "problems"}
    assert whole.manifest()["summary"] == summary and whole.manifest()["status"] == "done"
    assert [parent.role for parent in lineage(whole.folder).parents] == ["policy"]
    report = (whole.folder / "report.html").read_text()
    assert "Validation perplexity" in report and "Learning rate" in report
    rows = whole.rows()
    assert [row["step"] for row in rows] == list(range(1, 7))
    assert [row["step"] for row in rows if "validation/loss" in row] == [3, 6]
    assert [row["step"] for row in rows if "evaluation/accuracy" in row] == [3]

    monkeypatch.setattr(finetune, "learn", learn_mortally)
    killed = run_sft(job, "--run.name", "killed")
    assert killed.code == 0, killed.err
    assert len(set(attempts(killed.folder))) == 2
    assert "Resumed at step 4 of 6." in killed.out
    assert losses(killed) == losses(whole)
    mine, theirs = (load_file(run.folder / "model" / "model.safetensors") for run in (killed, whole))
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_ctrl_c_leaves_a_checkpoint_from_which_two_learners_go_on(job: SFTJobConfig, tmp_path: Path) -> None:
    lines = [json.dumps({"prompt": f"Say {n}.", "response": f"It is {n}."}) for n in range(30)]
    lines += ["{broken", json.dumps({"prompt": "No answer?"}), lines[0]]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    chat = {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}]}
    (tmp_path / "chat.jsonl").write_text(json.dumps(chat))
    mixed = replace(
        job,
        sft=replace(
            job.sft, path=str(tmp_path / "rows.jsonl"), mix=(f"{tmp_path}/chat.jsonl@0.1",), dropout=0.0, epochs=400
        ),
        zero=replace(job.zero, stage=2),
    )
    waiting = press_ctrl_c_after(2, tmp_path / "x")
    stopped = run_sft(mixed, "--run.name", "x")
    waiting.join()
    assert stopped.code == 130
    assert stopped.manifest()["status"] == "interrupted"
    done = len(stopped.rows())
    assert Run.open(stopped.folder).checkpoints.steps()[-1] == done
    counts = stopped.manifest()["rows"]
    assert (counts["rows_in"], counts["kept"], counts["quarantined"], counts["duplicates"]) == (34, 31, 2, 1)
    assert next(row["reason"] for row in stopped.rows("quarantine.jsonl")) == "not JSON"

    more = ("--resources.learners", "2", "--sft.max-steps", str(done + 2))
    resumed = run_sft(mixed, "--resume", str(stopped.folder), *more)
    assert resumed.code == 0, resumed.err
    assert [row["step"] for row in resumed.rows()] == list(range(1, done + 3))
    assert (resumed.folder / "model" / "model.safetensors").exists()
