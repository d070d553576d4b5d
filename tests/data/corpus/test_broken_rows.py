"""Every kind of broken row, among good ones: none stops the job, each is quarantined with file, line and reason."""

import json
import random
from pathlib import Path

import pytest

from tests.data.corpus.helpers import DedupConfig, job, make, problem_lines

BROKEN: dict[str, bytes] = {
    "bad UTF-8": b'{"text": "caf\xff\xfe latte"}',
    "truncated": b'{"question": "How many',
    "null bytes": b"\0\0\0\0\0\0",
    "null in a string": b'{"text": "a\0b"}',
    "not an object": b"[1, 2, 3]",
    "bare word": b"hello",
    "wrong type of question": b'{"question": ["a"], "answer": "1"}',
    "wrong type of answer": b'{"question": "How many eggs?", "answer": {"value": 1}}',
    "wrong type of text": b'{"text": 12}',
    "no known field": b'{"body": "some text"}',
    "empty object": b"{}",
    "empty text": b'{"text": "  "}',
    "no answer": b'{"question": "How many eggs are left?"}',
    "half a surrogate": b'{"text": "\\ud83d is half"}',
    "deep nesting": b'{"text": ' + b"[" * 5000,
    "long integer": b'{"text": ' + b"9" * 5000 + b"}",
}


def mixed(path: Path, broken: int, seed: int = 0) -> set[int]:
    """Write broken lines among as many good ones; returns the numbers of the broken ones."""
    draw, kinds, lines = random.Random(seed), list(BROKEN.values()), set()
    good = [json.dumps(row).encode() for row in problem_lines(broken)]
    with path.open("wb") as stream:
        left, number = broken, 0
        while left or good:
            number += 1
            if left and (not good or draw.random() < 0.5):
                stream.write(kinds[left % len(kinds)] + b"\n")
                lines.add(number)
                left -= 1
            else:
                stream.write(good.pop() + b"\n")
    return lines


def check(tmp_path: Path, broken: int) -> None:
    lines = mixed(tmp_path / "raw.jsonl", broken)
    outcome = make(job(tmp_path, tmp_path / "raw.jsonl", unit_mib=0.05, dedup=DedupConfig(near=False)))
    entries = [json.loads(line) for line in (tmp_path / "mix/quarantine/quarantine.jsonl").read_text().splitlines()]
    assert {entry["line"] for entry in entries} == lines and len(entries) == broken
    assert all(entry["reason"] and entry["file"] == "raw.jsonl" for entry in entries)
    assert outcome["manifest"]["rows"] == broken
    assert outcome["manifest"]["funnel"]["rows_in"] == 2 * broken


def test_broken_rows_are_quarantined_with_file_line_and_reason(tmp_path: Path) -> None:
    check(tmp_path, 4 * len(BROKEN))


@pytest.mark.slow
def test_ten_thousand_broken_rows(tmp_path: Path) -> None:
    check(tmp_path, 10_000)


def test_a_line_of_a_hundred_megabytes_is_set_aside_and_the_next_one_read(tmp_path: Path) -> None:
    path = tmp_path / "raw.jsonl"
    with path.open("wb") as stream:
        stream.write(json.dumps(problem_lines(1)[0]).encode() + b'\n{"text": "')
        for _ in range(100):
            stream.write(b"x" * 2**20)
        stream.write(b'"}\n' + json.dumps(problem_lines(2)[1]).encode())
    outcome = make(job(tmp_path, path))
    assert outcome["manifest"]["rows"] == 2
    assert outcome["manifest"]["funnel"]["quarantined"] == {"line too long": 1}


def test_files_that_are_not_what_they_are_called_are_one_row_of_quarantine(tmp_path: Path) -> None:
    good = job(tmp_path, tmp_path / "raw").corpus.input[0]
    folder = Path(good)
    folder.mkdir()
    for name in ("a.parquet", "b.jsonl.gz", "c.json"):
        (folder / name).write_bytes(b"\x00nothing of the kind")
    (folder / "d.jsonl").write_text(json.dumps(problem_lines(1)[0]))
    outcome = make(job(tmp_path, folder))
    assert outcome["manifest"]["rows"] == 1
    assert sum(outcome["manifest"]["funnel"]["quarantined"].values()) == 3
