"""No row gets lost between a file and its items."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from r1ray.data.sift import BadRow, list_field, read_records, sift_files, text_field
from r1ray.errors import DataError


def parse(fields: Mapping[str, Any]) -> list[str]:
    return text_field(fields, "text").split(",")


def test_rows_are_kept_or_quarantined_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a,b"}\nnot json\n{"other": 1}\n{"text": 3}\n{"text": "c"}\n')
    sifted = sift_files(str(path), parse)
    assert sifted.items == ["a", "b", "c"]
    assert (sifted.report.rows_in, sifted.report.kept) == (5, 2)
    assert [(row.line, row.reason) for row in sifted.report.quarantined] == [
        (2, "not JSON"),
        (3, "no text"),
        (4, "text is not text"),
    ]


def test_a_json_array_is_rows_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"text": "a"}, 7, {"text": "b"}], indent=1))
    rows = list(read_records(str(path)))
    assert [(row.line, row.reason) for row in rows] == [(1, ""), (2, "not an object"), (3, "")]
    assert sift_files(str(path), parse).items == ["a", "b"]


def test_a_broken_array_is_one_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"text": "a"}, {"te')
    with pytest.raises(DataError, match="not JSON"):
        sift_files(str(path), parse)


def test_lines_in_a_json_file_are_still_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('{"text": "a"}\n{"text": "b"}\n')
    assert sift_files(str(path), parse).items == ["a", "b"]


def test_nothing_usable_is_an_error_that_says_why(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"other": 1}\n')
    with pytest.raises(DataError, match="1 × no text"):
        sift_files(str(path), parse)


@pytest.mark.parametrize("value", [None, [], "text", {}])
def test_a_list_field_holds_a_list(value: Any) -> None:
    with pytest.raises(BadRow, match="no steps"):
        list_field({"steps": value}, "steps")
