"""What quality rules measure: words, lines, entropy and repetition of one text."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any


def entropy(text: str) -> float:
    """Shannon entropy of the characters, in bits each."""
    total = len(text)
    return -sum(count / total * math.log2(count / total) for count in Counter(text).values()) if total else 0.0


def word_variety(words: Sequence[str]) -> float:
    """Entropy of the words over the largest that so many words can have; from 0 (one word) to 1 (all different)."""
    total = len(words)
    if total < 2:
        return 1.0
    counts = Counter(words).values()
    return -sum(count / total * math.log(count / total) for count in counts) / math.log(total)


def repeated_share(parts: Sequence[str]) -> tuple[float, float]:
    """Shares of the parts, and of their characters, that stand in repetitions of an earlier part."""
    if len(set(parts)) == len(parts):
        return 0.0, 0.0
    seen: set[str] = set()
    number = characters = 0
    for part in parts:
        if part in seen:
            number += 1
            characters += len(part)
        seen.add(part)
    return number / len(parts), characters / max(1, sum(map(len, parts)))


def repeated_grams(words: Sequence[str], longest: int) -> Iterator[tuple[int, list[list[int]]]]:
    """For n = 1, 2, … the first words of each n-gram that occurs more than once; ends where none does.

    An n-gram can only repeat where both (n-1)-grams in it do, so that long ones cost next to nothing.

    Yields:
        n, and for each repeated n-gram the numbers of the words where it begins, ascending.
    """
    names: dict[int, Any] = dict(enumerate(words))
    for length in range(1, longest + 1):
        places: defaultdict[Any, list[int]] = defaultdict(list)
        if length == 1:
            for start, word in names.items():
                places[word].append(start)
        else:
            for start in sorted(names):
                if start + 1 in names:
                    places[names[start], names[start + 1]].append(start)
        groups = [starts for starts in places.values() if len(starts) > 1]
        if not groups:
            return
        yield length, groups
        names = {start: name for name, starts in enumerate(groups) for start in starts}


def top_gram_share(words: Sequence[str], length: int, groups: Sequence[Sequence[int]]) -> float:
    """Share of the words' characters in the most frequent n-gram of this length; of equals, the longest counts."""
    most = max(map(len, groups))
    size = max(sum(map(len, words[starts[0] : starts[0] + length])) for starts in groups if len(starts) == most)
    return min(1.0, most * size / sum(map(len, words)))


def repeated_gram_share(words: Sequence[str], length: int, groups: Sequence[Sequence[int]]) -> float:
    """Share of the words' characters in n-grams that occurred before, each character counted once."""
    covered = characters = 0
    for start in sorted(start for starts in groups for start in starts[1:]):
        characters += sum(map(len, words[max(start, covered) : start + length]))
        covered = start + length
    return characters / sum(map(len, words))
