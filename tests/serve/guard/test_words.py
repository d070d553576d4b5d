"""Whole words and phrases, however they are written; and what may still become one."""

import pytest

from r1ray.serve.guard.words import WordList

RULE = WordList(["damn", "bad word", "2 girls 1 cup", "---"])


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("damn", 0),
        ("oh DAMN it", 3),
        ("da\u200bmn", 0),
        ("ｄａｍｎ", 0),
        ("a bad, word", 2),
        ("a bad\nword!", 2),
        ("2 girls 1 cup", 0),
        ("damned if the goddamn bad wordsmith", None),
        ("22 girls 1 cup", None),
        ("", None),
        ("--- !", None),
    ],
)
def test_whole_words_alone_count(text, hit):
    assert RULE.scan(text, 0, True).hit == hit


@pytest.mark.parametrize(
    ("text", "hold"),
    [
        ("see d", 4),
        ("see damn", 4),  # it may become `damned`
        ("see dart", 8),
        ("a bad", 2),
        ("a bad ", 2),
        ("a bad w", 2),
        ("a bad x", 7),
        ("a bad bad", 6),
        ("2 girls 1", 0),
        ("fine ", 5),
    ],
)
def test_only_what_may_become_a_phrase_is_held(text, hold):
    scan = RULE.scan(text, 0, False)
    assert (scan.hit, scan.hold) == (None, hold)


def test_the_rest_of_a_word_that_was_sent_is_no_word():
    assert RULE.scan("xdamn", 1, True).hit is None
    assert RULE.scan("x damn", 1, True).hit == 2
