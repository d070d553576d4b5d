"""DVC tracks a corpus as it is. Runs where `dvc` is on the path (`pip install dvc`: a hundred packages, no extra)."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from r1ray.data.versions import read_manifest
from tests.data.corpus.helpers import job, make, problem_lines, write_lines

DVC = shutil.which("dvc")


@pytest.mark.slow
@pytest.mark.skipif(DVC is None, reason="dvc is not installed")
def test_a_corpus_is_added_found_changed_and_brought_back(tmp_path: Path) -> None:
    lines = problem_lines(12)
    source = write_lines(tmp_path / "raw.jsonl", lines[:10])

    def dvc(*arguments: str) -> str:
        environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "PYTHONPATH": ""}
        return subprocess.run([str(DVC), *arguments], cwd=tmp_path, check=True, capture_output=True, text=True,
                              env=environment).stdout  # fmt: skip

    dvc("init", "--no-scm")
    first = make(job(tmp_path, source))["manifest"]["content_hash"]
    dvc("add", "mix")
    assert "up to date" in dvc("status")
    write_lines(source, lines)
    second = make(job(tmp_path, source))["manifest"]["content_hash"]
    assert second != first and "modified" in dvc("status")
    dvc("checkout", "--force", "mix.dvc")
    assert read_manifest(tmp_path / "mix")["content_hash"] == first
    assert "up to date" in dvc("status")
