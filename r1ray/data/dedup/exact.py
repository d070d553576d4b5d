"""Exact duplicates: rows whose texts are the same after normalisation."""

import hashlib
import unicodedata
from collections.abc import Sequence


def digest(text: str) -> str:
    """Thirty-two hexadecimal digits of the SHA-256 of the text without case and runs of white space.

    Punctuation counts here, since `(2 + 3) * 4` is not `2 + 3 * 4`; what differs in a full stop is a near duplicate.
    """
    folded = text.lower() if text.isascii() else unicodedata.normalize("NFC", text.casefold())
    return hashlib.sha256(" ".join(folded.split()).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def repeats(digests: Sequence[str], ids: Sequence[str], parents: Sequence[str]) -> list[int]:
    """Which earlier row each row repeats; -1 where none.

    A variant may repeat its sibling or a stranger, never its own parent: what an operator leaves unchanged is the
    operator's business. Rows are given in the order of precedence.
    """
    kept: dict[str, list[int]] = {}
    found = []
    for row, name in enumerate(digests):
        others = kept.setdefault(name, [])
        first = next((one for one in others if parents[row] != ids[one] and parents[one] != ids[row]), -1)
        if first < 0:
            others.append(row)
        found.append(first)
    return found
