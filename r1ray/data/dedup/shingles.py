"""Texts as sets of hashed word n-grams: a whole batch at once, and the same numbers in every process.

A word is a run of letters, marks and digits, or a number with its point; an operator or bracket is a word of its own,
and so is a character of a script without spaces. Digits stay: `3 apples` and `4 apples` are different problems. Other
punctuation and case go.
"""

import functools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]

_SPACE, _LETTER, _SINGLE, _INSIDE, _AFTER = range(5)
"""Between words; part of a word; a word of its own; part of a number between digits; an operator after one letter or
digit, punctuation elsewhere."""
# Thai, Lao, Myanmar and Khmer; kana; CJK ideographs: no spaces between words.
_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF))
_BMP = 0x10000
_RADIX = 0x9E3779B97F4A7C15
_WORD_RADIX = 0xD1B54A32D192ED03
_MODULUS = 2**64
_BLOCK = 1 << 16
"""Characters worked on at a time."""


@dataclass(frozen=True, slots=True)
class Ragged:
    """One run of hashes for each text: text `i` has `values[offsets[i]:offsets[i + 1]]`."""

    values: Hashes
    offsets: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Hashes:
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> Ints:
        return np.diff(self.offsets)


def shingle(texts: Sequence[str], words: int = 5) -> Ragged:
    """The hashed n-grams of each text, in order and with repetitions.

    A text of fewer than `words` words has one shingle, of all its words; a text without any has none.

    Args:
        texts: N texts.
        words: words in a shingle.

    Returns:
        For each text max(1, its words - words + 1) hashes.
    """
    return shingles_of(hash_words(texts), words)


def shingles_of(tokens: Ragged, words: int) -> Ragged:
    """The n-grams of texts whose words are hashed already."""
    counts = tokens.lengths
    number = np.where(counts > 0, np.maximum(counts - words + 1, 1), 0)
    # Room of words - 1 empty words after each text, so that no shingle reaches into the next one.
    padded = np.zeros(len(tokens.values) + (words - 1) * (len(counts) + 1), np.uint64)
    padded[np.arange(len(tokens.values)) + np.repeat(np.arange(len(counts)) * (words - 1), counts)] = tokens.values
    rolled = np.zeros(len(padded) - words + 1, np.uint64)
    for place in range(words):
        rolled *= np.uint64(_WORD_RADIX)
        rolled += padded[place : place + len(rolled)]
    offsets = offsets_of(number)
    begins = tokens.offsets[:-1] + np.arange(len(counts)) * (words - 1)
    return Ragged(mix(rolled[np.repeat(begins - offsets[:-1], number) + np.arange(offsets[-1])]), offsets)


def hash_words(texts: Sequence[str]) -> Ragged:
    """The 64-bit hash of every word of each text, in order."""
    folded = [_fold(text) for text in texts]
    lengths = np.fromiter((len(text) + 1 for text in folded), np.int64, len(folded))
    parts, counts = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for begin, end in blocks(offsets_of(lengths), _BLOCK):
        words, starts = _hash_characters("\n".join([*folded[begin:end], ""]))
        parts.append(words)
        counts.append(np.diff(np.searchsorted(starts, offsets_of(lengths[begin:end]))))
    return Ragged(np.concatenate(parts), offsets_of(np.concatenate(counts)))


def blocks(offsets: Ints, size: int) -> list[tuple[int, int]]:
    """Ranges of whole texts with about `size` values each: temporary arrays that stay in the processor's cache."""
    borders = [0]
    while borders[-1] < len(offsets) - 1:
        reach = int(np.searchsorted(offsets, offsets[borders[-1]] + size, side="right")) - 1
        borders.append(max(reach, borders[-1] + 1))
    return list(pairwise(borders))


def offsets_of(lengths: Ints) -> Ints:
    """Where each run begins, and where the last one ends."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def mix(values: Hashes) -> Hashes:
    """SplitMix64's finaliser (Steele et al. 2014): every bit of the input moves every bit of the output."""
    values = values + np.uint64(_RADIX)
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def _hash_characters(text: str) -> tuple[Hashes, Ints]:
    """Hash and first character of each word.

    A word's hash is a difference of prefix sums: sum of T[c_j] R^j over its characters, modulo 2^64, times R^-start (R
    is odd and has an inverse), with a random number T[c] for each character.
    """
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    letter, single = _kinds_of(points)
    starts = np.flatnonzero(single | (letter & ~_moved(letter, 1)))
    ends = np.flatnonzero(single | (letter & ~_moved(letter, -1))) + 1
    powers, inverses = _powers(max(_BLOCK, 1 << len(points).bit_length()))
    sums = np.zeros(len(points) + 1, np.uint64)
    np.cumsum(mix(points.astype(np.uint64)) * powers[: len(points)], out=sums[1:])
    return mix((sums[ends] - sums[starts]) * inverses[starts]), starts


def _kinds_of(points: NDArray[np.uint32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which characters belong to words, and which are words of their own, by themselves and by their neighbours."""
    kinds = _kinds()[np.minimum(points, _BMP)]
    letter, single, number = kinds == _LETTER, kinds == _SINGLE, (points >= 48) & (points <= 57)
    inside = np.flatnonzero(kinds == _INSIDE)  # 3.5 is one word
    letter[inside] = _moved(number, 1)[inside] & _moved(number, -1)[inside]
    after = np.flatnonzero(kinds == _AFTER)  # 5! and f'(x) are not 5 and f(x)
    alone = (letter & ~_moved(letter, 1)) | number | (points == ord(")"))
    single[after] = _moved(alone, 1)[after] & ~_moved(letter, -1)[after]
    return letter, single


def _moved(mask: NDArray[np.bool_], places: int) -> NDArray[np.bool_]:
    """The mask one place to the right (1) or to the left (-1)."""
    moved = np.zeros_like(mask)
    if places > 0:
        moved[1:] = mask[:-1]
    else:
        moved[:-1] = mask[1:]
    return moved


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", text.casefold())


@functools.cache
def _kinds() -> NDArray[np.uint8]:
    """What each character of the Basic Multilingual Plane is; one more entry stands for all the others (letters)."""
    kinds = np.full(_BMP + 1, _SPACE, np.uint8)
    for point in range(_BMP):
        kind = unicodedata.category(chr(point))
        if kind[0] in "LMN":
            kinds[point] = _LETTER
        elif kind == "Sm":
            kinds[point] = _SINGLE
    for low, high in _UNSPACED:
        block = kinds[low : high + 1]
        block[block == _LETTER] = _SINGLE
    for kind_of, chars in ((_SINGLE, "+-*/^=<>%|()[]{}\u00d7\u00f7"), (_INSIDE, ".,:"), (_AFTER, "!'\u2019")):
        kinds[[ord(char) for char in chars]] = kind_of
    kinds[_BMP] = _LETTER
    return kinds


@functools.lru_cache(maxsize=2)
def _powers(length: int) -> tuple[Hashes, Hashes]:
    """R^i and R^-i modulo 2^64 for i < length."""

    def series(ratio: int) -> Hashes:
        factors = np.full(length, ratio, np.uint64)
        factors[0] = 1
        return np.cumprod(factors, dtype=np.uint64)

    return series(_RADIX), series(pow(_RADIX, -1, _MODULUS))
