"""Outcomes outlive a killed run, and a torn line costs itself alone."""

from pathlib import Path

import pytest

from r1ray.errors import DataError
from r1ray.train.prefix_cache import Outcome, PrefixCache, prefix_key

SOME = {"a": Outcome(right=3, samples=8), "b": Outcome(right=0, samples=8)}


def test_what_was_added_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "cache.jsonl"
    PrefixCache(path).add(SOME)
    again = PrefixCache(path)
    assert {key: again.get(key) for key in "abc"} == {**SOME, "c": None}
    assert len(again) == 2


@pytest.mark.parametrize("torn", range(1, 36, 5))
def test_a_torn_last_line_is_cut_off_and_nothing_is_appended_to_it(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "cache.jsonl"
    PrefixCache(path).add(SOME)
    path.write_bytes(path.read_bytes()[:-torn])
    cache = PrefixCache(path)
    assert (cache.get("a"), cache.get("b")) == (SOME["a"], None)
    cache.add({"b": SOME["b"]})
    assert len(PrefixCache(path)) == 2


def test_damage_in_the_middle_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "cache.jsonl"
    PrefixCache(path).add(SOME)
    path.write_text(path.read_text().replace('"right": 3', '"wrong": 3'))
    with pytest.raises(DataError, match=r"cache\.jsonl:1 is damaged"):
        PrefixCache(path)


def test_a_key_names_everything_and_not_its_order() -> None:
    parts = {"prefix": [1, 2], "seed": 0}
    assert prefix_key(parts) == prefix_key({"seed": 0, "prefix": [1, 2]})
    assert len({prefix_key(parts), prefix_key(parts | {"seed": 1}), prefix_key(parts | {"prefix": [12]})}) == 3
