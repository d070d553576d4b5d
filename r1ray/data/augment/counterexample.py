"""`counterexample`: a problem as a claim about every number in place of one of its givens, to be proved or refuted."""

from fractions import Fraction
from random import Random

from r1ray.data.augment.inversion import UNKNOWN, hide, solve_for, terms
from r1ray.data.augment.linear import Linear
from r1ray.data.augment.numbers import Number, write_number
from r1ray.data.augment.program import Program, evaluate
from r1ray.data.augment.variant import Edit, Inapplicable, Row
from r1ray.data.augment.worked import Worked, fields_of_other, worked_of

_TRIED = 50
"""Numbers for which the finished claim is computed, one by one."""


def counterexample(row: Row, stream: Random) -> Edit:
    """ "For every x of at least 12 the answer is at least 40: true or false?" A fair coin decides which of the two.

    Checked by executing the program for fifty values of x, none of them by way of the linear form.
    """
    worked = worked_of(row)
    program, number, answer = solve_for(worked, stream)
    if number.value.denominator != 1 or answer.slope < 0:
        raise Inapplicable("the answer does not grow with a whole number")
    least = number.value
    bound = answer.at(least)
    true = stream.random() < 0.5
    step = Fraction(max(1, abs(bound) // 10))
    claimed = bound - stream.randint(0, 1) * step if true else bound + step
    question = (
        f"{hide(worked.question, number)} Claim: for every whole number {UNKNOWN} of at least {_text(least)}, the "
        f"answer to this question is at least {_text(claimed)}. Is the claim true or false? Prove it, or give a "
        "counterexample."
    )
    verdict = "true" if true else "false"
    solution = _argument(answer, least, bound, claimed)
    changed = Worked(question=question, solution=solution, answer=verdict)
    holds = all(_run(program, number, least + more) >= claimed for more in range(_TRIED))
    return Edit(
        fields=fields_of_other(row, changed),
        check="verified" if holds == true else "rejected",
        reason=f"executed for {_TRIED} numbers" if holds == true else "the claim is not what the program gives",
    )


def _argument(answer: Linear, least: Fraction, bound: Fraction, claimed: Fraction) -> str:
    at_least = f"For {UNKNOWN} = {_text(least)} it is {_text(bound)}"
    if claimed <= bound:
        return (
            f"Worked through with {UNKNOWN}, the answer is {terms(answer)}, which grows with {UNKNOWN}.\n"
            f"{at_least}, the smallest value that it takes.\n{_text(bound)} is at least {_text(claimed)}, so the claim "
            "is true."
        )
    return (
        f"Worked through with {UNKNOWN}, the answer is {terms(answer)}.\n{at_least}.\n{_text(bound)} is less than "
        f"{_text(claimed)}, so {UNKNOWN} = {_text(least)} is a counterexample, and the claim is false."
    )


def _run(program: Program, number: Number, x: Fraction) -> Fraction:
    """The answer for one x, value by value."""
    values = {number.value: x}
    for equation in program.equations:
        values[equation.result] = evaluate(equation, lambda value: values.get(value, value))
    return values[program.answer]


def _text(value: Fraction) -> str:
    try:
        return write_number(value, like="0")
    except ValueError:
        raise Inapplicable("a number of the claim has no end as a decimal") from None
