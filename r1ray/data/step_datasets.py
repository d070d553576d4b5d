"""Public datasets of judged steps, read into `LabelledSolution`: PRM800K, Math-Shepherd, MR-GSM8K, BIG-bench-Mistake.

Each parser takes the fields of one row and raises `BadRow` where they are not what the dataset promises; a label that
is silently lost is how process reward models come to learn nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from r1ray.algorithms.step_labels import Label, first_error_labels, prm800k_ratings, rating_labels
from r1ray.data.labelled_steps import LabelledSolution
from r1ray.data.sift import BadRow, list_field, text_field
from r1ray.errors import DataError

STEP_TAG = "ки"
"""Ends each step in Math-Shepherd's files; the label file has + or - in its place."""
_MARKS = {"+": 1.0, "-": 0.0}
_FIRST_STEP = "Step 1:"
_JUDGED = ("solution", "found_error", "give_up")


def parse_steps(fields: Mapping[str, Any]) -> list[LabelledSolution]:
    """The solution of one row, whichever of the four formats it has, or as `LabelledSolution`'s own fields.

    Raises:
        BadRow: no format fits, or the row breaks it.
    """
    if isinstance(fields.get("label"), Mapping):
        return parse_prm800k(fields)
    if "label" in fields and "input" in fields:
        return parse_math_shepherd(fields)
    if "model_output_steps" in fields:
        return parse_mr_gsm8k(fields)
    if "mistake_index" in fields:
        return parse_bigbench_mistake(fields)
    if "labels" in fields and "steps" in fields:
        return _own(fields)
    raise BadRow("unknown step format", f"the row has {', '.join(map(str, fields)) or 'no fields'}")


def parse_prm800k(fields: Mapping[str, Any]) -> list[LabelledSolution]:
    """arXiv 2305.20050 section 2.4: at each step the completion that the labeller went on with, rated −1, 0 or 1.

    Where he went on with none (the step at which he stopped), it is the worst that he rated. A step that he wrote
    himself has a rating if he gave one. What follows the first −1 is unlabelled.
    """
    question = fields.get("question")
    label = fields["label"]
    if not isinstance(question, Mapping):
        raise BadRow("no question", "expected an object with `problem`")
    reason = label.get("finish_reason")
    if reason not in _JUDGED:
        raise BadRow("not judged to its end", f"finish_reason is {reason!r}")
    steps: list[str] = []
    ratings: list[int | None] = []
    for step in list_field(label, "steps"):
        text, rating = _prm800k_step(step)
        steps.append(text)
        ratings.append(rating)
    try:
        kept = prm800k_ratings(ratings)
    except DataError as error:
        raise BadRow("unknown rating", str(error)) from error
    return _solution(
        "prm800k",
        text_field(question, "problem"),
        steps,
        rating_labels(kept),
        ratings=kept,
    )


def parse_math_shepherd(fields: Mapping[str, Any]) -> list[LabelledSolution]:
    """arXiv 2312.08935: `input` has a tag after each step, `label` the same text with + or - for each tag."""
    read, marked = text_field(fields, "input"), text_field(fields, "label")
    *pieces, rest = read.split(STEP_TAG)
    labels: list[Label] = []
    offset = 0
    for piece in pieces:
        mark = marked[offset + len(piece) : offset + len(piece) + 1]
        if not marked.startswith(piece, offset) or mark not in _MARKS:
            raise BadRow("input and label differ", f"at step {len(labels)}: {marked[offset : offset + 60]!r}")
        labels.append(_MARKS[mark])
        offset += len(piece) + 1
    if marked[offset:].strip() != rest.strip():
        raise BadRow("input and label differ", f"after the last step: {marked[offset : offset + 60]!r}")
    start = pieces[0].find(_FIRST_STEP) if pieces else -1
    if start < 0:
        raise BadRow("no steps", f"expected {_FIRST_STEP!r} and a tag {STEP_TAG!r} after each step")
    return _solution(
        "math-shepherd", pieces[0][:start].strip(), [pieces[0][start:].strip(), *map(str.strip, pieces[1:])], labels
    )


