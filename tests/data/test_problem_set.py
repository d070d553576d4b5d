import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.config.problems import ProblemsConfig
from r1ray.data.problem_set import build_problem_set
from r1ray.data.quarantine import DataReport, QuarantinedRow
from r1ray.errors import DataError


def write(path: Path, questions: list[str], *broken: str) -> str:
    lines = [json.dumps({"question": question, "answer": "1"}) for question in questions]
    path.write_text("\n".join([*lines, *broken]))
    return str(path)


def test_every_row_of_a_file_is_accounted_for(tmp_path: Path):
    """Ten questions, one of them twice, and three bad rows: 14 in = 10 kept + 1 duplicate + 3 set aside."""
    questions = [f"What is {n} + 1?" for n in range(10)] + ["WHAT IS 3 + 1"]
    path = write(tmp_path / "rows.jsonl", questions, "{", "[]", '{"question": "What is 99?"}')
    problems = build_problem_set(ProblemsConfig(path=path, heldout=4), seed=0)
    report = problems.report
    assert (report.rows_in, report.kept, report.duplicates, len(report.quarantined)) == (14, 10, 1, 3)
    assert report.reasons == {"not JSON": 1, "not an object": 1, "no answer": 1}
    assert [(row.file, row.line) for row in report.quarantined] == [(path, 12), (path, 13), (path, 14)]
    assert len(problems.heldout) == 4 and len(problems.train) == 6
    assert json.loads(json.dumps(report.to_json()))["quarantined"] == 3


def test_a_held_out_file_takes_its_questions_out_of_training(tmp_path: Path):
    """12 training rows, 2 also held out, 3 held-out rows, 1 bad: 16 in = 10 + 3 kept + 2 leaked + 1 set aside."""
    train = write(tmp_path / "train.jsonl", [f"What is {n}?" for n in range(12)])
    heldout = write(tmp_path / "test.jsonl", ["what is 3", "What is 5?", "What is 77?"], "oops")
    problems = build_problem_set(ProblemsConfig(path=train, heldout_path=heldout), seed=0)
    report = problems.report
    assert (report.rows_in, report.kept, report.leaked, len(report.quarantined)) == (16, 13, 2, 1)
    assert not {p.id for p in problems.train} & {p.id for p in problems.heldout}
    assert len(problems.heldout) == 3


def test_generated_problems_are_split_without_loss():
    config = ProblemsConfig(families=("chain:3-4", "story:3-3"), count=300, heldout=50)
    problems = build_problem_set(config, seed=1)
    assert (len(problems.train), len(problems.heldout), problems.report.rows_in) == (250, 50, 300)
    assert build_problem_set(config, seed=1) == problems
    assert build_problem_set(config, seed=2).fingerprint != problems.fingerprint
    # Held-out problems are a fair sample: both families and all their levels are there.
    assert len(Counter((p.family, p.level) for p in problems.heldout)) == 3


def test_the_order_of_a_file_changes_nothing(tmp_path: Path):
    questions = [f"What is {n}?" for n in range(30)]
    one = write(tmp_path / "one.jsonl", questions)
    sets = [build_problem_set(ProblemsConfig(path=one, heldout=10), seed=0)]
    write(tmp_path / "one.jsonl", questions[::-1])
    sets.append(build_problem_set(ProblemsConfig(path=one, heldout=10), seed=0))
    assert sets[0].train == sets[1].train and sets[0].heldout == sets[1].heldout


def test_long_prompts_are_set_aside_and_counted():
    config = ProblemsConfig(families=("story:1-4",), count=100, heldout=10, max_prompt_tokens=25)
    problems = build_problem_set(config, seed=0, prompt_length=lambda problem: len(problem.question.split()))
    assert all(len(p.question.split()) <= 25 for p in problems.train + problems.heldout)
    assert 0 < problems.report.reasons["prompt too long"] == 100 - problems.report.kept


def test_a_file_of_which_nothing_can_be_used_is_refused_with_reasons(tmp_path: Path):
    path = write(tmp_path / "rows.jsonl", [], '{"text": 1}', '{"text": 2}', "]")
    with pytest.raises(
        DataError, match=r"3 rows, all set aside. 2 × no question, 1 × not JSON. First: .*rows.jsonl:1: "
    ):
        build_problem_set(ProblemsConfig(path=path), seed=0)


def test_an_empty_file_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="There are no rows"):
        build_problem_set(ProblemsConfig(path=write(tmp_path / "rows.jsonl", [])), seed=0)


def test_one_unreadable_file_among_others_stops_nothing(tmp_path: Path):
    write(tmp_path / "a.jsonl", [f"What is {n}?" for n in range(5)])
    (tmp_path / "b.parquet").write_text("not parquet")
    problems = build_problem_set(ProblemsConfig(path=str(tmp_path), heldout=1), seed=0)
    assert problems.report.kept == 5 and problems.report.reasons == {"unreadable file": 1}


counts = st.integers(0, 5)


@given(counts, counts, counts, counts, st.integers(-2, 2))
def test_a_report_whose_sum_is_wrong_cannot_be_made(kept, bad, duplicates, leaked, off):
    quarantined = tuple(QuarantinedRow(file="f", line=n, reason="no answer") for n in range(bad))
    rows_in = kept + bad + duplicates + leaked + off

    def make() -> DataReport:
        return DataReport(rows_in=rows_in, kept=kept, quarantined=quarantined, duplicates=duplicates, leaked=leaked)

    if off:
        with pytest.raises(DataError, match="bug in the pipeline"):
            make()
    else:
        assert sum(make().reasons.values()) == bad
