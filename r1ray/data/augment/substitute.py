"""Other givens for a worked problem: drawn, executed, written into question and solution, and checked by another way.

The answer of a variant is computed by executing the program (`program.py`). It is then checked by `reasoning`'s own
arithmetic parser, which reads the finished text and shares no code with the program.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import combinations_with_replacement, pairwise
from random import Random

from r1ray.data.augment.numbers import Number, replace_numbers, write_number
from r1ray.data.augment.program import Program, execute, in_words, read_program
from r1ray.data.augment.variant import Edit, Inapplicable, Row
from r1ray.data.augment.worked import Worked, fields_of, worked_of
from r1ray.reasoning.answers import parse_number
from r1ray.reasoning.arithmetic import find_statements

Draw = Callable[[Number, Random], Fraction]
"""Another value for a number of the question."""
_DRAWS = 200


def vary(row: Row, stream: Random, draw: Draw) -> Edit:
    """A variant of a problem with other numbers, its answer recomputed.

    Raises:
        Inapplicable: the row holds no program whose givens can be changed.
    """
    worked = worked_of(row)
    program = read_program(worked)
    if not program.givens:
        raise Inapplicable("no number of the question can be changed")
    values = _acceptable(program, stream, draw)
    if in_words(worked.solution) & values.keys():
        raise Inapplicable("the solution writes a value in words")
    changed = rewrite(worked, program, values)
    reason = wrong_with(changed)
    return Edit(
        fields=fields_of(row, changed), check="rejected" if reason else "verified", reason=reason or "program executed"
    )


def rewrite(worked: Worked, program: Program, values: Mapping[Fraction, Fraction]) -> Worked:
    """Question, solution and answer with every changed value replaced."""
    givens = {number.value: values[number.value] for number in program.givens if number.value in values}
    answer = values.get(program.answer, program.answer)
    return Worked(
        question=replace_numbers(worked.question, givens),
        solution=replace_numbers(worked.solution, values),
        answer=write_number(answer, worked.answer.strip("$ ")),
    )


def wrong_with(worked: Worked) -> str:
    """Why a worked problem is not right as it is written; empty where every statement is true and the last one gives
    the answer."""
    statements = find_statements(worked.solution.replace("<<", "\n").replace(">>", "\n"))
    if not statements:
        return "no statement to check"
    if not all(statement.true for statement in statements):
        return "a statement is untrue"
    answer = parse_number(worked.answer)
    if answer is None or answer != statements[-1].value:
        return "the answer is not what the last statement gives"
    return ""


def _acceptable(program: Program, stream: Random, draw: Draw) -> dict[Fraction, Fraction]:
    """Changed values that keep what the old ones had: whole, positive, no more decimals, and in the same order.

    Raises:
        Inapplicable: none of many draws does.
    """
    trouble = "no draw gives whole, positive results"
    for _ in range(_DRAWS):
        count = stream.randint(1, len(program.givens))
        chosen = stream.sample(program.givens, count)
        givens = {number.value: draw(number, stream) for number in chosen}
        givens = {old: new for old, new in givens.items() if old != new}
        if not givens or not _keeps_relations(program, givens):
            continue
        try:
            values = execute(program, givens)
        except Inapplicable as error:
            trouble = str(error)
            continue
        if all(_alike(old, new) for old, new in values.items()):
            return values
    raise Inapplicable(trouble)


def _keeps_relations(program: Program, givens: Mapping[Fraction, Fraction]) -> bool:
    """Larger numbers of the question stay larger (`6 of 20` must not become `30 of 20`), and sums and products of two
    that are a third still are: `8-ounce glasses of 6.5 ounces of milk and 1.5 ounces of syrup`."""
    old = sorted(program.fixed)
    new = [givens.get(value, value) for value in old]
    if not all(low < high for low, high in pairwise(new)):
        return False
    now = dict(zip(old, new, strict=True))
    for a, b in combinations_with_replacement((value for value in old if value > 1), 2):
        if a + b in now and now[a + b] != now[a] + now[b]:
            return False
        if a * b in now and now[a * b] != now[a] * now[b]:
            return False
    return True


def _alike(old: Fraction, new: Fraction) -> bool:
    if (old > 0) != (new > 0):
        return False
    if old.denominator == 1:
        return new.denominator == 1
    return (new * 100).denominator == 1 or (new * old.denominator).denominator == 1
