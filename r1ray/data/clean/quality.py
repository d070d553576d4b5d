"""Quality rules as two profiles: Gopher's for web text, and one for reasoning that leaves mathematics alone.

Gopher: Rae et al. 2021, arXiv 2112.11446, section A1.1 (quality, and table A1 for repetition). Its rules reject more
than half of GSM8K, for its many numbers and few stop words: they are for web pages, and nothing else.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from r1ray.data.clean.measures import (
    entropy,
    repeated_gram_share,
    repeated_grams,
    repeated_share,
    top_gram_share,
    word_variety,
)
from r1ray.data.verdict import Drop

Rule = Callable[[str, Sequence[str]], tuple[str, str] | None]
"""Text and its words -> reason and detail, or None where the text passes."""

STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
_BULLETS = ("•", "●", "○", "■", "‣", "▪", "- ", "* ")
_LETTER = re.compile(r"[^\W\d_]")
_TOP_GRAMS = {2: 0.20, 3: 0.18, 4: 0.16}
_REPEATED_GRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
_ODD = re.compile(r"[^\w\s+\-*/=^<>()\[\]{}|.,:\\$&!]")  # neither a word's, nor a formula's, nor LaTeX's
_RULER = re.compile(r"([-=_*~.#])\1{3,}")
_REFUSE = re.compile("[\ufffd\ue000-\uf8ff]")
_LONG_RUN = re.compile(r"([^\W_])\1{29,}|([^\W_]{2,6})\2{19,}")  # a line of dashes is a ruler


def judge(text: str, profile: str) -> Drop | None:
    """The first rule of the profile (`web` or `reasoning`) that the text breaks, as a dropped row; else `None`."""
    words = text.split()
    if not words:
        return Drop(stage="clean", reason="empty")
    for rule in PROFILES[profile]:
        if broken := rule(text, words):
            return Drop(stage="clean", reason=broken[0], detail=broken[1])
    return None


def gopher_length(text: str, words: Sequence[str]) -> tuple[str, str] | None:
    """50 to 100,000 words of 3 to 10 characters on average."""
    if not 50 <= len(words) <= 100_000:
        return "number of words", str(len(words))
    mean = sum(map(len, words)) / len(words)
    return None if 3 <= mean <= 10 else ("mean word length", f"{mean:.2f}")


def gopher_symbols(text: str, words: Sequence[str]) -> tuple[str, str] | None:
    """At most one hash or ellipsis for ten words."""
    for name, symbols in (("hashes", text.count("#")), ("ellipses", text.count("...") + text.count("…"))):
        if symbols / len(words) > 0.1:
            return f"too many {name}", f"{symbols / len(words):.2f} a word"
    return None


def gopher_lines(text: str, words: Sequence[str]) -> tuple[str, str] | None:
    """At most 90 % of lines begin with a bullet, at most 30 % end in an ellipsis."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    bullets = sum(line.startswith(_BULLETS) for line in lines) / len(lines)
    if bullets > 0.9:
        return "bullet lines", f"{bullets:.2f}"
    ellipses = sum(line.endswith(("...", "…")) for line in lines) / len(lines)
    return ("lines that end in an ellipsis", f"{ellipses:.2f}") if ellipses > 0.3 else None


def gopher_words(text: str, words: Sequence[str]) -> tuple[str, str] | None:
    """80 % of the words have a letter, and at least two of the stop words occur."""
    others = [word for word in words if not word.isalpha()]  # most are, and that is quicker to see
    alphabetic = 1 - sum(not _LETTER.search(word) for word in others) / len(words)
    if alphabetic < 0.8:
        return "few words with letters", f"{alphabetic:.2f}"
    found = len(STOP_WORDS.intersection(map(str.lower, words)))
    return ("few stop words", str(found)) if found < 2 else None


def gopher_repetition(text: str, words: Sequence[str]) -> tuple[str, str] | None:
    """Repeated lines, paragraphs and n-grams. Blank lines are no duplicates of one another."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    paragraphs = [part.strip() for part in text.split("\n\n") if part.strip()]
    for name, parts in (("lines", lines), ("paragraphs", paragraphs)):
        number, characters = repeated_share(parts)
        if number > 0.3 or characters > 0.2:
            return f"repeated {name}", f"{number:.2f} of {name}, {characters:.2f} of characters"
    for length, starts in repeated_grams(words, 10):
        if length in _TOP_GRAMS and (share := top_gram_share(words, length, starts)) > _TOP_GRAMS[length]:
            return f"frequent {length}-gram", f"{share:.2f}"
        if (
            length in _REPEATED_GRAMS
            and (share := repeated_gram_share(words, length, starts)) > _REPEATED_GRAMS[length]
        ):
            return f"repeated {length}-grams", f"{share:.2f}"
    return None


def reasoning_content(text: str, words: Sequence[str]) -> tuple[str, str] | None:
    """Something that can be read: letters or digits, no broken characters, no word of a thousand characters."""
    if not any(map(str.isalnum, text)):
        return "nothing to read", repr(text[:20])
    odd = len(_ODD.findall(text)) / sum(map(len, words))
    if odd > 0.4:
        return "mostly symbols", f"{odd:.2f} of characters"
    broken = len(_REFUSE.findall(text)) / len(text)
    if broken > 0.01:
        return "broken characters", f"{broken:.3f}"
    longest = max(map(len, words))
    return ("one very long word", f"{longest} characters") if longest > 1000 else None


def reasoning_entropy(text: str, words: Sequence[str]) -> tuple[str, str] | None:
    """From a third of English's character entropy upwards; noise of all bytes alike is above every language."""
    sample = _RULER.sub("", text[:20_000])
    if len(sample) < 40:
        return None
    bits = entropy(sample)
    if bits < 2.0:
        return "low character entropy", f"{bits:.2f} bits"
    return ("high character entropy", f"{bits:.2f} bits") if text.isascii() and bits > 5.8 else None


def reasoning_repetition(text: str, words: Sequence[str]) -> tuple[str, str] | None:
    """Loops. Steps of one form (`3 + 4 = 7`, `7 + 4 = 11`) and restated givens are how reasoning reads, and pass."""
    for word in words:
        if len(word) >= 30 and (found := _LONG_RUN.search(word)):
            return "run of one pattern", repr(found[0][:20])
    if len(words) < 30:
        return None
    if (variety := word_variety(words)) < 0.35:
        return "few different words", f"{variety:.2f}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    number, _ = repeated_share(lines)
    if len(lines) >= 6 and number > 0.5:
        return "repeated lines", f"{number:.2f}"
    for length, starts in repeated_grams(words, 10):
        if length == 10 and (share := repeated_gram_share(words, length, starts)) > 0.5:
            return "repeated 10-grams", f"{share:.2f}"
    return None


PROFILES: Mapping[str, Sequence[Rule]] = {
    "web": (gopher_length, gopher_symbols, gopher_lines, gopher_words, gopher_repetition),
    "reasoning": (reasoning_content, reasoning_entropy, reasoning_repetition),
}
