"""Every format of input, cut into units: the same rows, each with its file and line."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from r1ray.config.corpus import CorpusConfig
from r1ray.data.corpus.formats import page_text, read_file, read_range
from r1ray.data.corpus.rows import finish_row, to_row
from r1ray.data.corpus.units import plan_inputs
from r1ray.data.files import RawRow
from r1ray.data.quarantine import QuarantinedRow
from r1ray.errors import DataError
from tests.data.corpus.helpers import job, make, problem_lines, write_lines

LIMIT = 2**20
PAGE = (
    "<html><head><title>t</title><script>var x = 1;</script></head><body><nav><a href='/'>Home</a></nav>"
    "<main><p>The quick brown fox jumps over the lazy dog, and the dog does not mind at all.</p></main></body></html>"
)


@pytest.mark.parametrize("size", [40, 200, 999, 10_000])
def test_ranges_are_the_file(tmp_path: Path, size: int) -> None:
    lines = [json.dumps({"text": "x" * (n % 37)}) for n in range(50)] + ["", '{"text": "é"}', "broken"]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    units = plan_inputs(CorpusConfig(input=(str(path),), unit_mib=max(size / 2**20, 0.001))).units
    rows = [row for one in units for row in read_range(str(path), one.begin, one.end, one.first_line, LIMIT)]
    assert rows == list(read_file(str(path), LIMIT))
    assert [row.line for row in rows] == [n for n, line in enumerate(lines, 1) if line]
    assert rows[-1].reason == "not JSON"


def test_small_ranges_are_several(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", problem_lines(50))
    units = plan_inputs(CorpusConfig(input=(str(path),), unit_mib=0.001)).units
    assert len(units) > 5 and units[0].end == units[1].begin and units[-1].end == path.stat().st_size


def test_one_corpus_from_every_format(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    (raw / "deep").mkdir(parents=True)
    lines = problem_lines(25)
    write_lines(raw / "a.jsonl", lines[:5])
    (raw / "deep" / "b.jsonl.gz").write_bytes(
        gzip.compress("".join(json.dumps(x) + "\n" for x in lines[5:10]).encode())
    )
    pq.write_table(pa.Table.from_pylist(lines[10:15]), raw / "c.parquet")
    (raw / "d.json").write_text(json.dumps(lines[15:20]))
    names = list(lines[0])
    quoted = [",".join(f'"{row[name]}"' for name in names) for row in lines[20:25]]
    (raw / "e.csv").write_text("\n".join([",".join(names), *quoted, "too,few"]))
    outcome = make(job(tmp_path, raw / "**" / "*.*"))
    assert outcome["manifest"]["rows"] == 25
    assert outcome["manifest"]["funnel"]["quarantined"] == {"wrong number of columns": 1}
    assert sorted(one["name"] for one in outcome["manifest"]["inputs"]) == [
        "a.jsonl", "c.parquet", "d.json", "deep/b.jsonl.gz", "e.csv",
    ]  # fmt: skip


def test_families_are_sources_like_files(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "a.jsonl", problem_lines(4))
    outcome = make(job(tmp_path, source, "generate:chain:1-2", "generate:reasoning-gym/leg_counting", count=20))
    assert outcome["manifest"]["rows"] == 24
    assert outcome["figures"]["counts"]["family"]["reasoning-gym/leg_counting"] == 10


def test_a_mapping_names_fields_also_inside_others() -> None:
    raw = RawRow(file="/x/a.jsonl", line=3, fields={"prompt": "2+2?", "meta": {"gold": "4"}})
    row = to_row(raw, "a.jsonl", ("question=prompt", "answer=meta.gold"))
    assert not isinstance(row, QuarantinedRow)
    assert (row["question"], row["answer"], row["provenance"]) == ("2+2?", "4", {"file": "a.jsonl", "line": 3})
    unmapped = to_row(raw, "a.jsonl")
    assert isinstance(unmapped, QuarantinedRow) and unmapped.reason == "no known field"


def test_a_solution_without_an_answer_is_kept_for_supervised_training() -> None:
    raw = RawRow(file="a.jsonl", line=1, fields={"question": "Prove it.", "solution": "It follows at once."})
    row = to_row(raw, "a.jsonl")
    assert not isinstance(row, QuarantinedRow)
    assert (row["solution"], row["answer"]) == ("It follows at once.", "")


def test_a_row_is_named_after_its_text_alone() -> None:
    fields = ("text",)
    one = finish_row({"text": "Some  text", "provenance": {"file": "a", "line": 1}}, fields)
    other = finish_row({"text": "some text", "provenance": {"file": "b", "line": 2}, "tier": "L1"}, fields)
    assert one["id"] == other["id"] != finish_row({"text": "other"}, fields)["id"]


def test_a_data_set_of_the_hub_is_its_parquet_files(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("r1ray.data.corpus.units.expand", lambda path, _: asked.append(path) or [])
    with pytest.raises(DataError):
        plan_inputs(CorpusConfig(input=("hf:openai/gsm8k",)))
    assert asked == ["hf://datasets/openai/gsm8k@refs/convert/parquet/**/*.parquet"]


def test_remote_files_are_read_through_fsspec(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    with memory.open("/corpus-test/a.jsonl", "wb") as stream:
        stream.write("".join(json.dumps(row) + "\n" for row in problem_lines(6)).encode())
    try:
        outcome = make(job(tmp_path, "memory://corpus-test/*.jsonl"))
    finally:
        memory.rm("/corpus-test", recursive=True)
    assert outcome["manifest"]["rows"] == 6


def test_pages_give_their_main_text(tmp_path: Path) -> None:
    pytest.importorskip("resiliparse")
    assert "quick brown fox" in page_text(PAGE.encode()) and "var x" not in page_text(PAGE.encode())
    (tmp_path / "p.html").write_text(PAGE)
    (tmp_path / "empty.html").write_text("<html></html>")
    outcome = make(job(tmp_path, tmp_path / "*.html"))
    assert outcome["manifest"]["rows"] == 1
    assert outcome["manifest"]["funnel"]["quarantined"] == {"page without text": 1}


def test_archives_give_pages_that_the_server_had(tmp_path: Path) -> None:
    pytest.importorskip("fastwarc")

    def record(url: str, status: str, kind: str, body: str) -> bytes:
        http = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        head = (f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
                f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-00000000000{len(url) % 10}>\r\n"
                f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n")  # fmt: skip
        return head.encode() + http + b"\r\n\r\n"

    records = [record("http://a.org/", "200 OK", "text/html", PAGE), record("http://a.org/gone", "404 Not Found",
               "text/html", PAGE), record("http://a.org/x.png", "200 OK", "image/png", "x")]  # fmt: skip
    (tmp_path / "a.warc.gz").write_bytes(b"".join(map(gzip.compress, records)))
    outcome = make(job(tmp_path, tmp_path / "a.warc.gz"))
    assert outcome["manifest"]["rows"] == 1
    assert outcome["manifest"]["funnel"]["quarantined"] == {"HTTP status 404": 1, "not HTML": 1}


def test_inputs_that_match_nothing_say_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="matches"):
        plan_inputs(CorpusConfig(input=(str(tmp_path / "*.jsonl"),)))
