"""Which mutants are kept: the program's answer against the teacher's, or what most of its samples agree on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r1ray.data.augment.worked import without_tags
from r1ray.data.synthesize.mutate import Mutant
from r1ray.data.synthesize.teacher import Asked, Teacher
from r1ray.reasoning.answers import extract_answer
from r1ray.reasoning.arithmetic import find_statements
from r1ray.reasoning.grader_pool import GradeItem
from r1ray.reasoning.grading import Grader

INSTRUCTION = (
    "Solve the problem step by step, one step a line, with each calculation as an equation. End with a line "
    '"Answer: " and the answer alone.\n\n'
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """A mutant's answer and solution, or why it is rejected."""

    answer: str = ""
    solution: str = ""
    by: str = ""
    """`program`, `program and teacher`, or `majority`."""
    solve_rate: float | None = None
    """Share of the teacher's samples with this answer: how hard the problem is for it. None = no teacher was asked."""
    trouble: str = ""


def ask(questions: Sequence[str], seeds: Sequence[int], teacher: Teacher, samples: int) -> list[list[str]]:
    """The teacher's solutions of each problem."""
    return teacher.answer(
        [
            Asked(prompt=INSTRUCTION + question, samples=samples, seed=seed)
            for question, seed in zip(questions, seeds, strict=True)
        ]
    )


def verify(
    mutants: Sequence[Mutant], solutions: Sequence[Sequence[str]], grader: Grader, agreement: float
) -> list[Verified]:
    """A verdict for each mutant.

    Args:
        mutants: with questions.
        solutions: the teacher's samples for each; empty where none was asked.
        grader: compares answers by exact arithmetic and math-verify.
        agreement: share of the samples that makes a majority.
    """
    answers = [[extract_answer(text) or "" for text in texts] for texts in solutions]
    same = _equalities(mutants, answers, grader)
    return [
        _with_program(mutant, texts, found, same, agreement)
        if mutant.answer
        else _by_majority(texts, found, same, agreement)
        for mutant, texts, found in zip(mutants, solutions, answers, strict=True)
    ]


def _equalities(
    mutants: Sequence[Mutant], answers: Sequence[Sequence[str]], grader: Grader
) -> Mapping[tuple[str, str], bool]:
    """Whether two answers that are to be compared are one; all pairs of the batch are graded at once."""
    pairs: dict[tuple[str, str], None] = {}
    for mutant, found in zip(mutants, answers, strict=True):
        references = [mutant.answer] if mutant.answer else []
        for one in dict.fromkeys([*references, *filter(None, found)]):
            for other in dict.fromkeys(filter(None, found)):
                pairs[one, other] = None
    report = grader.grade([GradeItem(one, other) for one, other in pairs])
    return dict(zip(pairs, report.correct, strict=True))


def _with_program(
    mutant: Mutant,
    texts: Sequence[str],
    answers: Sequence[str],
    same: Mapping[tuple[str, str], bool],
    agreement: float,
) -> Verified:
    """The program knows the answer. A teacher may give the better solution, or show that the text went wrong."""
    if not texts:
        return Verified(answer=mutant.answer, solution=mutant.program, by="program")
    right = [bool(answer) and same[mutant.answer, answer] for answer in answers]
    rate = sum(right) / len(texts)
    against, votes = _majority([answer for answer, good in zip(answers, right, strict=True) if not good], same)
    if against and votes > 1 and votes / len(texts) >= agreement:
        return Verified(trouble="the teacher's majority contradicts the program", solve_rate=rate)
    good = [text for text, matches in zip(texts, right, strict=True) if matches and _true(text)]
    if not good:
        return Verified(answer=mutant.answer, solution=mutant.program, by="program", solve_rate=rate)
    return Verified(
        answer=mutant.answer, solution=min(good, key=len).strip(), by="program and teacher", solve_rate=rate
    )


def _by_majority(
    texts: Sequence[str], answers: Sequence[str], same: Mapping[tuple[str, str], bool], agreement: float
) -> Verified:
    answer, votes = _majority(answers, same)
    if not answer:
        return Verified(trouble="the teacher gave no answer")
    rate = votes / len(texts)
    if votes < 2 or rate < agreement:
        return Verified(trouble="the teacher's answers do not agree", solve_rate=rate)
    good = [text for text, other in zip(texts, answers, strict=True) if other and same[answer, other] and _true(text)]
    if not good:
        return Verified(trouble="every solution of the majority has an untrue statement", solve_rate=rate)
    return Verified(answer=answer, solution=min(good, key=len).strip(), by="majority", solve_rate=rate)


def _majority(answers: Sequence[str], same: Mapping[tuple[str, str], bool]) -> tuple[str, int]:
    """The answer with the most others equal to it, and their number; the first of several."""
    given = [answer for answer in answers if answer]
    counts = [(sum(same[answer, other] for other in given), -index) for index, answer in enumerate(given)]
    if not counts:
        return "", 0
    votes, index = max(counts)
    return given[-index], votes


def _true(solution: str) -> bool:
    """Whether no arithmetic of the solution is wrong."""
    return all(statement.true for statement in find_statements(without_tags(solution)))
