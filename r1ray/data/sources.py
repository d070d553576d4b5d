r"""From a row of a file to a `Problem`, or to quarantine. Plain functions of one row, whoever maps them.

Understood are `question` (or `problem`) with `answer`, GSM8K (its `answer` is the worked solution, `#### 72` at the
end) and MATH (`problem` and `solution`, with the answer in `\boxed{}`); and what `problem_row` wrote.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

from r1ray.data.files import RawRow
from r1ray.data.ids import problem_id
from r1ray.data.quarantine import EXCERPT, QuarantinedRow
from r1ray.reasoning.answers import extract_answer
from r1ray.reasoning.grading import ENTRY_KEY
from r1ray.types import Problem

QUESTION_FIELDS = ("question", "problem")
ANSWER_FIELDS = ("answer",)
SOLUTION_FIELDS = ("solution",)

_FINAL = "####"
_CALCULATOR_TAG = re.compile(r"<<[^<>]*>>")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SPLIT_NAME = re.compile(r"[-_.](train|test|validation|valid|dev|main|\d+|of)(?=[-_.]|$)")


class RowError(Exception):
    """Why a row cannot be used; never leaves this module."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def normalise_row(row: RawRow) -> Problem | QuarantinedRow:
    """The problem that a row describes, or the row with the reason why it describes none."""
    try:
        if row.reason:
            raise RowError(row.reason, row.detail)
        return _problem(row.fields, family=_family_of(row.file))
    except RowError as error:
        excerpt = row.excerpt or str(row.fields)[:EXCERPT]
        return QuarantinedRow(file=row.file, line=row.line, reason=error.reason, detail=error.detail, excerpt=excerpt)


def parse_gsm8k(text: str) -> tuple[str, str]:
    """(worked solution, answer) of GSM8K's `answer` field: calculator tags go, and the thousands commas of the answer.

    >>> parse_gsm8k("She sold 48/2 = <<48/2=24>>24 clips.\\n#### 24")
    ('She sold 48/2 = 24 clips.', '24')
    """
    solution, _, answer = text.rpartition(_FINAL)
    return _CALCULATOR_TAG.sub("", solution).strip(), _THOUSANDS.sub("", answer.strip())


def problem_row(problem: Problem) -> dict[str, Any]:
    """A flat row (text and numbers only) from which `normalise_row` makes the same problem again."""
    return {**asdict(problem), "metadata": json.dumps(problem.metadata, sort_keys=True)}


def _problem(fields: Mapping[str, Any], family: str) -> Problem:
    question = _text(fields, QUESTION_FIELDS, "question")
    if not any(map(str.isalnum, question)):
        raise RowError(
            "no question",
            f"expected {' or '.join(QUESTION_FIELDS)}; the row has {', '.join(map(str, fields)) or 'no fields'}",
        )
    metadata = _metadata(fields.get("metadata"))
    answer, solution = _text(fields, ANSWER_FIELDS, "answer"), _text(fields, SOLUTION_FIELDS, "solution")
    level = fields.get("level")
    if _FINAL in answer:
        solution, answer = parse_gsm8k(answer)
        level = sum(1 for line in solution.splitlines() if line.strip())  # one line a step, as the set's authors count
    elif not answer and solution:
        answer = extract_answer(solution) or ""
    if not answer and ENTRY_KEY not in metadata:  # some of reasoning-gym's verifiers have no reference answer
        raise RowError("no answer", f"the row has {', '.join(map(str, fields))}")
    return Problem(
        id=problem_id(question),
        question=question,
        answer=answer,
        family=str(fields.get("family") or family),
        level=level if isinstance(level, int) and not isinstance(level, bool) else 0,
        solution=solution,
        metadata=metadata,
    )


def _text(fields: Mapping[str, Any], names: tuple[str, ...], what: str) -> str:
    """The first field of these names that is there, as text; empty if none is."""
    value = next((fields[name] for name in names if fields.get(name) is not None), "")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    finite = not isinstance(value, float) or math.isfinite(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not finite:
        raise RowError(f"{what} is neither text nor a number", f"{type(value).__name__}: {value!r}"[:100])
    text = str(value).strip()
    try:
        text.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair, as JSON's \ud83d can write it
        raise RowError("not UTF-8", str(error)) from error
    return text


def _metadata(value: Any) -> dict[str, str]:
    """A mapping, or its JSON as `problem_row` writes it; what else a file may have there is kept under `metadata`."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise RowError("metadata is not JSON", str(error)) from error
    if not value:
        return {}
    if not isinstance(value, Mapping):
        value = {"metadata": value}
    return {str(key): item if isinstance(item, str) else json.dumps(item, default=str) for key, item in value.items()}


def _family_of(file: str) -> str:
    """`data/gsm8k-train-00000-of-00001.parquet` is of the family `gsm8k`."""
    name = PurePosixPath(file).name.split(".", 1)[0]
    return _SPLIT_NAME.sub("", name) or name
