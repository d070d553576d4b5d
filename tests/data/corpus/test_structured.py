"""Rows of numbers: features, series and tables in a corpus, and what the operators make of them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from r1ray.config.augment import AugmentConfig
from r1ray.data.corpus.structured import lines_of, stored_structure, structure_of, with_structure
from tests.data.corpus.helpers import job, make, write_lines

LOANS = [{"features": {"income": 1000.0 + 10 * n, "debt": 50 + n, "years": n}, "label": n % 2} for n in range(12)]


def test_structure_comes_back_from_the_metadata() -> None:
    structure = structure_of({**LOANS[3], "text": "beside", "other": 1})
    assert structure == LOANS[3]
    metadata = with_structure('{"url": "x"}', structure)
    assert stored_structure({"metadata": metadata}) == LOANS[3]
    assert json.loads(with_structure(metadata, {"series": [1]})) == {"url": "x", "series": "[1]"}
    assert structure_of({"label": 3, "features": {}}) == {} == stored_structure({"metadata": '{"label": "3"}'})


def test_a_derivation_is_not_among_the_lines() -> None:
    text = lines_of({"table": [["year", "sales"], ["2019", "12.5"]], "derivation": "12.5*2", "label": "up"})
    assert text == "year | sales\n2019 | 12.5\nlabel = up"


def grown(tmp_path: Path, rows: list[dict[str, Any]], *operators: str, unit_mib: float = 16) -> list[dict[str, Any]]:
    config = job(tmp_path, write_lines(tmp_path / "raw.jsonl", rows), unit_mib=unit_mib)
    make(dataclasses.replace(config, augment=AugmentConfig(operators=operators, probability=1.0)))
    return pq.read_table(tmp_path / "mix" / "shards").to_pylist()


def test_mixing_draws_from_the_whole_corpus_whatever_the_cut(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    one = grown(tmp_path / "one", LOANS, "mixing", "numeric")
    many = grown(tmp_path / "many", LOANS, "mixing", "numeric", unit_mib=0.001)
    assert one == [{**row, "provenance": row["provenance"]} for row in many]
    mixed = [stored_structure(row) for row in one if row["operator"] == "mixing"]
    assert len(mixed) == 12
    for structure in mixed:
        label, years = structure["label"], structure["features"]["years"]
        assert label in (0, 1) and label <= years <= 10 + label
    assert sum(not row["operator"] for row in one) == 12
    assert all(row["text"] == lines_of(stored_structure(row)) for row in one)


def test_windows_and_tables_become_rows_with_their_lineage(tmp_path: Path) -> None:
    table = {
        "table": [["", "2019", "2018"], ["sales", "312.5", "287.25"]],
        "question": "By how much did sales rise?",
        "answer": "25.25",
        "derivation": "312.5 - 287.25",
    }
    rows = grown(tmp_path, [{"series": [3, 1, 4, 1, 5, 9, 2, 6]}, table], "time_window", "numeric")
    window = next(row for row in rows if row["operator"] == "time_window")
    structure = stored_structure(window)
    assert (
        window["tier"] == "L3" and len(structure["series"]) == 4 and f"target = {structure['target']}" in window["text"]
    )
    moved = next(row for row in rows if row["operator"] == "numeric")
    assert moved["tier"] == "L3" and moved["answer"] != "25.25" and moved["text"] != table["table"]
    assert stored_structure(moved)["derivation"].count(" - ") == 1
    assert moved["text"] == lines_of(stored_structure(moved))
