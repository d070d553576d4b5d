"""WordNet's own files (Debian package `wordnet-base`, in /usr/share/wordnet): synonyms of a word in its first sense.

https://wordnet.princeton.edu/documentation/wndb5wn describes `index.<pos>` and `data.<pos>`.
"""

import re
from pathlib import Path

from r1ray.errors import DataError

DEFAULT_FOLDER = "/usr/share/wordnet"
PARTS = ("noun", "verb", "adj", "adv")
_LEMMA = re.compile(r"[a-z]{3,}")
_VOWELS = "aeiou"
_INFLECTED = ("s", "ed", "ing")


class WordNet:
    """Synonyms, read once; a lemma's first synset is its most frequent sense.

    Args:
        folder: with `index.noun`, `data.noun` and so on.

    Raises:
        DataError: the folder lacks a file.
    """

    def __init__(self, folder: str | Path = DEFAULT_FOLDER) -> None:
        self._folder = Path(folder)
        missing = [
            name for part in PARTS for name in (f"index.{part}", f"data.{part}") if not (self._folder / name).is_file()
        ]
        if missing:
            raise DataError(
                f"WordNet was looked for in {folder}, which lacks {', '.join(missing)}. Install it (Debian: apt-get "
                "install wordnet-base), or give its folder as augment.wordnet."
            )
        self._first_sense = {part: self._index(part) for part in PARTS}
        self._data = {part: (self._folder / f"data.{part}").read_bytes() for part in PARTS}

    def synonyms(self, word: str) -> list[str]:
        """Other common words of the word's first sense, in the same form (a regular plural stays one), sorted.

        Empty for a word that belongs to two parts of speech: without a parser nobody knows which is meant.
        """
        if word.endswith(_INFLECTED):  # `planted` is an adjective in WordNet, and a verb nearly everywhere else
            singular = _singular(word)
            return [_plural(other) for other in self._others(singular)] if self._parts(singular) == ["noun"] else []
        return self._others(word)

    def _parts(self, lemma: str) -> list[str]:
        return [part for part in PARTS if lemma in self._first_sense[part]]

    def _others(self, lemma: str) -> list[str]:
        """Common words of the first sense of a lemma that is of one part of speech."""
        if len(parts := self._parts(lemma)) != 1:
            return []
        part = parts[0]
        data = self._data[part]
        start, _ = self._first_sense[part][lemma]
        fields = data[start : data.index(b"\n", start)].split()
        count = int(fields[3], 16)
        words = {field.decode().partition("(")[0].lower() for field in fields[4 : 4 + 2 * count : 2]}
        common = {word for word in words - {lemma} if self._first_sense[part].get(word, (0, 0))[1]}
        return sorted(word for word in common if not word.endswith(_INFLECTED))

    def _index(self, part: str) -> dict[str, tuple[int, int]]:
        """Lemma to the offset of its first synset, and in how many senses it was met in tagged texts."""
        first: dict[str, tuple[int, int]] = {}
        with (self._folder / f"index.{part}").open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith(" "):  # the licence
                    continue
                # lemma pos synset_cnt p_cnt [ptr_symbol...] sense_cnt tagsense_cnt synset_offset [synset_offset...]
                fields = line.split()
                if _LEMMA.fullmatch(fields[0]):
                    pointers = int(fields[3])
                    first[fields[0]] = int(fields[6 + pointers]), int(fields[5 + pointers])
        return first


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else ""


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2:-1] not in _VOWELS:
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("ch", "sh", "s", "x")) else "s")
