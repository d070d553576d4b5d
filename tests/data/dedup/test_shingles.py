import random
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.data.dedup.shingles import blocks, hash_words, offsets_of, shingle

texts = st.lists(st.text("ab 1é.\n", max_size=30), max_size=8)


def words(text: str) -> list[int]:
    return list(map(int, hash_words([text]).values))


@settings(max_examples=25)
@given(texts)
def test_a_text_has_the_same_hashes_alone_and_in_any_batch(batch):
    together = shingle(batch, 3)
    for number, text in enumerate(batch):
        assert together[number].tolist() == shingle([text], 3).values.tolist()


@given(st.lists(st.text("abc01", min_size=1, max_size=4), max_size=40))
def test_equal_words_and_only_equal_words_have_equal_hashes(parts):
    hashes = words(" ".join(parts))
    assert len(hashes) == len(parts)
    assert len(set(zip(parts, hashes, strict=True))) == len(set(parts)) == len(set(hashes))


@settings(max_examples=50)
@given(st.lists(st.text("ab", min_size=1, max_size=2), max_size=12), st.integers(1, 6))
def test_shingles_are_the_ngrams_of_the_words(parts, length):
    grams = [tuple(parts[start : start + length]) for start in range(max(1, len(parts) - length + 1))] if parts else []
    hashes = shingle([" ".join(parts)], length).values.tolist()
    assert len(hashes) == len(grams)
    assert len(set(zip(grams, hashes, strict=True))) == len(set(grams)) == len(set(hashes))


def test_a_text_shorter_than_a_shingle_differs_from_its_parts_and_from_longer_ones():
    short, shorter, longer = (set(shingle([text], 5).values.tolist()) for text in ("a b c", "a b", "a b c d e f"))
    assert len(short) == len(shorter) == 1
    assert len(longer) == 2
    assert not short & shorter
    assert not short & longer


def test_case_and_punctuation_go():
    assert words("Mia has three eggs; Tom – none!") == words("mia, HAS three «eggs» tom none")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3 apples", "4 apples"),
        ("3.5", "35"),
        ("3.5", "3 5"),
        ("2 + 3", "2 - 3"),
        ("(2 + 3) * 4", "2 + 3 * 4"),
        ("5!", "5"),
        ("n!", "n"),
        ("f'(x)", "f(x)"),
        ("3:4", "3 4"),
        ("√2", "2"),
        ("x²", "x"),
    ],
)
def test_what_carries_meaning_in_mathematics_keeps_texts_apart(one, other):
    assert words(one) != words(other)


def test_scripts_without_spaces_have_a_word_a_character_and_others_a_word_a_run():
    assert len(words("你好世界")) == 4
    assert len(words("привет мир")) == 2
    assert len(words("हिन्दी में")) == 2
    assert len(words("🙂 x\U0001d54f")) == 2  # outside the basic plane everything is a letter


def test_composed_and_decomposed_accents_are_one_word():
    assert words("caf\u00e9") == words("cafe\u0301") == words("CAFÉ")


def test_half_a_surrogate_pair_is_hashed_like_any_character():
    assert len(words("a \ud83d b")) in (2, 3)


def test_long_texts_are_hashed_like_short_ones():
    draw = random.Random(0)
    parts = ["".join(draw.choices("abcdefgh", k=6)) for _ in range(20_000)]  # 140,000 characters: more than a block
    assert words(" ".join(parts)) == [words(part)[0] for part in parts[:50]] + words(" ".join(parts[50:]))


def test_hashes_do_not_depend_on_the_process():
    program = "from r1ray.data.dedup.shingles import shingle; print(shingle(['a b c d e f 7']).values.tolist())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert re.findall(r"\d+", done.stdout) == [str(value) for value in shingle(["a b c d e f 7"]).values.tolist()]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 30), max_size=30), st.integers(1, 40))
def test_blocks_hold_every_text_once_and_no_more_than_asked_unless_one_text_does(lengths, size):
    offsets = offsets_of(np.array(lengths, np.int64))
    ranges = blocks(offsets, size)
    assert [number for begin, end in ranges for number in range(begin, end)] == list(range(len(lengths)))
    assert all(sum(lengths[begin:end]) <= size or end - begin == 1 for begin, end in ranges)
