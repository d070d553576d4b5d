"""A corpus from end to end, in one process: books, duplicates, versions, and going on after a crash."""

import dataclasses
import importlib.util
import json
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from r1ray.config.corpus import PrivacyConfig
from r1ray.config.problems import ProblemsConfig
from r1ray.data.corpus.job import build_corpus, in_process, summary
from r1ray.data.corpus.plan import Stage
from r1ray.data.dedup.rows import deduplicate
from r1ray.data.problem_set import build_problem_set
from r1ray.errors import ConfigError, DataError
from tests.data.corpus.helpers import DecontaminateConfig, DedupConfig, job, make, problem_lines, write_lines


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((folder / "shards").iterdir()) for row in pq.read_table(path).to_pylist()]


def planted(rows: int, seed: int = 0) -> list[dict[str, Any]]:
    """Documents of which about a third are exact or edited copies of earlier ones."""
    draw = random.Random(seed)
    words = [f"{a}{b}" for a in ("ka", "lo", "mi", "ren", "tu") for b in ("sal", "tor", "ven", "wix", "yam", "zed")]
    texts: list[list[str]] = []
    for _ in range(rows):
        if texts and draw.random() < 0.35:
            copy = list(draw.choice(texts))
            for _ in range(draw.randint(0, 2)):
                copy[draw.randrange(len(copy))] = draw.choice(words)
            texts.append(copy)
        else:
            texts.append(draw.choices(words, k=draw.randint(60, 120)))
    return [{"text": " ".join(text)} for text in texts]


def test_the_default_corpus_feeds_training_and_every_solution_is_verified(tmp_path: Path) -> None:
    outcome = make(job(tmp_path, count=60))
    problems = build_problem_set(ProblemsConfig(path=str(tmp_path / "mix"), heldout=5), seed=0)
    assert len(problems.train) + 5 == outcome["manifest"]["rows"] == 60
    assert all(problem.solution and problem.answer for problem in problems.train)
    assert outcome["manifest"]["tiers"] == {"L3": 60}
    assert problems.report.quarantined == ()


def test_duplicates_are_those_that_are_found_in_memory_whatever_the_cut(tmp_path: Path) -> None:
    rows = planted(400)
    texts = [row["text"] for row in rows]
    names = [f"{line:09d}" for line in range(1, len(rows) + 1)]
    verdicts = deduplicate(texts, names, [""] * 400, DedupConfig())
    expected = {int(name) for name, drop in zip(names, verdicts, strict=True) if drop is None}
    source = write_lines(tmp_path / "documents.jsonl", rows)
    hashes = set()
    for number, unit_mib in enumerate((16, 0.02)):
        outcome = make(job(tmp_path / str(number), source, unit_mib=unit_mib, shard_rows=50))
        kept = {json.loads(row["provenance"])["line"] for row in rows_of(tmp_path / str(number) / "mix")}
        assert kept == expected
        hashes.add(tuple(sorted(row["id"] for row in rows_of(tmp_path / str(number) / "mix"))))
        dropped = outcome["manifest"]["funnel"]["dropped"]["dedup"]
        assert dropped["exact duplicate"] > 5 and dropped["near duplicate"] > 5
    assert len(hashes) == 1


def test_many_partitions_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_lines(tmp_path / "documents.jsonl", planted(300, seed=1))
    one = make(job(tmp_path / "one", source))
    monkeypatch.setattr("r1ray.data.corpus.duplicates._GROUP_ROWS", 5)
    partition_mib = source.stat().st_size / 2**20 / 7.5
    many = make(job(tmp_path / "many", source, unit_mib=0.03, partition_mib=partition_mib))
    assert many["pieces_made"]["buckets"] == 8 and many["pieces_made"]["verify"] > 3
    assert one["manifest"]["content_hash"] == many["manifest"]["content_hash"]


