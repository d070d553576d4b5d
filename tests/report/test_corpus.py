"""The page of a corpus."""

import dataclasses
import json
from pathlib import Path

from r1ray.config.synthesize import SynthesizeConfig
from r1ray.report.corpus import bar_chart, corpus_view, funnel_chart
from r1ray.report.render import render_report
from tests.data.corpus.helpers import job, make, problem_lines, write_lines


def test_the_funnel_names_every_reason_and_its_stage() -> None:
    funnel = {"rows_in": 10, "kept": 6, "quarantined": {"not JSON": 1}, "dropped": {"dedup": {"near duplicate": 3}}}
    bars = funnel_chart(funnel).bars
    assert [(bar.label, bar.count, bar.note) for bar in bars] == [
        ("read", 10, ""), ("not JSON", 1, "quarantined"), ("near duplicate", 3, "dedup"), ("kept", 6, ""),
    ]  # fmt: skip
    assert bars[-1].share == 0.6


def test_what_a_chart_has_no_room_for_is_one_bar() -> None:
    chart = bar_chart("x", {str(n): 20 - n for n in range(15)})
    assert len(chart.bars) == 13 and chart.bars[-1].label == "3 more" and chart.bars[-1].count == 8 + 7 + 6


def test_the_page_shows_reasons_examples_and_versions_and_escapes_what_it_read(tmp_path: Path) -> None:
    private = {"text": "Mail <script>x</script> to anna.smith@example.org soon, before it is too late."}
    rows = [*problem_lines(5), private, {"oops": 1}]
    config = job(tmp_path, write_lines(tmp_path / "raw.jsonl", rows))
    outcome = make(dataclasses.replace(config, synthesize=SynthesizeConfig(generations=1, children=3)))
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").write_text(
        json.dumps({"job": "corpus", "name": "mix", "status": "done", "started": "2026-01-01T00:00:00", "seed": 0})
    )
    (run / "corpus.json").write_text(json.dumps(outcome))
    page = render_report(run).read_text()
    for text in (
        "no known field",
        "raw.jsonl:7",
        "&lt;EMAIL_1&gt;",
        outcome["manifest"]["content_hash"],
        "L3",
        "EMAIL",
        "<h2>Synthesis</h2>",
        "Patterns with synthesis",
    ):
        assert text in page
    assert "<script>" not in page


def test_a_run_without_corpus_figures_has_no_corpus() -> None:
    assert corpus_view({}) == {}
