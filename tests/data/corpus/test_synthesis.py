"""Problems that a corpus grows from its own: rows like others, with tier, lineage and pattern."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from r1ray.config.jobs import CorpusJobConfig
from r1ray.config.synthesize import SynthesizeConfig
from r1ray.data.corpus import synthesis
from r1ray.data.corpus.job import build_corpus, in_process
from r1ray.data.corpus.plan import Stage, content_settings
from r1ray.data.generators.generate import generate
from tests.data.corpus.helpers import job, make, write_lines
from tests.data.synthesize.teachers import SolvingTeacher


def growing(folder: Path, source: Path, config: SynthesizeConfig, **corpus: Any) -> CorpusJobConfig:
    return dataclasses.replace(job(folder, source, **corpus), synthesize=config)


def chains(path: Path, count: int) -> Path:
    made = generate(("chain:2-3/plain",), count=count, max_number=9, seed=0)
    return write_lines(path, [{"question": p.question, "solution": p.solution, "answer": p.answer} for p in made])


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "mix" / "shards").to_pylist()


def test_grown_problems_lie_in_the_shards_with_lineage_and_tier(tmp_path: Path) -> None:
    source = chains(tmp_path / "raw.jsonl", 12)
    outcome = make(growing(tmp_path, source, SynthesizeConfig(generations=2, population=10)))
    rows = rows_of(tmp_path)
    originals = {row["id"] for row in rows if not row["operator"]}
    grown = [row for row in rows if row["operator"]]
    assert len(originals) == outcome["manifest"]["funnel"]["kept"] == 12
    assert len(grown) == outcome["manifest"]["variants"] > 10
    for row in grown:
        provenance = json.loads(row["provenance"])
        assert row["parent"] in originals and row["tier"] == "L3" and row["answer"] and row["solution"]
        assert json.loads(row["metadata"])["pattern"] and provenance["tier_by"] == f"{row['operator']}: program"
    assert {json.loads(row["provenance"])["generation"] for row in grown} == {1, 2}
    report = outcome["manifest"]["synthesis"]
    assert report["coverage_with_synthesis"]["covered"] > report["coverage_of_seeds"]["covered"]


def test_grown_problems_do_not_depend_on_the_cut(tmp_path: Path) -> None:
    source = chains(tmp_path / "raw.jsonl", 40)
    config = SynthesizeConfig(generations=1, seeds=8)
    hashes = {
        make(growing(tmp_path / str(mib), source, config, unit_mib=mib))["manifest"]["content_hash"]
        for mib in (16, 0.002)
    }
    assert len(hashes) == 1


def test_a_teacher_that_was_asked_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = chains(tmp_path / "raw.jsonl", 6)
    config = SynthesizeConfig(
        generations=1, mutations=("harder", "inversion"), teacher="http://localhost:1/v1", model="m", batch=4
    )
    teacher = SolvingTeacher()
    monkeypatch.setattr(synthesis, "_teacher", lambda _: teacher)

    def dying(stage: Stage, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
        if stage.name == "split":
            raise KeyboardInterrupt
        return in_process(stage, numbers)

    with pytest.raises(KeyboardInterrupt):
        build_corpus(growing(tmp_path, source, config), dying, lambda *_: None)
    asked = len(teacher.asked)
    outcome = make(growing(tmp_path, source, config))
    assert asked > 6 and len(teacher.asked) == asked
    assert {row["operator"] for row in rows_of(tmp_path)} == {"", "harder", "inversion"}
    majority = [row for row in rows_of(tmp_path) if row["operator"] == "harder"]
    assert all(float(json.loads(row["metadata"])["solve_rate"]) == 1 for row in majority)
    assert outcome["manifest"]["synthesis"]["generations"][0]["verified_by"]["majority"] == len(majority)


def test_a_corpus_without_worked_problems_grows_nothing(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "raw.jsonl", [{"text": "A page about nothing in particular, and short."}])
    outcome = make(growing(tmp_path, source, SynthesizeConfig(generations=1)))
    assert outcome["manifest"]["rows"] == 1 and outcome["manifest"]["synthesis"] == {"seeds": {"used": 0}}


def test_the_policy_counts_only_where_it_teaches(tmp_path: Path) -> None:
    config = job(tmp_path, count=1)
    other = dataclasses.replace(config.policy, path="another")
    assert content_settings(config) == content_settings(dataclasses.replace(config, policy=other))
    taught = dataclasses.replace(config, synthesize=SynthesizeConfig(teacher="engine"))
    assert content_settings(taught) != content_settings(dataclasses.replace(taught, policy=other))
