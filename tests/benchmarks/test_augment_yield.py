"""The measurement runs on a few rows and writes its page; what it measures is judged where its figures are claimed."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import augment_yield
from tests.data.augment.rows import BAKER


def test_the_benchmark_ends_with_its_figures_and_replaces_its_part_of_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [{"question": BAKER["question"].replace("48", str(n)), "answer": BAKER["answer"]} for n in (48, 50)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    table = {"table": {"table": [["", "2019"], ["a", "40.5"], ["b", "20.5"]]}, "questions": [
        {"uid": "q", "answer_type": "arithmetic", "derivation": "40.5-20.5", "answer": 20, "question": "?", "scale": ""}
    ]}  # fmt: skip
    (tmp_path / "tables.json").write_text(json.dumps([table]))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- yield: begin -->\nold\n<!-- yield: end -->\nafter\n")
    operators = ["parameters", "typos", "masked", "time_window", "mixing", "drop_step"]
    arguments = [
        "--input",
        str(tmp_path / "rows.jsonl"),
        "--tables",
        str(tmp_path / "tables.json"),
        "--write",
        str(page),
    ]
    monkeypatch.setattr(sys, "argv", ["augment_yield.py", *arguments, "--operators", *operators])
    augment_yield.main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["name"], found["rows"]) == ("augment_yield", 2)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "\nold\n" not in text
    assert "| `parameters` | 2 | 1 (50.0 %) | 1 | 0 | 100.0 % |" in text, (
        "the second row's program is not its question's"
    )
    assert "| `numeric`, finance tables | 1 | 1 (100.0 %) | 1 |" in text
    assert "+ question: A baker sells" in text
