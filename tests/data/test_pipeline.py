import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from r1ray.config.problems import ProblemsConfig
from r1ray.data.problem_set import build_problem_set


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_ray_data_reads_what_the_plain_path_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from r1ray.data import pipeline

    lines = [json.dumps({"question": f"What is {n} + 1?", "answer": n + 1}) for n in range(20)]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, "{broken", '{"question": "What is 1 + 1?", "answer": "2"}']))
    metadata = ['{"source": "book"}', None]
    table = pyarrow.table({"question": ["Halve 8.", "Double 8."], "answer": ["4", None], "metadata": metadata})
    pyarrow.parquet.write_table(table, tmp_path / "b.parquet")

    rows = pipeline.read_problems(str(tmp_path)).take_all()
    assert len(rows) == 24
    assert sorted(row["reason"] for row in rows if row["reason"]) == ["no answer", "not JSON"]

    config = ProblemsConfig(path=str(tmp_path), heldout=5)
    plain = build_problem_set(config, seed=0)
    assert pipeline.load_problems(config, seed=0) == plain  # small and local: read in this process
    monkeypatch.setattr(pipeline, "SMALL_BYTES", 0)
    assert pipeline.load_problems(config, seed=0) == plain  # by Ray's tasks
    assert plain.report.duplicates == 1 and plain.report.kept == 21
