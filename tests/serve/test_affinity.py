"""Prompts go where their beginning is, unless that engine has too much to do."""

from r1ray.generation.paged.blocks import prefix_hashes
from r1ray.serve.affinity import PrefixMap

SHARED = list(range(64))


def test_the_longest_prefix_wins_and_the_idlest_where_there_is_none() -> None:
    prefixes: PrefixMap[str] = PrefixMap()
    prefixes.sent(prefix_hashes(SHARED, 32), "a")
    prefixes.sent(prefix_hashes(SHARED[:32], 32), "b")
    longer = prefix_hashes([*SHARED, *range(40)], 32)
    assert prefixes.rank(longer, {"c": 0, "b": 0, "a": 3}) == ["a", "b", "c"]
    assert prefixes.rank(prefix_hashes([9] * 64, 32), {"a": 3, "b": 1, "c": 2}) == ["b", "c", "a"]


def test_an_engine_with_too_much_to_do_loses_its_prefix() -> None:
    prefixes: PrefixMap[str] = PrefixMap(imbalance=4)
    hashes = prefix_hashes(SHARED, 32)
    prefixes.sent(hashes, "a")
    assert prefixes.rank(hashes, {"a": 4, "b": 0})[0] == "a"
    assert prefixes.rank(hashes, {"a": 5, "b": 0})[0] == "b"


def test_memory_is_bounded_and_follows_the_engines() -> None:
    prefixes: PrefixMap[str] = PrefixMap(capacity=2)
    old, new = prefix_hashes(SHARED, 32), prefix_hashes([7] * 64, 32)
    prefixes.sent(old, "a")
    prefixes.sent(new, "a")
    assert prefixes.rank(old, {"b": 0, "a": 1})[0] == "b", "forgotten for newer ones"
    assert prefixes.rank(new, {"b": 0, "a": 1})[0] == "a"
    prefixes.keep(["b"])
    assert prefixes.rank(new, {"b": 0, "a": 1})[0] == "b"
