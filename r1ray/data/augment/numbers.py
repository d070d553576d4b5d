"""Numbers where they stand in a text: found with their spans, written as they were, replaced by value."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from r1ray.reasoning.checker import given_numbers

_NUMBER = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9])|[0-9]+(?:\.[0-9]+)?|(?<![\w.])\.[0-9]+")
_BULLET = re.compile(r"^[ \t]*(?:Step[ ])?[0-9]+[.):](?=\s)", re.MULTILINE)
_BEFORE = re.compile(r"[\w/:#^]$")
_AFTER = re.compile(r"\s?%|[ ]?percent\b|[A-Za-z:/^]|[-–][0-9]|,[0-9]|\.[0-9]")


@dataclass(frozen=True, slots=True)
class Number:
    """One number as written."""

    value: Fraction
    start: int
    end: int
    text: str
    plain: bool
    """Stands for an amount: no percentage, ordinal, fraction, clock time or part of a name."""

    @property
    def places(self) -> int:
        """Decimal places as written."""
        return len(self.text.partition(".")[2])


def find_numbers(text: str) -> list[Number]:
    """Every number in digits, but for those that count lines (`2. ...`)."""
    bullets = {match.end() for match in _BULLET.finditer(text)}
    found = []
    for match in _NUMBER.finditer(text):
        start, end = match.span()
        if end + 1 in bullets:
            continue
        plain = not (_BEFORE.search(text[max(0, start - 1) : start]) or _AFTER.match(text, end))
        found.append(Number(Fraction(match[0].replace(",", "")), start, end, match[0], plain))
    return found


def write_number(value: Fraction, like: str) -> str:
    """The number with the commas and, in money, the decimal places of another; with more places where it needs them.

    Raises:
        ValueError: no decimal number is exactly this value.
    """
    places = len(like.partition(".")[2])
    if value.denominator == 1 and places < 2:
        return f"{value.numerator:,}" if "," in like else str(value.numerator)
    while value.denominator > 1 and (value * 10**places).denominator > 1:
        places += 1
        if places > 12:
            raise ValueError(f"{value} has no end as a decimal number.")
    scaled = abs(int(value * 10**places))
    whole, part = divmod(scaled, 10**places)
    return f"{'-' if value < 0 else ''}{f'{whole:,}' if ',' in like else whole}.{part:0{places}d}"


def replace_numbers(text: str, values: Mapping[Fraction, Fraction]) -> str:
    """The text with every number of these values replaced."""
    pieces, reached = [], 0
    for number in find_numbers(text):
        if number.value in values:
            pieces += [text[reached : number.start], write_number(values[number.value], number.text)]
            reached = number.end
    return "".join([*pieces, text[reached:]])


def same_numbers(before: str, after: str) -> bool:
    """Whether both texts give the same numbers, in digits, in words and as percentages, each as often."""
    return _amounts(before) == _amounts(after)


def _amounts(text: str) -> Counter[object]:
    in_digits: Counter[object] = Counter((number.value, number.plain) for number in find_numbers(text))
    return in_digits + Counter(given_numbers(text))
