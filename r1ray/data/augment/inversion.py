"""`inversion`: unknown and given change places. "... If the answer is 72, what is x?" (FOBAR, arXiv 2308.07758)."""

from fractions import Fraction
from random import Random

from r1ray.data.augment.linear import Linear
from r1ray.data.augment.numbers import Number, find_numbers, write_number
from r1ray.data.augment.program import Program, evaluate, execute, read_program
from r1ray.data.augment.substitute import wrong_with
from r1ray.data.augment.variant import Edit, Inapplicable, Row
from r1ray.data.augment.worked import Worked, fields_of_other, worked_of

UNKNOWN = "x"


def inversion(row: Row, stream: Random) -> Edit:
    """One given becomes the unknown, and the answer a given. Checked by putting the found number back."""
    worked = worked_of(row)
    program, number, answer = solve_for(worked, stream)
    given = write_number(program.answer, worked.answer)
    changed = Worked(
        question=f"{hide(worked.question, number)} If the answer to this question is {given}, what is {UNKNOWN}?",
        solution=_solution(answer, program.answer, number),
        answer=number.text.replace(",", ""),
    )
    reason = wrong_with(changed) or _put_back(program, number, changed)
    fields = fields_of_other(row, changed)
    return Edit(fields=fields, check="rejected" if reason else "verified", reason=reason or "solved and put back")


def solve_for(worked: Worked, stream: Random) -> tuple[Program, Number, Linear]:
    """The program, one of its givens, and the answer as a linear function of it.

    Raises:
        Inapplicable: there is no given on which the answer depends in this way.
    """
    program = read_program(worked)
    if any(name in f" {worked.question} " for name in (f" {UNKNOWN} ", f" {UNKNOWN}.", f" {UNKNOWN},")):
        raise Inapplicable("the question has an unknown already")
    trouble = "no number of the question can be changed"
    for number in stream.sample(program.givens, len(program.givens)):
        try:
            values = execute(program, {number.value: Linear(Fraction(1), Fraction(0))})
        except Inapplicable as error:
            trouble = str(error)
            continue
        answer = values.get(program.answer)
        if isinstance(answer, Linear) and answer.slope:
            return program, number, answer
        trouble = "the answer does not depend on the number"
    raise Inapplicable(trouble)


def hide(question: str, number: Number) -> str:
    """The question with x in place of the number."""
    return question[: number.start] + UNKNOWN + question[number.end :]


def terms(form: Linear) -> str:
    """`3x + 5`, in words of arithmetic: `x times 3 plus 5`."""
    text = UNKNOWN if form.slope == 1 else f"{UNKNOWN} times {_exact(form.slope)}"
    if form.constant:
        text += f" {'plus' if form.constant > 0 else 'minus'} {_exact(abs(form.constant))}"
    return text


def _solution(answer: Linear, value: Fraction, number: Number) -> str:
    lines = [f"Worked through with {UNKNOWN}, the answer is {terms(answer)}."]
    left = value
    if answer.constant:
        sign = "-" if answer.constant > 0 else "+"
        left = value - answer.constant
        lines.append(f"{_exact(value)} {sign} {_exact(abs(answer.constant))} = {_exact(left)}")
    if answer.slope != 1:
        slope = answer.slope
        operation = f"/ {_exact(slope)}" if slope.denominator == 1 else f"* {slope.denominator} / {slope.numerator}"
        lines.append(f"{_exact(left)} {operation} = {_exact(left / slope)}")
    if len(lines) == 1:  # the number itself was the answer
        lines.append(f"{_exact(value)} - 0 = {_exact(number.value)}")
    return "\n".join(lines)


def _put_back(program: Program, number: Number, changed: Worked) -> str:
    """Run the whole program with the found number: it must give what the new question states."""
    found = find_numbers(changed.answer)[0].value
    values = {number.value: found}
    for equation in program.equations:
        values[equation.result] = evaluate(equation, lambda value: values.get(value, value))
    return "" if values[program.answer] == program.answer else "putting the answer back does not give the number"


def _exact(value: Fraction) -> str:
    try:
        return write_number(value, like="0")
    except ValueError:
        raise Inapplicable("a number of the solution has no end as a decimal") from None
