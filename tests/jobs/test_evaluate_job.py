"""`jobs/evaluate.py` as a user runs it: a model on held-out problems, beside another."""

import json
import os
import subprocess
import sys
from pathlib import Path

import r1ray
from tests.tiny import make_tiny_policy

ROOT = Path(r1ray.__file__).parent.parent


def test_two_models_are_compared_and_the_last_line_says_how(policy: Path, tmp_path: Path) -> None:
    other = make_tiny_policy(tmp_path / "other", seed=1)
    settings = {
        "--policy.path": str(policy),
        "--baseline.path": os.path.relpath(other, tmp_path),
        "--problems.families": "chain:1-2",
        "--problems.count": "40",
        "--problems.heldout": "6",
        "--evaluation.problems": "5",
        "--evaluation.max-new-tokens": "4",
        "--run.name": "check",
    }
    command = [
        sys.executable,
        str(ROOT / "jobs" / "evaluate.py"),
        *(word for pair in settings.items() for word in pair),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    folder = tmp_path / "runs" / "check"
    assert summary["run"] == str(folder)
    assert {"accuracy", "accuracy_baseline", "p_value", "minutes"} <= set(summary)
    assert summary["problems"] == len((folder / "answers.jsonl").read_text().splitlines()) == 5
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["status"], manifest["job"], manifest["summary"]) == ("done", "evaluate", summary)
    assert set(manifest["parents"]) == {"policy", "baseline"}
    assert (folder / "report.html").exists()
