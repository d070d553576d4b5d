"""Stable names for problems: two questions share an id exactly when they read the same."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

# Look-alikes that Unicode's compatibility forms leave apart: minus and dashes, times, divided by, apostrophe.
_LOOKALIKES = str.maketrans("\u2212\u2010\u2011\u2013\u2014×·÷\u2019", "-----**/'")
# Each pattern begins with the mark itself, so that the scan is quick; what must stand before it is looked up after.
_THOUSANDS = re.compile(r",(?<=\d,)(?=\d{3}(?!\d))")
_HYPHEN = re.compile(r"-(?<=[^\W\d_]{2}-)(?=[^\W\d_]{2})")
_PUNCTUATION = re.compile(
    r"[\"`“”‘„;?]"
    r"|!(?<![\d)]!)(?<!\b\w!)"  # an exclamation mark goes, the factorials `15!` and `n!` stay
    r"|'(?<!\b\w')"  # an apostrophe goes, the derivative f'(x) stays
    r"|[.,:](?!\d)"  # a full stop goes, `3.5`, `(1,2)` and `3:4` stay
)
_BESIDE_SYMBOL = re.compile(r" (?:(?=[^\w ])|(?<=[^\w ] ))")


def normalise_question(question: str) -> str:
    """What is left without case, white space, width and punctuation; digits and operators are the problem, and stay.

    `Compute 3 + 9 - 9.` becomes `compute 3+9-9`. Powers and fractions survive Unicode's compatibility forms (NFKC):
    `2²` becomes `2^2`, not `22`.
    """
    text = question
    if not text.isascii():
        text = "".join(map(_compatible, unicodedata.normalize("NFC", text))).translate(_LOOKALIKES)
    text = _HYPHEN.sub(" ", _THOUSANDS.sub("", text.casefold()))
    text = " ".join(_PUNCTUATION.sub(" ", text).split())
    return _BESIDE_SYMBOL.sub("", text)


def problem_id(question: str) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of the normalised question."""
    return hashlib.sha256(normalise_question(question).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def dataset_fingerprint(ids: Iterable[str]) -> str:
    """Sixteen hexadecimal digits that name a set of problem ids, whatever their order."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:16]


def _compatible(char: str) -> str:
    """NFKC of one character, with the mark that keeps a power or a fraction apart from the number before it."""
    kind = unicodedata.decomposition(char)
    mark = "^" if kind.startswith("<super>") else " " if kind.startswith("<fraction>") else ""
    return mark + unicodedata.normalize("NFKC", char)
