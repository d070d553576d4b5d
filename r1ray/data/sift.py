"""Rows of files parsed into items, the bad ones set aside: what every reader of conversations and labels shares."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from r1ray.data.files import RawRow, expand, is_local, read_rows
from r1ray.data.quarantine import EXCERPT, DataReport, QuarantinedRow, describe
from r1ray.errors import DataError

Item = TypeVar("Item")
Parse = Callable[[Mapping[str, Any]], Sequence[Item]]
"""Fields of one row to its items (most often one); raises `BadRow` where there are none to be had."""


class BadRow(Exception):
    """Why a row cannot be used. Raised by parsers, turned into a `QuarantinedRow` by `sift`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, kw_only=True, slots=True)
class Sifted(Generic[Item]):
    """Items, and what became of every row."""

    items: list[Item]
    report: DataReport
    """Counts rows, of which one may give several items."""


def sift(rows: Iterable[RawRow], parse: Parse[Item]) -> Sifted[Item]:
    """Parse each row, or quarantine it with the reason."""
    items: list[Item] = []
    quarantined: list[QuarantinedRow] = []
    count = 0
    for row in rows:
        count += 1
        try:
            if row.reason:
                raise BadRow(row.reason, row.detail)
            items.extend(parse(row.fields))
        except BadRow as error:
            excerpt = row.excerpt or str(row.fields)[:EXCERPT]
            quarantined.append(
                QuarantinedRow(file=row.file, line=row.line, reason=error.reason, detail=error.detail, excerpt=excerpt)
            )
    report = DataReport(rows_in=count, kept=count - len(quarantined), quarantined=tuple(quarantined))
    return Sifted(items=items, report=report)


def sift_files(path: str, parse: Parse[Item]) -> Sifted[Item]:
    """`sift` over every row of the files that a path, URI or glob names.

    Raises:
        DataError: there are no files, or not one row of them can be used.
    """
    sifted = sift((row for name in expand(path) for row in read_records(name)), parse)
    if not sifted.items:
        raise DataError(f"{path} has no usable row: {describe(sifted.report.quarantined) or 'it is empty'}.")
    return sifted


def read_records(path: str) -> Iterator[RawRow]:
    """`read_rows`, and besides it a local `.json` file that is one array of objects; `line` then counts objects."""
    if not (is_local(path) and path.endswith(".json") and _begins_with_bracket(path)):
        yield from read_rows(path)
        return
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except ValueError as error:  # JSON and Unicode errors both
        yield RawRow(file=path, line=0, fields={}, reason="not JSON", detail=str(error))
        return
    for line, fields in enumerate(rows, start=1):
        if isinstance(fields, dict):
            yield RawRow(file=path, line=line, fields=fields)
        else:
            yield RawRow(
                file=path, line=line, fields={}, reason="not an object", detail=type(fields).__name__,
                excerpt=str(fields)[:EXCERPT],
            )  # fmt: skip


def text_field(fields: Mapping[str, Any], *names: str, required: bool = True) -> str:
    """The first of these fields that holds text which is more than white space, as it is; "" where none is required.

    Raises:
        BadRow: one holds something else than text, or a required one is missing.
    """
    for name in names:
        value = fields.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise BadRow(f"{name} is not text", type(value).__name__)
        if value.strip():
            return value
    if required:
        raise BadRow(f"no {names[0]}", f"the row has {', '.join(map(str, fields)) or 'no fields'}")
    return ""


def list_field(fields: Mapping[str, Any], name: str) -> list[Any]:
    """A field that holds a list with something in it.

    Raises:
        BadRow: it does not.
    """
    value = fields.get(name)
    if not isinstance(value, list | tuple) or not value:
        raise BadRow(f"no {name}", f"expected a list, got {type(value).__name__}")
    return list(value)


def _begins_with_bracket(path: str) -> bool:
    with open(path, encoding="utf-8-sig", errors="replace") as stream:
        while chunk := stream.read(256):
            if text := chunk.lstrip():
                return text.startswith("[")
    return False
