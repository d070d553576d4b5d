"""Personal data in a text that is still being written: what is found, and how far back it may still come to be."""

import re
from collections.abc import Sequence

from r1ray.data.privacy.detectors import DETECTORS
from r1ray.data.privacy.spans import Span, without_overlaps
from r1ray.serve.guard.verdict import Scan

_REACH = 72
"""Characters of the longest number with its blanks, extension and the word after it."""
_AHEAD = 2
"""Characters after a number that decide whether it is one: a blank and an operator."""
# Ends of a text that may become personal data. They must take in everything that the detectors do.
_OPEN = (
    re.compile(r"\S+$"),  # an address, or any number without blanks
    re.compile(r"[+(]?\d(?:[-. ()]{0,4}\d)*[-. ()]{0,4}$"),  # groups of digits
    # seven digits or more, and a word that says what they are
    re.compile(r"[+(]?\d(?:[-. ()]{0,4}\d){6,}[)]? ?(?:e?x?t?\.? ?\d{0,5})?\s*[-(]?\s*[A-Za-z]{0,7}$", re.IGNORECASE),
    re.compile(r"(?<![^\W_])[A-Za-z]{2}\d\d(?: ?[A-Za-z0-9]){0,32} ?$"),  # IBAN
    re.compile(r"\b[A-Z]{2} ?(?:\d ?){0,6}[A-D]?$"),  # National Insurance number
)


class PersonalData:
    """Detectors of `data.privacy` on a growing text.

    Args:
        kinds: names in `DETECTORS`.
    """

    name = "pii"

    def __init__(self, kinds: Sequence[str]) -> None:
        self._detectors = [DETECTORS[kind] for kind in DETECTORS if kind in kinds]

    def spans(self, text: str) -> list[Span]:
        """What is found in the text as it is."""
        return without_overlaps(span for detector in self._detectors for span in detector(text))

    def scan(self, text: str, start: int, final: bool) -> Scan:
        """As a rule that blocks."""
        hold = len(text) if final else self.hold(text, start)
        hits = [span.start for span in self.spans(text) if span.start >= start and span.end <= hold]
        return Scan(min(hits, default=None), hold)

    def hold(self, text: str, start: int) -> int:
        """From where on the text may still become personal data, or stop being it."""
        hold = len(text)
        tail = max(start, len(text) - _REACH)
        for form in _OPEN:
            if found := form.search(text, tail):
                hold = min(hold, found.start())
        for span in self.spans(text):
            if span.start >= start and (span.end + _AHEAD > len(text) or span.end > hold):
                hold = min(hold, span.start)
        return hold
