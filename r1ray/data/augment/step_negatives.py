"""`drop_step` and `shuffle_steps`: solutions that go wrong at a known step, as negatives for process reward models.

The first wrong step is the first one that computes with a result that is not there yet. What follows it is unlabelled,
as in PRM800K. Rows are in `LabelledSolution`'s form: `question`, `steps`, `labels`, `source`.
"""

from collections.abc import Sequence
from fractions import Fraction
from random import Random

from r1ray.data.augment.program import equations_of, read_program
from r1ray.data.augment.variant import Edit, Inapplicable, Row
from r1ray.data.augment.worked import Worked, steps_of, without_tags, worked_of
from r1ray.reasoning.checker import StepVerdict, check_steps
from r1ray.types import Problem

_SHUFFLES = 10


def drop_step(row: Row, stream: Random) -> Edit:
    """One step whose result a later step uses is missing."""
    solution = _Solution(row)
    count = len(solution.steps)
    orders = [[*range(index), *range(index + 1, count)] for index in range(count - 1)]
    orders = [order for order in orders if solution.first_error(order) >= 0]
    if not orders:
        raise Inapplicable("no step is needed by a later one")
    return solution.negative(stream.choice(orders))


def shuffle_steps(row: Row, stream: Random) -> Edit:
    """The steps in an order in which one of them comes before what it needs."""
    solution = _Solution(row)
    count = len(solution.steps)
    for _ in range(_SHUFFLES):
        order = stream.sample(range(count), count)
        if solution.first_error(order) >= 0:
            return solution.negative(order)
    raise Inapplicable("no step is needed by a later one")


class _Solution:
    """The steps of a right solution, with what each computes with and what it gives."""

    def __init__(self, row: Row) -> None:
        self._worked: Worked = worked_of(row)
        program = read_program(self._worked)
        self.steps = steps_of(self._worked)
        equations = [equations_of(step) for step in self.steps]
        results = {equation.result for step in equations for equation in step}
        given = program.fixed | {value / 100 for value in program.fixed}
        self._gives = [{equation.result for equation in step} for step in equations]
        self._needs: list[set[Fraction]] = []
        for step in equations:
            needs: set[Fraction] = set()
            own: set[Fraction] = set()
            for equation in step:
                needs |= set(equation.operands) & results - given - own
                own.add(equation.result)
            self._needs.append(needs)

    def first_error(self, order: Sequence[int]) -> int:
        """The first place at which a step needs a result that is not there; -1 where there is none."""
        there: set[Fraction] = set()
        for place, index in enumerate(order):
            if not self._needs[index] <= there:
                return place
            there |= self._gives[index]
        return -1

    def negative(self, order: Sequence[int]) -> Edit:
        """The labelled row, verified where the step checker, which knows no program, objects to the same step."""
        first = self.first_error(order)
        steps = [without_tags(self.steps[index]) for index in order]
        problem = Problem(id="", question=self._worked.question, answer=self._worked.answer)
        seen = check_steps(problem, steps, reuse_numbers=True)[first].verdict is StepVerdict.UNGROUNDED
        return Edit(
            fields={
                "question": self._worked.question,
                "steps": steps,
                "labels": [1.0] * first + [0.0] + [None] * (len(steps) - first - 1),
                "source": "augment",
            },
            drop=("answer", "solution"),
            check="verified" if seen else "unverified",
            reason="the step checker objects to the step" if seen else "the step checker does not object to the step",
        )
