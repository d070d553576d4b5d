"""What fills gaps where no masked language model is at hand: counts of which words stand beside which."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

_TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")
_REACH = 60
"""Characters on either side that hold the neighbours."""


class NeighbourModel:
    """Proposes words by how often they stood behind the word before the gap, and before the word behind it."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._behind: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._before: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._count: Counter[str] = Counter()
        for text in texts:
            tokens = [token.lower() for token in _TOKEN.findall(text)]
            self._count.update(tokens)
            for one, other in pairwise(tokens):
                self._behind[one][other] += 1
                self._before[other][one] += 1

    def fill(self, before: str, after: str, count: int) -> list[str]:
        """The likeliest by p(word | word before) * p(word behind | word), of those that stood in both places."""
        left = [token.lower() for token in _TOKEN.findall(before[-_REACH:])]
        right = [token.lower() for token in _TOKEN.findall(after[:_REACH])]
        behind = self._behind[left[-1]] if left else self._count
        ahead = self._before[right[0]] if right else self._count
        scores = {word: number * ahead[word] / self._count[word] for word, number in behind.items() if word in ahead}
        return sorted(scores, key=lambda word: (-scores[word], word))[:count]
