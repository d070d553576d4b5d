"""Which words of a text may be touched: never numbers, number words, names, or what a problem's arithmetic hangs on."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from r1ray.data.augment.numbers import same_numbers
from r1ray.data.augment.variant import Edit, Inapplicable, Row
from r1ray.reasoning.checker import given_numbers

TEXT_FIELDS = ("question", "text", "prompt")
"""What a text operator works on: the first of these that the row has."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_SENTENCE_START = re.compile(r"(?:^|[.!?:\n][\"”']?\s*)$")
_MEANT = frozenset(
    re.findall(
        r"\w+",
        """
        a about above added after again all almost altogether always an and another any as at average before below
        between bigger both but by change combined cost costs decrease decreased difference different divided do
        does double each either equal equally every exactly except extra few fewer fifth first for fourth fraction
        from gained gave gets give given gives got greater had half has have how if in increase increased into is it
        itself larger last least left less lose loses lost low lower many minus more most much multiplied neither
        never new next no none nor not now of off old older on once one only or other out over pair pays per percent
        plus previous product quarter rate ratio remain remainder remaining rest same second sell sells shared
        smaller sold some spare spend spends spent split sum than that the their them then there these they thing
        third this those thrice times to together total triple twice under unless until up was were what when where
        which while who whole whose will with without worth years younger
        """,
    )
)
"""Words that a problem's arithmetic may hang on."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text, and whether it may be touched."""

    text: str
    start: int
    end: int
    free: bool


def find_words(text: str) -> list[Word]:
    """Every word, in order."""
    return [Word(found[0], *found.span(), _free(text, found)) for found in _WORD.finditer(text)]


def edit_text(row: Row, change: Callable[[str], str]) -> Edit:
    """The row with its text changed; rejected where a number did not survive. Its meaning is not checked.

    Raises:
        Inapplicable: the row has no text, or the change left it as it was.
    """
    name, text = text_of(row)
    changed = change(text)
    if changed == text:
        raise Inapplicable("nothing to change")
    return judged(name, text, changed)


def judged(name: str, before: str, after: str) -> Edit:
    """An edit of one text field: unverified where every number survived, else rejected."""
    kept = same_numbers(before, after)
    fields: dict[str, Any] = {name: after}
    return Edit(
        fields=fields,
        check="unverified" if kept else "rejected",
        reason="numbers kept" if kept else "a number did not survive",
    )


def text_of(row: Row) -> tuple[str, str]:
    """(field, text) that a text operator works on.

    Raises:
        Inapplicable: there is none.
    """
    for name in TEXT_FIELDS:
        value = row.get(name)
        if isinstance(value, str) and value.strip():
            return name, value
    raise Inapplicable("no text")


def _free(text: str, found: re.Match[str]) -> bool:
    word = found[0]
    if len(word) < 3 or word.casefold() in _MEANT or given_numbers(word):
        return False
    before, after = text[: found.start()], text[found.end() :]
    if re.search(r"[\d$€£_\\^=*/+]$", before) or re.match(r"[\d_\\^=*/+(]", after):
        return False
    name = word[0].isupper() and not (_SENTENCE_START.search(before) and word[1:].islower())
    # At the start of a sentence a name looks like any other word: it is one where it never occurs in lower case.
    return not name and not (word[0].isupper() and not re.search(rf"\b{re.escape(word.lower())}\b", text))
