"""A row as a worked problem (question, solution, final answer), and back into the form that the row had."""

import re
from dataclasses import dataclass
from typing import Any

from r1ray.data.augment.variant import Inapplicable, Row
from r1ray.reasoning.steps import ANSWER_LINE

_FINAL = "####"
_TAG = re.compile(r"<<[^<>]*>>")
_BULLET = re.compile(r"^[ \t]*[0-9]+[.)][ \t]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Worked:
    """A problem and its solution as text."""

    question: str
    solution: str
    """With GSM8K's calculator annotations, `<<48/2=24>>`, where the row has them."""
    answer: str


def worked_of(row: Row) -> Worked:
    """The worked problem that a row holds, in GSM8K's form or in that of `data.sources.problem_row`.

    Raises:
        Inapplicable: it holds none.
    """
    question, answer, solution = (_text(row, name) for name in ("question", "answer", "solution"))
    if _FINAL in answer:
        solution, _, answer = answer.rpartition(_FINAL)
    if not question:
        raise Inapplicable("no question")
    if not (solution.strip() and answer.strip()):
        raise Inapplicable("no worked solution")
    return Worked(question=question, solution=solution.strip(), answer=answer.strip())


def fields_of(row: Row, worked: Worked) -> dict[str, Any]:
    """The row's fields that hold the worked problem, in the form that this row has."""
    if _FINAL in _text(row, "answer"):
        return {"question": worked.question, "answer": f"{worked.solution}\n{_FINAL} {worked.answer}"}
    return {"question": worked.question, "solution": worked.solution, "answer": worked.answer}


def fields_of_other(row: Row, worked: Worked) -> dict[str, Any]:
    """The same for a problem of another kind than the row's: its solution gets an answer line, its level is unknown."""
    fields = fields_of(row, worked)
    if "solution" in fields:
        fields["solution"] += f"\nAnswer: {worked.answer}"
    return {**fields, "level": 0} if "level" in row else fields


def steps_of(worked: Worked) -> list[str]:
    """The steps of the solution, one a line, with annotations and without numbers in front; no answer line."""
    lines = (_BULLET.sub("", line).strip() for line in worked.solution.splitlines())
    return [line for line in lines if line and not ANSWER_LINE.match(line)]


def without_tags(text: str) -> str:
    """A step or a solution without calculator annotations."""
    return _TAG.sub("", text)


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""
