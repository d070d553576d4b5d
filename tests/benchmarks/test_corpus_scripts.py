"""The benchmarks of the corpus run, or say what they lack. What they measure is not judged here."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import corpus_utilisation, corpus_vs_datatrove
from benchmarks._documents import write_documents
from tests.data.corpus.helpers import problem_lines, write_lines


def test_utilisation_ends_with_its_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    source = write_lines(tmp_path / "raw.jsonl", [*problem_lines(9), {"oops": 1}])
    monkeypatch.setattr(sys, "argv", ["corpus_utilisation.py", "--input", str(source)])
    corpus_utilisation.main()
    printed = capsys.readouterr().out
    assert "| reasoning, on | 10 | 1 | 0 | 9 | 90.0% |" in printed
    assert json.loads(printed.splitlines()[-1])["value"] == 0.9


def test_without_datatrove_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["corpus_vs_datatrove.py"])
    with pytest.raises(SystemExit, match="pip install"):
        corpus_vs_datatrove.main()


def test_documents_are_the_same_each_time_and_hold_copies(tmp_path: Path) -> None:
    sizes = [write_documents(tmp_path / name, 60, files=2) for name in ("a", "b")]
    lines = [line for path in sorted((tmp_path / "a").iterdir()) for line in path.read_text().splitlines()]
    assert sizes[0] == sizes[1] and len(lines) == 60
    assert len({json.loads(line)["text"] for line in lines}) < 60
