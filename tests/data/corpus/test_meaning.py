"""Duplicates by meaning in a corpus, with an embedder of the test's own."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from r1ray.config.classify import SemanticDedupConfig
from r1ray.data.corpus import meaning
from tests.data.corpus.helpers import job, make, write_lines

SAID = "The committee met on Tuesday and agreed to raise the yearly fee to 40 crowns."
AGAIN = "On Tuesday the committee met, and to raise the yearly fee to 40 crowns was agreed."
DEARER = "On Tuesday the committee met, and to raise the yearly fee to 55 crowns was agreed."
OTHERS = [f"Ship number {n} left the harbour of {place} with a load of timber and salt."
          for n, place in enumerate(("Bergen", "Danzig", "Riga", "Visby", "Stralsund"))]  # fmt: skip


def embed(texts: list[str]) -> Any:
    """The committee in one direction, everything else in many."""
    vectors = np.zeros((len(texts), 64))
    for row, text in enumerate(texts):
        vectors[row, 0 if "committee" in text else 1 + sum(map(ord, text)) % 63] = 1
    return vectors


@pytest.mark.parametrize("unit_mib", [16, 0.001])
def test_other_words_of_the_same_go_and_other_numbers_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit_mib: float
) -> None:
    monkeypatch.setattr(meaning, "load_embedder", lambda _: embed)
    source = write_lines(tmp_path / "raw.jsonl", [{"text": text} for text in (*OTHERS, SAID, AGAIN, DEARER)])
    config = dataclasses.replace(job(tmp_path, source, unit_mib=unit_mib), semantic=SemanticDedupConfig(enabled=True))
    outcome = make(config)
    assert outcome["manifest"]["funnel"]["dropped"] == {"dedup": {"same meaning": 1}}
    texts = {row["text"] for row in pq.read_table(tmp_path / "mix" / "shards").to_pylist()}
    assert texts == {*OTHERS, SAID, DEARER}
    assert outcome["figures"]["examples"]["near duplicates"][0]["dropped"] == AGAIN
