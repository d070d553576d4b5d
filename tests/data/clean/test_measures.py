import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.data.clean.measures import (
    entropy,
    repeated_gram_share,
    repeated_grams,
    repeated_share,
    top_gram_share,
    word_variety,
)

words = st.lists(st.sampled_from("abc"), max_size=20)


def starts_of(text, length):
    return dict(repeated_grams(text.split(), 10))[length]


def test_entropy_counts_bits():
    assert entropy("aaaa") == 0
    assert entropy("abab") == 1
    assert entropy("abcd" * 5) == 2
    assert entropy("") == 0


def test_word_variety_is_one_for_different_words_and_falls_with_repetition():
    assert word_variety(["a", "b", "c"]) == pytest.approx(1)
    assert word_variety(["a"] * 9) == 0
    assert word_variety(["a", "a", "b", "b"]) == pytest.approx(math.log(2) / math.log(4))


def test_the_first_of_equal_parts_is_no_repetition():
    assert repeated_share(["aa", "b", "aa", "aa"]) == (2 / 4, 4 / 7)
    assert repeated_share([]) == (0, 0)


@settings(max_examples=50)
@given(words)
def test_repeated_grams_are_those_that_counting_finds(parts):
    found = {
        (length, tuple(parts[starts[0] : starts[0] + length])): starts
        for length, groups in repeated_grams(parts, 6)
        for starts in groups
    }
    expected = {}
    for length in range(1, 7):
        grams = [tuple(parts[start : start + length]) for start in range(len(parts) - length + 1)]
        for gram, count in Counter(grams).items():
            if count > 1:
                expected[length, gram] = [start for start, other in enumerate(grams) if other == gram]
    assert found == expected


def test_the_top_gram_is_counted_with_all_its_characters():
    # `ab cd` twice: 2 * 4 characters of 10
    text = "ab cd x ab cd y"
    assert top_gram_share(text.split(), 2, starts_of(text, 2)) == 8 / 10


def test_overlapping_repetitions_are_counted_once():
    # a a a a a: pairs begin at 0, 1, 2, 3; those at 1, 2, 3 repeat and cover the words 1 to 4
    text = "a a a a a"
    assert repeated_gram_share(text.split(), 2, starts_of(text, 2)) == 4 / 5
