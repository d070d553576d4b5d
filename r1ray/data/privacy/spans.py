"""A place in a text that a detector found, and which one counts where two overlap."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` (exclusive) of a text."""

    start: int
    end: int
    kind: str
    """`EMAIL`, `PHONE`, `CREDIT_CARD`, `IBAN`, `IP`, `NATIONAL_ID`, or what a further detector names."""
    value: str
    """Without the ways to write it: lower case, digits only. Equal values get one placeholder."""


def without_overlaps(spans: Iterable[Span]) -> list[Span]:
    """In order; of two that overlap the longer one stays, of equals the earlier one that was given."""
    chosen: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start - span.end):
        if all(span.end <= other.start or span.start >= other.end for other in chosen):
            chosen.append(span)
    return sorted(chosen, key=lambda span: span.start)
