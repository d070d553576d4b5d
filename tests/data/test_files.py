import gzip
import json
from pathlib import Path

import fsspec
import pyarrow
import pyarrow.parquet
import pytest

from r1ray.data.files import expand, file_size, is_local, read_rows
from r1ray.errors import DataError

ROW = {"question": "What is 1 + 1?", "answer": "2"}


def test_lines_are_rows_and_broken_ones_say_why(tmp_path: Path):
    file = tmp_path / "rows.jsonl"
    lines = [
        b"\xef\xbb\xbf" + json.dumps(ROW).encode(),
        b"",
        b"{broken",
        b"[1, 2]",
        b'{"question": "\xff"}',
        b'{"n": 1}\r',
    ]
    file.write_bytes(b"\n".join(lines) + b"\n" + b'{"n": ' + b"9" * 5000 + b"}\n" + json.dumps(ROW).encode())
    rows = list(read_rows(str(file)))
    assert [(row.line, row.reason) for row in rows] == [
        (1, ""),
        (3, "not JSON"),
        (4, "not an object"),
        (5, "not UTF-8"),
        (6, ""),
        (7, "not JSON"),
        (8, ""),
    ]
    assert rows[0].fields == rows[-1].fields == ROW
    assert rows[1].excerpt == "{broken"


def test_long_lines_are_put_together_over_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("r1ray.data.files._CHUNK", 7)
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps({"n": n, "pad": "x" * n}) for n in range(30)))
    assert [row.fields["n"] for row in read_rows(str(file))] == list(range(30))


def test_parquet_rows_are_numbered(tmp_path: Path):
    file = tmp_path / "rows.parquet"
    table = pyarrow.table({"question": ["a", None], "answer": [1, 2]})
    pyarrow.parquet.write_table(table, file)
    assert [(row.line, row.fields) for row in read_rows(str(file))] == [
        (1, {"question": "a", "answer": 1}),
        (2, {"question": None, "answer": 2}),
    ]


def test_a_file_that_breaks_off_gives_what_came_before_and_says_so(tmp_path: Path):
    file = tmp_path / "rows.jsonl.gz"
    # Incompressible padding, so that cutting the file leaves the first lines readable.
    whole = gzip.compress(b"".join(json.dumps({**ROW, "n": n}).encode() + b"\n" for n in range(2000)), compresslevel=0)
    file.write_bytes(whole[: len(whole) // 2])
    rows = list(read_rows(str(file)))
    assert rows[-1].reason == "unreadable file" and rows[-1].line == 0
    assert [row for row in read_rows(str(file)) if not row.reason] == rows[:-1]


def test_a_file_that_is_no_parquet_is_one_row_with_a_reason(tmp_path: Path):
    file = tmp_path / "rows.parquet"
    file.write_text("not parquet")
    assert [(row.line, row.reason) for row in read_rows(str(file))] == [(0, "unreadable file")]


def test_paths_folders_and_globs_are_expanded_in_order(tmp_path: Path):
    names = ["b.jsonl", "a.parquet", "notes.txt", "[c].jsonl"]
    for name in names:
        (tmp_path / name).write_text("")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "d.jsonl").write_text("")
    relative = lambda found: [str(Path(path).relative_to(tmp_path)) for path in found]  # noqa: E731
    assert relative(expand(str(tmp_path))) == ["[c].jsonl", "a.parquet", "b.jsonl"]
    assert relative(expand(str(tmp_path / "*.jsonl"))) == ["[c].jsonl", "b.jsonl"]
    assert relative(expand(str(tmp_path / "**" / "*.jsonl"))) == ["[c].jsonl", "b.jsonl", "deep/d.jsonl"]
    assert relative(expand(str(tmp_path / "[c].jsonl"))) == ["[c].jsonl"]


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text("")
    assert expand("a.jsonl") == [str(tmp_path / "a.jsonl")]
    with pytest.raises(DataError, match=rf"'b\.jsonl' \(looked from {tmp_path}\)"):
        expand("b.jsonl")


def test_unknown_kinds_and_schemes_are_refused(tmp_path: Path):
    (tmp_path / "rows.csv").write_text("")
    with pytest.raises(DataError, match=r"rows\.csv is of an unknown kind; expected one of \.jsonl"):
        expand(str(tmp_path / "rows.csv"))
    with pytest.raises(DataError, match="cannot be opened"):
        expand("nowhere://bucket/rows.jsonl")


def test_uris_are_read_through_fsspec():
    with fsspec.open("memory://corpus/rows.jsonl", "w") as stream:
        stream.write(json.dumps(ROW))
    (uri,) = expand("memory://corpus/*.jsonl")
    assert uri.startswith("memory://") and not is_local(uri) and file_size(uri) == len(json.dumps(ROW))
    assert [row.fields for row in read_rows(uri)] == [ROW]
