import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.config.corpus import DedupConfig
from r1ray.data.dedup.rows import deduplicate, lineage

LONG = " ".join(f"word{number}" for number in range(100))


def edited(text: str, *places: int) -> str:
    words = text.split()
    for place in places:
        words[place] = f"other{place}"
    return " ".join(words)


def reasons(verdicts):
    return [None if verdict is None else (verdict.reason, verdict.detail) for verdict in verdicts]


def test_one_changed_word_of_a_hundred_is_a_near_duplicate_and_twenty_are_not():
    # 96 shingles; the edit at 50 changes 5: J = 91 / 101 = 0.90. Twenty edits, 5 words apart, change them all.
    texts = [LONG, edited(LONG, 50), edited(LONG, *range(2, 100, 5))]
    assert reasons(deduplicate(texts, ["a", "b", "c"], [""] * 3, DedupConfig())) == [
        None,
        ("near duplicate", "a"),
        None,
    ]


def test_just_below_the_threshold_is_kept():
    # two edits far apart change 10 of 96: J = 86 / 106 = 0.81
    verdicts = deduplicate([LONG, edited(LONG, 30, 60)], ["a", "b"], ["", ""], DedupConfig())
    assert verdicts == [None, None]


def test_an_exact_duplicate_is_called_so_and_the_smaller_id_stays():
    verdicts = deduplicate([LONG.upper(), LONG], ["b", "a"], ["", ""], DedupConfig())
    assert reasons(verdicts) == [("exact duplicate", "a"), None]
    assert verdicts[0] is not None
    assert verdicts[0].stage == "dedup"


def test_a_numeric_variant_stays_beside_its_parent_and_goes_beside_a_stranger():
    variant = LONG.replace("word50", "word51")
    assert deduplicate([LONG, variant], ["a", "v"], ["", "a"], DedupConfig()) == [None, None]
    verdicts = deduplicate([LONG, variant], ["a", "v"], ["", "elsewhere"], DedupConfig())
    assert reasons(verdicts) == [None, ("near duplicate", "a")]


def test_an_original_comes_before_a_variant_of_smaller_id():
    verdicts = deduplicate([LONG, edited(LONG, 3)], ["a", "b"], ["elsewhere", ""], DedupConfig())
    assert reasons(verdicts) == [("near duplicate", "b"), None]


@pytest.mark.parametrize("off", ["exact", "near"])
def test_a_pass_that_is_off_drops_nothing(off):
    verdicts = deduplicate([LONG, LONG, edited(LONG, 50)], ["a", "b", "c"], [""] * 3, DedupConfig(**{off: False}))
    found = {verdict.reason for verdict in verdicts if verdict}
    assert found == {"near duplicate" if off == "exact" else "exact duplicate"}


def test_texts_without_words_are_no_near_duplicates():
    assert deduplicate(["!!", "??", ""], ["a", "b", "c"], [""] * 3, DedupConfig()) == [None, None, None]


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_the_verdicts_do_not_depend_on_the_order_of_the_rows(rng):
    draw = random.Random(7)
    texts = [edited(LONG, *draw.sample(range(100), draw.randint(0, 3))) for _ in range(12)]
    ids = [f"{number:02d}" for number in range(12)]
    parents = ["" if number < 8 else ids[number - 8] for number in range(12)]
    expected = dict(zip(ids, deduplicate(texts, ids, parents, DedupConfig()), strict=True))
    order = rng.sample(range(12), 12)
    found = deduplicate([texts[n] for n in order], [ids[n] for n in order], [parents[n] for n in order], DedupConfig())
    assert dict(zip([ids[n] for n in order], found, strict=True)) == expected
    assert any(expected.values())


def test_a_family_is_named_by_its_first_ancestor_even_one_that_is_not_there():
    assert lineage(["a", "b", "c", "d"], ["", "a", "b", "gone"]) == {"a": "a", "b": "a", "c": "a", "d": "gone"}


def test_parents_in_a_circle_end():
    assert set(lineage(["a", "b"], ["b", "a"])) == {"a", "b"}
