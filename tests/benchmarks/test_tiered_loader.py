"""The measurement runs on a few rows; what it measures is judged where its figures are claimed."""

import json
import sys

from benchmarks import tiered_loader


def test_the_benchmark_ends_with_its_figures(monkeypatch, capsys, tmp_path):
    small = {"--tokens": "40000", "--batch": "8", "--batches": "4", "--repeats": "1", "--delay": "0", "--compute": "0"}
    arguments = [part for option in small.items() for part in option]
    monkeypatch.setattr(sys, "argv", ["tiered_loader.py", *arguments, "--folder", str(tmp_path)])
    tiered_loader.main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["name"] == "tiered_loader"
    for place in ("disk_shuffled", "disk_windows", "store_shuffled", "store_windows"):
        assert found[place]["plain_ms"] > 0
        assert sum(found[place]["warm_hits"].values()) > 0.99
    assert not list(tmp_path.iterdir())
