"""Nothing of what was said is written unless asked; what is asked for becomes prompts of a corpus."""

import json
import os
import stat

import pytest

from r1ray.config.jobs import CorpusJobConfig
from r1ray.config.serve_parts import RequestLogConfig
from r1ray.data.corpus.formats import read_file
from r1ray.data.corpus.prepare import prepare
from r1ray.data.corpus.rows import to_row
from r1ray.data.quarantine import QuarantinedRow
from r1ray.errors import ConfigError
from r1ray.serve.observe.request_log import RequestLog

QUESTION = "Mia has 9 eggs and buys 7 more at the market. Write to mia.lang@example.com how many eggs she has now."
RECORD = {
    "request_id": "req-1",
    "time": "2026-01-01T00:00:00+00:00",
    "key_id": "k1",
    "tenant": "school",
    "model": "m",
    "version": "v1",
    "path": "/v1/chat/completions",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}],
    "answer": "9 + 7 = 16. Sent to mia.lang@example.com",
    "finish_reason": "stop",
    "usage": {"total_tokens": 40},
    "ttft_ms": 12.5,
    "ms": 80.0,
    "status": 200,
    "authorization": "Bearer r1-secret",
}


def written(folder, **config) -> list[str]:
    log = RequestLog(RequestLogConfig(path=str(folder), **config))
    log.write(RECORD)
    log.write({**RECORD, "finish_reason": "content_filter", "messages": [{"role": "user", "content": "how to harm"}]})
    log.write({**RECORD, "messages": [{"role": "user", "content": [{"type": "text", "text": "half \ud83d"}]}]})
    log.close()
    assert log.failures == 0
    (path,) = folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return path.read_text().splitlines()


def test_by_default_nothing_is_written():
    with pytest.raises(ConfigError, match=r"request_log\.path"):
        RequestLogConfig(prompts=True)
    RequestLog(RequestLogConfig()).write(RECORD)


def test_without_prompts_nothing_of_what_was_said_is_in_the_log(tmp_path):
    lines = written(tmp_path / "log")
    assert len(lines) == 3
    assert json.loads(lines[0])["usage"] == {"total_tokens": 40}
    for word in ("eggs", "16", "harm", "secret", "brief"):
        assert word not in "".join(lines)


def test_personal_data_is_replaced_unless_asked_otherwise(tmp_path):
    masked = written(tmp_path / "masked", prompts=True, answers=True)
    assert "mia.lang@example.com" not in "".join(masked)
    assert json.loads(masked[0])["served_answer"] == "9 + 7 = 16. Sent to <EMAIL_1>"
    assert "mia.lang@example.com" in "".join(written(tmp_path / "open", prompts=True, mask=False))


def test_the_corpus_job_reads_prompts_as_documents_and_no_answer_as_truth(tmp_path):
    written(tmp_path / "log", prompts=True, answers=True)
    path = str(next((tmp_path / "log").iterdir()))
    rows = [to_row(raw, "served.jsonl") for raw in read_file(path, 2**20)]
    good = [row for row in rows if not isinstance(row, QuarantinedRow)]
    assert [row.reason for row in rows if isinstance(row, QuarantinedRow)] == ["no known field"], "the blocked one"
    assert good[0]["text"] == QUESTION.replace("mia.lang@example.com", "<EMAIL_1>")
    assert good[0]["family"] == "served"
    assert json.loads(good[0]["metadata"])["version"] == "v1"
    assert not any(row.get("answer") or row.get("solution") for row in good)
    kept = prepare(good[:1], CorpusJobConfig()).rows
    assert [row["text"] for row in kept] == [good[0]["text"]]


def test_a_log_that_cannot_be_written_fails_no_request(tmp_path):
    (tmp_path / "file").write_text("")
    log = RequestLog(RequestLogConfig(path=str(tmp_path / "file" / "log")))
    log.write(RECORD)
    assert log.failures == 1


def test_processes_do_not_share_a_file(tmp_path):
    log = RequestLog(RequestLogConfig(path=str(tmp_path)))
    log.write(RECORD)
    assert next(tmp_path.iterdir()).stem.endswith(f"-{os.getpid()}")