def parse_mr_gsm8k(fields: Mapping[str, Any]) -> list[LabelledSolution]:
    """arXiv 2312.17080: people named the first wrong step, counted from 1."""
    steps = [str(step).strip() for step in list_field(fields, "model_output_steps")]
    verdict = fields.get("model_output_solution_correctness")
    if verdict not in ("correct", "wrong"):
        raise BadRow("unknown verdict", f"model_output_solution_correctness is {verdict!r}")
    first = -1
    if verdict == "wrong":
        stated = fields.get("model_output_solution_first_error_step")
        first = _index(int(stated) if isinstance(stated, str) and stated.strip().isdigit() else stated) - 1
        if first < 0:
            raise BadRow("first error outside the solution", f"step {first + 1}; they are counted from 1")
    answer = fields.get("model_output_answer_correctness")
    return _by_first_error(
        "mr-gsm8k",
        text_field(fields, "question"),
        steps,
        first,
        {"correct": True, "wrong": False}.get(answer) if isinstance(answer, str) else None,
    )


def parse_bigbench_mistake(fields: Mapping[str, Any]) -> list[LabelledSolution]:
    """arXiv 2311.08516: `mistake_index` of the first wrong step, counted from 0; null = none."""
    steps = [str(step).strip() for step in list_field(fields, "steps")]
    stated = fields["mistake_index"]
    first = -1 if stated is None else _index(stated)
    if stated is not None and first < 0:
        raise BadRow("first error outside the solution", f"step {first}; null says that there is none")
    answer, target = fields.get("answer"), fields.get("target")
    correct = answer == target if isinstance(answer, str) and isinstance(target, str) else None
    return _by_first_error("bigbench-mistake", text_field(fields, "input"), steps, first, correct)


def _own(fields: Mapping[str, Any]) -> list[LabelledSolution]:
    labels = [None if label is None else _probability(label) for label in list_field(fields, "labels")]
    steps = [str(step) for step in list_field(fields, "steps")]
    return _solution(str(fields.get("source") or ""), text_field(fields, "question"), steps, labels)


def _prm800k_step(step: Any) -> tuple[str, int | None]:
    if not isinstance(step, Mapping):
        raise BadRow("a step is not an object", type(step).__name__)
    completions = step.get("completions") or []
    chosen = step.get("chosen_completion")
    if isinstance(chosen, int) and not isinstance(chosen, bool):
        if not 0 <= chosen < len(completions):
            raise BadRow("chosen completion missing", f"{chosen} of {len(completions)}")
        completion = completions[chosen]
    elif step.get("human_completion"):
        completion = step["human_completion"]
        completion = {"text": completion} if isinstance(completion, str) else completion
    elif completions:
        completion = min(completions, key=lambda each: _rank(each.get("rating")))
    else:
        raise BadRow("a step without completions")
    return text_field(completion, "text").strip(), completion.get("rating")


def _rank(rating: Any) -> float:
    return float(rating) if isinstance(rating, int) else 2.0


def _by_first_error(
    source: str, question: str, steps: list[str], first: int, answer_correct: bool | None
) -> list[LabelledSolution]:
    try:
        labels = first_error_labels(first, len(steps))
    except DataError as error:
        raise BadRow("first error outside the solution", str(error)) from error
    return _solution(source, question, steps, labels, answer_correct=answer_correct)


def _solution(
    source: str,
    question: str,
    steps: Sequence[str],
    labels: Sequence[Label],
    *,
    ratings: Sequence[int | None] = (),
    answer_correct: bool | None = None,
) -> list[LabelledSolution]:
    if not question.strip():
        raise BadRow("no question")
    if not all(step.strip() for step in steps):
        raise BadRow("an empty step")
    try:
        return [
            LabelledSolution(
                question=question,
                steps=tuple(steps),
                labels=tuple(labels),
                ratings=tuple(ratings),
                source=source,
                answer_correct=answer_correct,
            )
        ]
    except DataError as error:
        raise BadRow("labels do not fit the steps", str(error)) from error


def _index(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRow("first error is not a number", f"{value!r}")
    return value


def _probability(value: Any) -> float:
    """Neither `True` nor −100: a mark for `ignore` that is cast to a truth value becomes `right`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadRow("a label is not a probability", f"{value!r}; expected 0 to 1, or null")
    return float(value)
