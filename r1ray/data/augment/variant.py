"""What an operator makes of a row, and what is written down about it: parent, operator, seed and the check's result."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, Protocol

Row = Mapping[str, Any]
"""Fields of one row: a problem, a text, a table, features, a series or judged steps."""
Check = Literal["verified", "unverified", "rejected"]
"""`verified`: recomputed and right. `unverified`: its own conditions hold, but nothing recomputed its meaning.
`rejected`: not to be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """The fields that an operator changes in a row."""

    fields: dict[str, Any]
    check: Check = "unverified"
    reason: str = ""
    """What the check was; why it failed, where it did."""
    drop: tuple[str, ...] = ()
    """Fields of the parent that the variant does not have."""


class Inapplicable(Exception):
    """Why an operator can make nothing of a row. Short and the same for all rows with this trouble."""


class Operator(Protocol):
    """Makes one variant of each row. What it draws comes from the row's own random stream, so rows do not interact."""

    def __call__(self, rows: Sequence[Row], streams: Sequence[Random]) -> list[Edit]:
        """One edit a row, in order; a row of which nothing can be made gets a rejected one without fields."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One attempt at a variant of one row."""

    id: str
    parent: str
    """Id of the row that it was made from."""
    operator: str
    """Its name in the registry; several, joined by `+`, where they were applied one after the other."""
    seed: int
    check: Check
    reason: str
    row: dict[str, Any]
    """Its fields; empty where the operator could make nothing of the row."""

    def to_row(self) -> dict[str, Any]:
        """Fields and lineage, flat, as the corpus keeps them."""
        lineage = {"id": self.id, "parent": self.parent, "operator": self.operator, "augment_seed": self.seed}
        return {**self.row, **lineage, "check": self.check, "check_reason": self.reason}


def each(make: Callable[[Row, Random], Edit]) -> Operator:
    """An operator from a function of one row, which may raise `Inapplicable`."""

    def operator(rows: Sequence[Row], streams: Sequence[Random]) -> list[Edit]:
        return [attempt(make, row, stream) for row, stream in zip(rows, streams, strict=True)]

    return operator


def attempt(make: Callable[[Row, Random], Edit], row: Row, stream: Random) -> Edit:
    """The edit, or the reason why there is none."""
    try:
        return make(row, stream)
    except Inapplicable as error:
        return Edit(fields={}, check="rejected", reason=str(error))


def stream_of(seed: int, operator: str, row_id: str) -> Random:
    """The random numbers of one row under one operator: a function of seed and ids, whatever else is in the batch."""
    return Random(f"{seed}/{operator}/{row_id}")


def variant_id(parent: str, operator: str, seed: int) -> str:
    """Sixteen hexadecimal digits, as problems have."""
    return hashlib.sha256(f"{parent}/{operator}/{seed}".encode()).hexdigest()[:16]
