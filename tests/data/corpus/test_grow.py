"""Variants and token shards of a corpus."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from r1ray.config.augment import AugmentConfig
from r1ray.config.jobs import CorpusJobConfig
from r1ray.config.shards import ShardsConfig
from r1ray.data.corpus.grow import grow
from r1ray.data.shards.manifest import MANIFEST
from tests.data.corpus.helpers import DecontaminateConfig, job, make, problem_lines, write_lines
from tests.tiny import make_tiny_policy

OPERATORS = ("parameters@1", "typos@1", "drop_step@1")


def growing(folder: Path, *inputs: Path, **corpus: object) -> CorpusJobConfig:
    return dataclasses.replace(job(folder, *inputs, **corpus), augment=AugmentConfig(operators=OPERATORS))


def test_variants_come_beside_their_parents_with_lineage_and_tier(tmp_path: Path) -> None:
    outcome = make(growing(tmp_path, write_lines(tmp_path / "raw.jsonl", problem_lines(30))))
    rows = pq.read_table(tmp_path / "mix" / "shards").to_pylist()
    kinds = Counter(row["operator"] for row in rows)
    assert kinds[""] == 30 == outcome["manifest"]["funnel"]["kept"]
    assert kinds["parameters"] > 15 and kinds["typos"] > 15 and "drop_step" not in kinds
    originals = {row["id"] for row in rows if not row["operator"]}
    for row in rows:
        assert (row["parent"] in originals) == bool(row["operator"])
        assert row["tier"] == ("L1" if row["operator"] == "typos" else "L3")
    assert len({row["id"] for row in rows}) == len(rows) == outcome["manifest"]["rows"]
    labelled = [
        json.loads(line) for line in (tmp_path / "mix" / "labelled" / "labelled.jsonl").read_text().splitlines()
    ]
    assert labelled and all(0.0 in row["labels"] for row in labelled)


def test_variants_do_not_depend_on_the_cut(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "raw.jsonl", problem_lines(30))
    hashes = {make(growing(tmp_path / str(mib), source, unit_mib=mib))["manifest"]["content_hash"]
              for mib in (16, 0.002)}  # fmt: skip
    assert len(hashes) == 1


def test_a_variant_that_is_an_evaluation_problem_is_dropped(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "raw.jsonl", problem_lines(20))
    make(growing(tmp_path, source))
    rows = pq.read_table(tmp_path / "mix" / "shards").to_pylist()
    originals = [row for row in rows if not row["operator"]]
    held = write_lines(tmp_path / "held.jsonl", [row for row in rows if row["operator"] == "parameters"])
    config = dataclasses.replace(
        growing(tmp_path, source), decontaminate=DecontaminateConfig(against=(str(held),), containment=1.0)
    )
    grown = grow(originals, config)
    assert grown.checks["leaked"] >= 10
    assert not {row["question"] for row in grown.rows} & {json.loads(line)["question"] for line in held.open()}


@pytest.mark.slow
def test_token_shards_hold_every_row_that_can_be_learned_from(tmp_path: Path) -> None:
    policy = make_tiny_policy(tmp_path / "policy")
    source = write_lines(tmp_path / "raw.jsonl", [*problem_lines(20), {"text": "A plain document of a few words."}])
    config = job(tmp_path, source, tokenizer=str(policy), shard_rows=7)
    config = dataclasses.replace(config, shards=ShardsConfig(max_tokens=1024))
    tokens = make(config)["manifest"]["tokens"]
    assert tokens["rows"] == 21 and tokens["skipped"] == {} and tokens["tokens"] > 500
    assert (tmp_path / "mix" / "tokens" / MANIFEST).is_file()


def test_calculator_annotations_serve_the_operators_and_are_in_no_row(tmp_path: Path) -> None:
    answer = "She sold 48/2 = <<48/2=24>>24 clips in May.\nAltogether 48+24 = <<48+24=72>>72 clips.\n#### 72"
    question = "Natalia sold clips to 48 friends, and then half as many in May. How many clips did she sell altogether?"
    make(growing(tmp_path, write_lines(tmp_path / "raw.jsonl", [{"question": question, "answer": answer}])))
    text = json.dumps(pq.read_table(tmp_path / "mix" / "shards").to_pylist())
    assert "<<" not in text and "annotated" not in text and "parameters" in text
