"""The one schema of a corpus, and how a raw row comes into it or into quarantine."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from r1ray.data.corpus.structured import lines_of, structure_of, with_structure
from r1ray.data.dedup.exact import digest
from r1ray.data.files import RawRow
from r1ray.data.quarantine import EXCERPT, QuarantinedRow
from r1ray.data.sources import QUESTION_FIELDS, normalise_row, problem_row

Row = dict[str, Any]

FINAL = "####"
ANNOTATED = "annotated_solution"
TEXT_COLUMNS = ("question", "solution", "answer", "text", "family", "metadata", "language", "domain", "tier", "parent",
                "operator", "provenance")  # fmt: skip
SCHEMA = pa.schema(
    [pa.field("id", pa.string(), nullable=False)]
    + [pa.field(name, pa.string(), nullable=False) for name in TEXT_COLUMNS]
    + [pa.field("level", pa.int32(), nullable=False)]
)
"""`id` is a hash of the text; `metadata` and `provenance` are JSON; what does not apply is empty, never null."""


def to_row(raw: RawRow, name: str, mapping: Sequence[str] = (), *, annotations: bool = False) -> Row | QuarantinedRow:
    """A problem (`question` with an `answer` or a `solution`), a document (`text`), or numbers (`structured.py`) as a
    row of the schema.

    Args:
        raw: as a reader gave it.
        name: file as the provenance names it.
        mapping: `known=given` names of fields.
        annotations: keep GSM8K's `<<48/2=24>>` in the metadata, as augmentation needs them to find the program.
    """
    raw = dataclasses.replace(raw, file=name, fields=_mapped(raw.fields, mapping))
    if raw.reason:
        return _quarantined(raw, raw.reason, raw.detail)
    asks = any(raw.fields.get(field) is not None for field in QUESTION_FIELDS)
    structure = structure_of(raw.fields)
    if structure and raw.fields.get("text") is None:
        raw = dataclasses.replace(raw, fields={**raw.fields, "text": lines_of(structure)})
    row = _problem(raw) if asks else _document(raw)
    if isinstance(row, QuarantinedRow):
        return row
    if structure:
        row |= {"text": raw.fields["text"], "metadata": with_structure(row["metadata"], structure)}
    answer = raw.fields.get("answer")
    if annotations and isinstance(answer, str) and "<<" in answer and FINAL in answer:
        row["metadata"] = json.dumps({**json.loads(row["metadata"]), ANNOTATED: answer.rpartition(FINAL)[0].strip()})
    parent = raw.fields.get("parent")
    row["parent"] = parent if isinstance(parent, str) else ""
    row["provenance"] = {"file": name, "line": raw.line}
    return row


def annotated(row: Row) -> tuple[Row, Row]:
    """(the row without the annotated solution in its metadata, the row with it as its solution)."""
    if ANNOTATED not in row["metadata"]:
        return row, row
    metadata = json.loads(row["metadata"])
    solution = metadata.pop(ANNOTATED, row["solution"])
    plain = {**row, "metadata": json.dumps(metadata, sort_keys=True)}
    return plain, {**plain, "solution": solution}


def finish_row(row: Row, fields: Sequence[str]) -> Row:
    """The row as it is stored: nothing missing, JSON as text, and its text's hash as its name."""
    stored: Row = {name: row.get(name) or "" for name in TEXT_COLUMNS}
    stored["level"] = row.get("level") or 0
    for name in ("metadata", "provenance"):
        if not isinstance(stored[name], str):
            stored[name] = json.dumps(stored[name], sort_keys=True)
    stored["id"] = digest(joined(stored, fields))[:16]
    return stored


def joined(row: Mapping[str, Any], fields: Sequence[str]) -> str:
    """The row's text for deduplication."""
    return "\n".join(row[name] for name in fields if row.get(name))


def to_table(rows: Sequence[Row]) -> pa.Table:
    """Finished rows as a table."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def _problem(raw: RawRow) -> Row | QuarantinedRow:
    found = normalise_row(raw)
    if isinstance(found, QuarantinedRow):
        solution = raw.fields.get("solution")
        if found.reason != "no answer" or not isinstance(solution, str) or not solution.strip():
            return found
        # A worked solution without a final answer is no problem for reinforcement, but something to learn from.
        found = normalise_row(dataclasses.replace(raw, fields={**raw.fields, "answer": "?"}))
        if isinstance(found, QuarantinedRow):
            return found
        found = dataclasses.replace(found, answer="")
    return {**problem_row(found), "text": ""}


def _document(raw: RawRow) -> Row | QuarantinedRow:
    text = raw.fields.get("text")
    if text is None:
        return _quarantined(raw, "no known field", f"the row has {', '.join(map(str, raw.fields)) or 'no fields'}")
    if not isinstance(text, str):
        return _quarantined(raw, "text is not text", type(text).__name__)
    if not text.strip():
        return _quarantined(raw, "empty text")
    try:
        text.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair, as JSON's \ud83d can write it
        return _quarantined(raw, "not UTF-8", str(error))
    metadata, family = raw.fields.get("metadata"), raw.fields.get("family")
    if metadata and not isinstance(metadata, str):
        metadata = json.dumps(metadata, sort_keys=True, default=str)
    return {"text": text, "metadata": metadata or "{}", "family": family if isinstance(family, str) else ""}


def _mapped(fields: Mapping[str, Any], mapping: Sequence[str]) -> dict[str, Any]:
    mapped = dict(fields)
    for pair in mapping:
        known, _, given = pair.partition("=")
        value: Any = fields
        for part in given.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            mapped[known] = value
    return mapped


def _quarantined(raw: RawRow, reason: str, detail: str = "") -> QuarantinedRow:
    excerpt = raw.excerpt or str(raw.fields)[:EXCERPT]
    return QuarantinedRow(file=raw.file, line=raw.line, reason=reason, detail=detail, excerpt=excerpt)
