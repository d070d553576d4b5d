"""Majority, program and math-verify decide what is kept."""

from collections.abc import Iterator

import pytest

from r1ray.data.synthesize.mutate import Mutant, Task, mutate
from r1ray.data.synthesize.verify import Verified, verify
from r1ray.reasoning.grading import Grader
from tests.data.augment.rows import BAKER

WRITTEN = Mutant(question="Compute 9 + 7.")
PROGRAM = Mutant(question="Compute 9 + 7.", answer="16", program="9 + 7 = 16\nAnswer: 16")
RIGHT = "9 + 7 = 16\nAnswer: 16"
LONGER = "First of all 9 + 7 = 16 it is.\nAnswer: 16"
WRONG = "9 + 7 = 17\nAnswer: 17"


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader() as grader:
        yield grader


def _verdict(grader: Grader, mutant: Mutant, *texts: str, agreement: float = 0.6) -> Verified:
    return verify([mutant], [texts], grader, agreement)[0]


def test_the_shortest_right_solution_of_the_majority_is_kept(grader: Grader) -> None:
    verdict = _verdict(grader, WRITTEN, LONGER, WRONG, RIGHT)
    assert verdict == Verified(answer="16", solution=RIGHT, by="majority", solve_rate=pytest.approx(2 / 3))


@pytest.mark.parametrize(
    ("texts", "trouble"),
    [
        ((RIGHT, WRONG, "Answer: 18"), "do not agree"),
        ((RIGHT, "no idea", "no idea"), "do not agree"),
        (("no idea", "", "hm"), "no answer"),
        ((WRONG, WRONG, WRONG), "untrue statement"),
    ],
)
def test_without_a_majority_for_a_true_solution_nothing_is_kept(
    grader: Grader, texts: tuple[str, ...], trouble: str
) -> None:
    verdict = _verdict(grader, WRITTEN, *texts)
    assert trouble in verdict.trouble and not verdict.answer


def test_answers_that_look_different_and_are_equal_agree(grader: Grader) -> None:
    verdict = _verdict(grader, WRITTEN, r"Answer: \frac{1}{2}", "Answer: 0.5", "Answer: 7")
    assert verdict.by == "majority" and verdict.answer in (r"\frac{1}{2}", "0.5")


def test_the_programs_answer_stands_unless_the_majority_contradicts_it(grader: Grader) -> None:
    assert _verdict(grader, PROGRAM).by == "program"
    both = _verdict(grader, PROGRAM, LONGER, WRONG, RIGHT)
    assert (both.by, both.solution, both.solve_rate) == ("program and teacher", RIGHT, pytest.approx(2 / 3))
    hard = _verdict(grader, PROGRAM, WRONG, "Answer: 18", "Answer: 19")
    assert (hard.by, hard.solution, hard.solve_rate) == ("program", PROGRAM.program, 0.0)
    assert "contradicts" in _verdict(grader, PROGRAM, WRONG, WRONG, RIGHT).trouble


class _Writes:
    name = "writer"

    def __init__(self, text: str) -> None:
        self._text = text

    def answer(self, asked: list[object]) -> list[list[str]]:
        return [[self._text] for _ in asked]


PARENT = {**BAKER, "answer": "252", "solution": BAKER["answer"].rpartition("\n")[0], "program": ""}


@pytest.mark.parametrize(
    ("mutation", "text", "trouble"),
    [
        ("harder", "**Problem:** A baker sells 48 rolls and 5 cakes. How many is that?", ""),
        ("harder", "<think>hm</think>A baker sells 48 rolls and 5 cakes. How many is that?", ""),
        ("harder", "", "wrote nothing"),
        ("harder", "word " * 400, "too long"),
        ("harder", BAKER["question"].upper(), "changed nothing"),
        ("harder", "A baker sells 48 rolls. Answer: 48", "states its answer"),
        ("harder", "A baker sells rolls. How many?", "no numbers"),
        ("rephrase", "A baker sold 48 rolls, then half of that, at $3.60 each. What did he make?", "changed a number"),
        ("rephrase", "A baker sold 48 rolls, then half of that, at $3.50 each. What did he make?", ""),
    ],
)
def test_what_a_teacher_writes_must_be_a_problem(mutation: str, text: str, trouble: str) -> None:
    (mutant,) = mutate([Task(parent=PARENT, mutation=mutation, seed=1)], _Writes(text))
    assert trouble in mutant.trouble
    assert bool(mutant.question) == (not trouble) and not mutant.answer
    assert "Problem:" not in mutant.question and "<think>" not in mutant.question


def test_what_a_program_gives_has_its_answer() -> None:
    (mutant,) = mutate([Task(parent=PARENT, mutation="inversion", seed=1)], None)
    assert mutant.answer in ("48", "3.50") and mutant.program
