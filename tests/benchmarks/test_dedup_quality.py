"""The measurement runs on a few rows; what it measures is judged where its figures are claimed."""

import json
import sys

from benchmarks import dedup_quality


def test_the_benchmark_ends_with_its_figures(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dedup_quality.py", "--rows", "300", "--repeats", "1"])
    dedup_quality.main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["name"] == "dedup_quality"
    assert found["true_pairs"] > 10
    assert found["precision"] == 1
    assert found["value"] > 0.9
