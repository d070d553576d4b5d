"""Words and phrases that must not be said, as whole words: `ass` is not in `class`."""

import re
import unicodedata
from collections.abc import Iterable

from r1ray.serve.guard.verdict import Scan

# Letters and digits of any script; invisible characters within a word do not end it.
_WORD = re.compile(r"[^\W_](?:[^\W_]|[\u00ad\u200b-\u200f\u2060\ufeff])*")
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufeff]")


def normalise(word: str) -> str:
    """Case, width and invisible characters do not matter."""
    return unicodedata.normalize("NFKC", _INVISIBLE.sub("", word)).casefold()


class WordList:
    """Phrases by their first word. Between the words of a phrase any blanks and punctuation may stand.

    Args:
        phrases: one or several words each; those without a letter or digit are passed over.
    """

    name = "words"

    def __init__(self, phrases: Iterable[str]) -> None:
        self._phrases: dict[str, set[tuple[str, ...]]] = {}
        self._beginnings: set[str] = set()
        for phrase in phrases:
            words = tuple(normalise(found[0]) for found in _WORD.finditer(phrase))
            if words:
                self._phrases.setdefault(words[0], set()).add(words)
                self._beginnings.update(words[0][:length] for length in range(1, len(words[0]) + 1))

    def scan(self, text: str, start: int, final: bool) -> Scan:
        """The last word may still grow, and the last words may be the beginning of a phrase."""
        found = [(match.start(), match.end()) for match in _WORD.finditer(text, self._word_start(text, start))]
        if not found:
            return Scan(None, len(text))
        words = [normalise(text[begin:end]) for begin, end in found]
        grows = not final and found[-1][1] == len(text)
        whole = len(words) - grows
        for place, word in enumerate(words[:whole]):
            for phrase in self._phrases.get(word, ()):
                if place + len(phrase) <= whole and tuple(words[place : place + len(phrase)]) == phrase:
                    return Scan(found[place][0], len(text))
        if not final:
            for place in range(len(words)):
                if self._may_become(words[place:], grows):
                    return Scan(None, found[place][0])
        return Scan(None, len(text))

    @staticmethod
    def _word_start(text: str, start: int) -> int:
        """Past the rest of a word that began before `start`: it is no word of its own."""
        if 0 < start < len(text) and _WORD.fullmatch(text[start - 1]):
            while start < len(text) and (_WORD.fullmatch(text[start]) or _INVISIBLE.match(text[start])):
                start += 1
        return start

    def _may_become(self, words: list[str], grows: bool) -> bool:
        if grows and len(words) == 1:
            return words[0] in self._beginnings
        return any(
            len(words) < len(phrase) + grows
            and tuple(words[: len(words) - grows]) == phrase[: len(words) - grows]
            and (not grows or phrase[len(words) - 1].startswith(words[-1]))
            for phrase in self._phrases.get(words[0], ())
        )
