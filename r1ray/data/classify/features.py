"""Texts as sparse vectors: hashed n-grams of characters and words, as fastText has them, and a few figures besides.

Hashes are computed for a whole text at once; a vector has length one, so that long texts count as much as short ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from r1ray.data.dedup.shingles import shingle

SHAPES = 3
"""Figures of a text's variety."""
_RADIX = np.uint64(0x100000001B3)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_ZERO, _NINE = ord("0"), ord("9")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ngrams:
    """Which n-grams are counted. Digits are all the same one; characters keep their case, words do not."""

    bits: int = 15
    """Vectors have 2^bits hashed places."""
    chars: tuple[int, ...] = (1, 2, 3, 4)
    words: tuple[int, ...] = (1, 2)
    max_chars: int = 2000
    """Characters of a text that are looked at."""

    def vectors(self, texts: Sequence[str], lexicons: Mapping[str, frozenset[str]]) -> Any:
        """A CSR matrix [N, 2^bits + SHAPES + lexicons]: of each n-gram log(1 + count), how varied the text is, and of
        each list the share of words in it."""
        heads = [text[: self.max_chars] for text in texts]
        parts: list[list[NDArray[np.uint64]]] = [self._characters(head) for head in heads]
        for length in self.words:
            hashes = shingle(heads, length)
            for row, found in enumerate(parts):
                found.append(hashes[row] * np.uint64(2 * length + 1))
        indices, values, ends = [], [], [0]
        for head, hashed in zip(heads, parts, strict=True):
            flat = np.concatenate(hashed) if hashed else np.empty(0, np.uint64)
            places, counts = np.unique((flat * _SPREAD) >> np.uint64(64 - self.bits), return_counts=True)
            weights = np.log1p(counts)
            weights /= np.linalg.norm(weights) or 1.0
            figures = np.concatenate([_shape(head, hashed), _shares(head, lexicons)])
            indices.append(
                np.concatenate([places.astype(np.int32), 2**self.bits + np.arange(len(figures), dtype=np.int32)])
            )
            values.append(np.concatenate([weights, figures]).astype(np.float32))
            ends.append(ends[-1] + len(indices[-1]))
        flat_values = np.concatenate(values) if values else np.empty(0, np.float32)
        flat_indices = np.concatenate(indices) if indices else np.empty(0, np.int32)
        shape = (len(texts), 2**self.bits + SHAPES + len(lexicons))
        return scipy.sparse.csr_array((flat_values, flat_indices, np.asarray(ends)), shape=shape)

    def _characters(self, text: str) -> list[NDArray[np.uint64]]:
        codes = np.frombuffer(f" {text} ".encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
        codes[(codes >= _ZERO) & (codes <= _NINE)] = _ZERO
        found = []
        with np.errstate(over="ignore"):
            for length in self.chars:
                if len(codes) >= length:
                    hashed = np.full(len(codes) - length + 1, length, np.uint64)
                    for offset in range(length):
                        hashed = (hashed ^ codes[offset : len(codes) - length + 1 + offset]) * _RADIX
                    found.append(hashed)
        return found


def _shape(text: str, hashed: Sequence[NDArray[np.uint64]]) -> NDArray[np.float32]:
    """Herdan's C, log of different over log of all, of the longest n-grams and of the words: repetition whatever the
    length; and the share of blanks."""
    counts = [(len(set(found)), len(found)) for found in (list(map(int, hashed[-1])) if hashed else [], text.split())]
    herdan = [np.log(different) / np.log(every) if every > 1 else 1.0 for different, every in counts]
    return np.asarray([*herdan, text.count(" ") / max(1, len(text))], np.float32)


def _shares(text: str, lexicons: Mapping[str, frozenset[str]]) -> NDArray[np.float32]:
    """For each list, how many of ten words are in it, at most three."""
    if not lexicons:
        return np.empty(0, np.float32)
    words = [word.strip(".,;:()[]\"'") for word in text.lower().split()]
    total = max(1, len(words))
    hits = [sum(word in lexicon for word in words) for lexicon in lexicons.values()]
    return np.minimum(3.0, 10 * np.asarray(hits, np.float32) / total).astype(np.float32)
