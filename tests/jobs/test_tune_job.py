"""`jobs/tune.py` as a user runs it: killed in the middle, resumed, and its best configuration given to the job."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import r1ray
from r1ray.config.jobs import TinyJobConfig, TuneJobConfig
from r1ray.config.serialise import from_dict, to_dict
from r1ray.config.trial import trial_space
from r1ray.tune.journal import JOURNAL, first_points
from r1ray.tune.proposals import Proposals
from r1ray.tune.space import SearchSpace
from tests.tune.tiny import SMALL

ROOT = Path(r1ray.__file__).parent.parent
TRIALS = 7


def command(job: str, *arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "jobs" / job), *arguments]


def journal(folder: Path, event: str) -> list[dict[str, Any]]:
    path = folder / JOURNAL
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [entry for line in lines if line.endswith("\n") and (entry := json.loads(line))["event"] == event]


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_search_is_resumed_to_the_same_suggestions_and_its_best_runs(tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text(json.dumps(to_dict(SMALL)))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = ["--run.name", "s", "--tune.base", str(tmp_path / "base.json"), "--tune.trials", str(TRIALS)]
    folder = tmp_path / "runs" / "s"
    with (tmp_path / "log").open("w") as log:
        first = subprocess.Popen(command("tune.py", *arguments), cwd=tmp_path, env=environment, stdout=log, stderr=log)
        while len(journal(folder, "tell")) < 4 and first.poll() is None:
            time.sleep(0.01)
        first.send_signal(signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL, (tmp_path / "log").read_text()
    (tmp_path / "base.json").unlink()  # a search keeps what it started from
    before = journal(folder, "ask")
    assert len(before) < TRIALS
    done = subprocess.run(
        command("tune.py", "--resume", "runs/s"),
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    asked = [entry["values"] for entry in journal(folder, "ask")]
    assert asked[: len(before)] == [entry["values"] for entry in before]

    # An undisturbed search asks for the same points, given the same results: and a tiny training is repeatable.
    config = from_dict(TuneJobConfig(), json.loads((folder / "config.json").read_text()))
    space = SearchSpace.parse(trial_space(config.tune))
    undisturbed = Proposals(space, config.searcher, seed=0, first=first_points(config.tune, space, SMALL))
    results = {entry["number"]: entry["result"] for entry in journal(folder, "tell")}
    for number, values in enumerate(asked):
        assert undisturbed.ask(str(number)) == values
        undisturbed.tell(str(number), results[number])
    assert len(asked) == TRIALS

    summary = json.loads(done.stdout.splitlines()[-1])
    assert {"best_value", "default_value", "best_config", "run", "minutes"} <= set(summary)
    assert summary["best_value"] == max(results.values())
    assert summary["default_value"] == results[0]
    assert "Parallel coordinates" in (folder / "report.html").read_text()
    best = subprocess.run(
        command("tiny.py", "--config", summary["best_config"], "--run.name", "best"),
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert best.returncode == 0, best.stderr
    assert json.loads(best.stdout.splitlines()[-1])["accuracy"] == pytest.approx(summary["best_value"])
    assert from_dict(TinyJobConfig(), json.loads(Path(summary["best_config"]).read_text())).tiny.width == 16
