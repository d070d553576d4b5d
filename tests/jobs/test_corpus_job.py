"""`jobs/corpus.py` on Ray Data: killed drivers and workers lose nothing, double nothing and cost no finished work."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from r1ray.config.problems import ProblemsConfig
from r1ray.data.corpus.job import build_corpus
from r1ray.data.corpus.plan import Stage
from r1ray.data.problem_set import build_problem_set
from tests.data.corpus.helpers import job, make, problem_lines, write_lines

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.ray


def kill_once(stage: Stage, marks: Path) -> Stage:
    """The stage with workers that die by SIGKILL, each piece's first one, before or after the piece is finished."""

    def work(number: int) -> dict[str, Any]:
        mark = marks / f"{stage.name}-{number}"
        first = not mark.exists()
        mark.touch()
        if first and number % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        result = stage.work(number)
        if first:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return Stage(stage.name, stage.pieces, work, stage.local)


def test_workers_that_are_killed_change_nothing(
    tmp_path: Path, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from r1ray.data import pipeline

    monkeypatch.setattr(pipeline, "TASKS_PER_SLOT", 0.5)  # several pieces a task: one may be killed between two
    source = write_lines(tmp_path / "raw.jsonl", [*problem_lines(60), *problem_lines(20)])
    whole = make(job(tmp_path / "whole", source, unit_mib=0.02))
    on_ray, marks = pipeline.make_on_ray(1.0), tmp_path / "marks"
    marks.mkdir()

    def make_pieces(stage: Stage, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
        yield from on_ray(kill_once(stage, marks), numbers)

    killed = build_corpus(job(tmp_path / "killed", source, unit_mib=0.02), make_pieces, lambda *_: None)
    assert len(list(marks.iterdir())) >= 4
    assert killed["manifest"]["content_hash"] == whole["manifest"]["content_hash"]
    assert killed["manifest"]["funnel"] == whole["manifest"]["funnel"]


def start(folder: Path, source: Path) -> "subprocess.Popen[str]":
    arguments = ["--corpus.input", str(source), "--corpus.output", str(folder / "mix"), "--corpus.unit-mib", "0.01",
                 "--run.storage", str(folder / "runs"), "--noise.no-enabled", "--domain.no-enabled"]  # fmt: skip
    environment = {**os.environ, "RAY_ADDRESS": "local", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, str(ROOT / "jobs/corpus.py"), *arguments], env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder)  # fmt: skip


@pytest.mark.slow
def test_a_driver_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "raw.jsonl", problem_lines(900))
    whole = make(job(tmp_path / "whole", source, unit_mib=0.01))
    driver = start(tmp_path, source)
    pieces = tmp_path / ".mix" / "work"
    while driver.poll() is None and len(list(pieces.glob("*/read/0*"))) < 3:
        time.sleep(0.01)
    driver.kill()
    driver.communicate()
    found = len(list(pieces.glob("*/read/0*")))
    assert found >= 3 and not (tmp_path / "mix").exists(), "killed in the middle"
    output, errors = start(tmp_path, source).communicate()
    summary = json.loads(output.splitlines()[-1]) if output else pytest.fail(errors)
    assert summary["content_hash"] == whole["manifest"]["content_hash"]
    assert summary["rows_in"] == summary["rows_out"] == 900
    assert summary["pieces_found"] >= found
    problems = build_problem_set(ProblemsConfig(path=str(tmp_path / "mix"), heldout=10), seed=0)
    assert len(problems.train) == 890
    assert (Path(summary["run"]) / "report.html").is_file()
