"""`insertion`, `deletion` and `swap`: the easy edits of EDA (arXiv 1901.11196) and AEDA (arXiv 2108.13177)."""

from random import Random
from typing import TypeVar

from r1ray.data.augment.variant import Edit, Inapplicable, Row
from r1ray.data.augment.words import edit_text, find_words

Item = TypeVar("Item")

RATE = 0.1
"""Marks for each word of the text; at least one."""
DELETED = 0.05
"""Share of the words that is left out; at least one."""
MARKS = (",", ";", ":", ".", "!", "?")


def insertion(row: Row, stream: Random) -> Edit:
    """Punctuation marks before random words: they break the form and leave the meaning (AEDA)."""

    def change(text: str) -> str:
        places = [word.start for word in find_words(text) if word.free and text[: word.start].endswith(" ")]
        for start in sorted(_some(places, RATE * len(text.split()), stream), reverse=True):
            text = f"{text[:start]}{stream.choice(MARKS)} {text[start:]}"
        return text

    return edit_text(row, change)


def deletion(row: Row, stream: Random) -> Edit:
    """Random words are left out."""

    def change(text: str) -> str:
        words = [word for word in find_words(text) if word.free and word.text.islower()]
        chosen = _some(words, DELETED * len(text.split()), stream)
        for word in sorted(chosen, key=lambda word: -word.start):
            text = (text[: word.start].rstrip(" ") + text[word.end :]) if word.start else text[word.end :].lstrip()
        return text

    return edit_text(row, change)


def swap(row: Row, stream: Random) -> Edit:
    """Two random words of the text change places."""

    def change(text: str) -> str:
        words = [word for word in find_words(text) if word.free and word.text.islower()]
        if len({word.text for word in words}) < 2:
            raise Inapplicable("too few words to swap")
        first, second = sorted(stream.sample(words, 2), key=lambda word: word.start)
        between = text[first.end : second.start]
        return text[: first.start] + second.text + between + first.text + text[second.end :]

    return edit_text(row, change)


def _some(items: list[Item], count: float, stream: Random) -> list[Item]:
    if not items:
        raise Inapplicable("no word may be touched")
    return stream.sample(items, min(len(items), max(1, round(count))))