@pytest.mark.parametrize("after", (0, 1, 6, 11, 13, 18, 24, 60))
def test_killed_anywhere_and_started_again_gives_the_same_corpus(tmp_path: Path, after: int) -> None:
    source = write_lines(tmp_path / "documents.jsonl", planted(120))
    whole = make(job(tmp_path / "whole", source, unit_mib=0.01, shard_rows=30))
    config = job(tmp_path / "killed", source, unit_mib=0.01, shard_rows=30)
    made = 0

    def dying(stage: Stage, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
        nonlocal made
        for result in in_process(stage, numbers):
            made += 1
            if made > after:
                raise KeyboardInterrupt  # the piece is there, and nobody was told
            yield result

    try:
        build_corpus(config, dying, lambda *_: None)
    except KeyboardInterrupt:
        again = make(config)
        assert sum(again["pieces_found"].values()) >= after
        assert again["manifest"]["content_hash"] == whole["manifest"]["content_hash"]
        assert sum(again["pieces_made"].values()) + after <= sum(whole["pieces_made"].values())
    else:
        assert made == sum(whole["pieces_made"].values()) - 1, "all pieces but the driver's own were made"
    assert len(rows_of(tmp_path / "killed" / "mix")) == whole["manifest"]["rows"]


def test_a_finished_corpus_is_not_made_again_and_a_damaged_one_is(tmp_path: Path) -> None:
    config = job(tmp_path, count=30)
    first = make(config)
    assert make(config)["pieces_made"] == {}
    shard = next((tmp_path / "mix" / "shards").iterdir())
    shard.unlink()
    shard.write_bytes(b"damaged")
    again = make(config)
    assert again["pieces_made"] and again["manifest"]["content_hash"] == first["manifest"]["content_hash"]
    assert len(rows_of(tmp_path / "mix")) == 30
    shard.write_bytes(b"damaged")  # in place, and so in the version that shares the file
    assert make(config)["manifest"] == again["manifest"] and len(rows_of(tmp_path / "mix")) == 30


def test_rows_with_an_evaluation_problem_are_dropped_and_named(tmp_path: Path) -> None:
    lines = problem_lines(20)
    held = write_lines(tmp_path / "held.jsonl", lines[:2])
    source = write_lines(tmp_path / "raw.jsonl", lines)
    outcome = make(job(tmp_path, source, decontaminate=DecontaminateConfig(against=(str(held),))))
    assert outcome["manifest"]["funnel"]["dropped"]["decontaminate"]["evaluation problem"] >= 2
    questions = {row["question"] for row in rows_of(tmp_path / "mix")}
    assert not questions & {line["question"] for line in lines[:2]}
    write_lines(held, lines[5:8])
    again = make(job(tmp_path, source, decontaminate=DecontaminateConfig(against=(str(held),))))
    assert again["manifest"]["plan"] != outcome["manifest"]["plan"]
    left = {row["question"] for row in rows_of(tmp_path / "mix")}
    assert left != questions and not left & {line["question"] for line in lines[5:8]}


def test_what_would_fail_in_every_task_fails_before_the_first(tmp_path: Path) -> None:
    empty = write_lines(tmp_path / "held.jsonl", [{"text": "no question"}])
    config = job(tmp_path, count=5, decontaminate=DecontaminateConfig(against=(str(empty),)))
    with pytest.raises(DataError, match="no row with `question`"):
        build_corpus(config, lambda *_: pytest.fail("a task was started"), lambda *_: None)


@pytest.mark.skipif(importlib.util.find_spec("presidio_analyzer") is not None, reason="presidio is installed")
def test_an_extra_that_is_missing_is_named_before_the_first_task(tmp_path: Path) -> None:
    config = dataclasses.replace(job(tmp_path, count=5), privacy=PrivacyConfig(detectors=("email", "person")))
    with pytest.raises(ConfigError, match=r"r1ray\[pii\]"):
        build_corpus(config, lambda *_: pytest.fail("a task was started"), lambda *_: None)


def test_long_rows_come_in_more_shards(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "raw.jsonl", planted(60))
    outcome = make(job(tmp_path, source, dedup=DedupConfig(near=False), shard_mib=0.01))
    sizes = [shard["characters"] for shard in outcome["manifest"]["shards"]]
    assert len(sizes) == math.ceil(sum(sizes) / (0.01 * 2**20)) > 1


def test_what_is_private_is_masked_and_counted(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "raw.jsonl", [{"text": "Write to anna.smith@example.org about the lease today."}])
    outcome = make(job(tmp_path, source))
    assert "<EMAIL_1>" in rows_of(tmp_path / "mix")[0]["text"]
    assert outcome["figures"]["counts"]["masked"] == {"EMAIL": 1}


def test_without_deduplication_equal_rows_stay_apart(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "raw.jsonl", problem_lines(3) * 2)
    make(job(tmp_path, source, dedup=DedupConfig(exact=False, near=False)))
    rows = rows_of(tmp_path / "mix")
    assert len(rows) == 6 and len({row["id"] for row in rows}) == 6


def test_the_summary_is_what_a_job_prints(tmp_path: Path) -> None:
    figures = summary(make(job(tmp_path, count=12)))
    assert figures["rows_in"] == figures["rows_out"] == 12 and figures["docs_per_s"] > 0
    assert len(figures["content_hash"]) == 64
