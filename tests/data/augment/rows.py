"""Worked problems for the tests, in GSM8K's form and in our own, each with its answer as a formula."""

from fractions import Fraction

from r1ray.data.generators.generate import generate
from r1ray.data.sources import problem_row

BAKER = {
    "id": "baker",
    "question": (
        "A baker sells 48 rolls on Monday and half as many rolls on Tuesday. Each roll costs $3.50. How much money "
        "does the baker make altogether?"
    ),
    "answer": (
        "On Tuesday the baker sells 48/2 = <<48/2=24>>24 rolls.\nAltogether 48+24 = <<48+24=72>>72 rolls are sold.\n"
        "The baker makes 72*3.50 = $<<72*3.50=252>>252.\n#### 252"
    ),
}


def baker_answer(rolls: Fraction, price: Fraction) -> Fraction:
    """By hand."""
    return (rolls + rolls / 2) * price


def generated_rows(*families: str, count: int = 60) -> list[dict[str, object]]:
    """Problems of our own families as rows."""
    return [problem_row(problem) for problem in generate(families, count=count, max_number=60, seed=3)]
