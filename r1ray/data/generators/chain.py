"""`chain`: "Compute 3 + 9 - 9.", read from left to right, never below zero."""

from random import Random

from r1ray.data.generators.spec import Wording
from r1ray.data.generators.words import Words
from r1ray.data.generators.worked import WorkedProblem, Working, draw_change, draw_number

ASK = Words(
    plain=("Compute {expression}.",),
    varied=(
        "What is {expression}?",
        "Work out {expression}.",
        "Find the value of {expression}.",
        "How much is {expression}?",
    ),
)


def chain(rng: Random, level: int, max_number: int, wording: Wording) -> WorkedProblem:
    """One number and `level` additions or subtractions."""
    working = Working()
    total = draw_number(rng, max_number)
    expression = str(total)
    for _ in range(level):
        symbol, number = draw_change(rng, total, max_number, least=0)
        expression += f" {symbol} {number}"
        total = working.do(total, symbol, number)
    return WorkedProblem(ASK.pick(rng, wording).format(expression=expression), working.steps, total)
