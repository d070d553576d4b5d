"""`numeric`: numbers moved by at most 5 %, in problems, tables with a derivation, tables and feature rows."""

from collections.abc import Mapping
from fractions import Fraction
from random import Random
from typing import Any

from r1ray.data.augment.numbers import Number, find_numbers, replace_numbers, write_number
from r1ray.data.augment.program import evaluate, read_equation
from r1ray.data.augment.substitute import vary
from r1ray.data.augment.variant import Edit, Inapplicable, Row

SPREAD = Fraction(5, 100)
"""Largest relative change."""
_GRAINS = 1000
_FIXED = frozenset(map(Fraction, (100, 1000, *range(1800, 2101))))
"""Scales, which derivations use, and years."""


def numeric(row: Row, stream: Random) -> Edit:
    """Features keep their label, tables their totals unrecomputed (unverified both); problems and tables with a
    `derivation` get the answer that the new numbers give (verified)."""
    if isinstance(features := row.get("features"), Mapping):
        return Edit(fields={"features": {name: _moved(value, stream) for name, value in features.items()}})
    if isinstance(table := row.get("table"), list | tuple):
        return _table(row, table, stream)
    return vary(row, stream, draw_near)


def draw_near(number: Number, stream: Random) -> Fraction:
    """Another number of as many decimal places, at most 5 % away."""
    unit = Fraction(1, 10**number.places)
    reach = int(number.value * SPREAD / unit)
    return number.value + stream.randint(-reach, reach) * unit


def _table(row: Row, table: Any, stream: Random) -> Edit:
    values: dict[Fraction, Fraction] = {}
    for cells in table:
        for number in find_numbers(" | ".join(map(str, cells))):
            if number.value and number.value not in _FIXED:
                values.setdefault(number.value, draw_near(number, stream))
    values = {old: new for old, new in values.items() if old != new}
    if not values:
        raise Inapplicable("no number of the table can be moved")
    fields: dict[str, Any] = {"table": [[replace_numbers(str(cell), values) for cell in cells] for cells in table]}
    if not row.get("question"):
        return Edit(fields=fields, reason="the table has no question to check")
    if any(number.value in values for number in find_numbers(str(row["question"]))):
        raise Inapplicable("the question quotes the table")
    derivation, answer = row.get("derivation"), row.get("answer")
    equation = read_equation(str(derivation), str(answer)) if derivation and answer is not None else None
    if equation is None:
        raise Inapplicable("the answer has no derivation to execute")
    if abs(evaluate(equation, lambda value: value) - equation.result) > Fraction(1, 100):
        raise Inapplicable("the derivation does not give the answer")
    result = evaluate(equation, lambda value: values.get(value, value))
    fields |= {"derivation": replace_numbers(str(derivation), values), "answer": _rounded(result, str(answer))}
    again = read_equation(fields["derivation"], fields["answer"])
    right = again is not None and abs(evaluate(again, lambda value: value) - again.result) <= Fraction(1, 100)
    return Edit(
        fields=fields,
        check="verified" if right else "rejected",
        reason="derivation executed" if right else "the derivation does not give the answer",
    )


def _rounded(value: Fraction, like: str) -> str:
    places = max(2, len(like.rpartition(".")[2]) if "." in like else 0)
    return write_number(Fraction(round(value * 10**places), 10**places), like="0")


def _moved(value: Any, stream: Random) -> Any:
    """A number at most 5 % away, whole where it was whole; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    share = stream.randint(-_GRAINS, _GRAINS) / _GRAINS * float(SPREAD)
    return round(value * (1 + share)) if isinstance(value, int) else value * (1 + share)
