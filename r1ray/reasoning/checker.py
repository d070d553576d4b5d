"""The grounded step checker: which steps of a chain of thought are right, false, or beside the point.

A true equation is not yet reasoning: rewarded for true equations alone, a small policy soon writes `2 * 2 = 4` under
every problem. Here a statement is *right* only if it is true and everything it computes with is at hand: numbers that
the problem gives, each as often as it gives it, and results of earlier right statements, each once.

    "Mia has 9 eggs. Mia gets 7 more. Mia loses 5."    9 + 7 = 16   right         then at hand: 5, 16
                                                       16 - 5 = 11  right         then at hand: 11
                                                       2 * 2 = 4    ungrounded    no 2 was given

Scores count *operations*, not lines, so cutting one step in two earns nothing; and what is used is used up, so no chain
earns more than a direct one. The checker does not know whether 9 *should* be added to 7: the final answer judges that.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from r1ray.reasoning.arithmetic import Statement, find_statements
from r1ray.types import Problem

_Alternatives = frozenset[Fraction]
"""One thing at hand, and the values it may be used as: half of something is 1/2 of it, or it divided by 2."""

_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    *("ten", "eleven", "twelve", "thirteen", "fourteen"),
    *("fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS: dict[str, _Alternatives] = {
    **{word: frozenset({Fraction(value)}) for value, word in enumerate((*_ONES, *_TEENS), start=1)},
    **{word: frozenset({Fraction(10 * value)}) for value, word in enumerate(_TENS, start=2)},
    **{word: frozenset({Fraction(2)}) for word in ("twice", "double", "doubles", "doubled")},
    **{word: frozenset({Fraction(3)}) for word in ("thrice", "triple", "triples", "tripled")},
    "half": frozenset({Fraction(2), Fraction(1, 2)}),
    "third": frozenset({Fraction(3), Fraction(1, 3)}),
    "quarter": frozenset({Fraction(4), Fraction(1, 4)}),
    "dozen": frozenset({Fraction(12)}),
}
_GIVEN = re.compile(
    r"(?<![A-Za-z0-9.])(?P<number>[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9])|[0-9]+(?:\.[0-9]+)?)(?P<percent>\s?(?:%|percent\b))?"
    rf"|\b(?P<tens>{'|'.join(_TENS)})[- ](?P<ones>{'|'.join(_ONES)})\b"
    rf"|\b(?P<word>{'|'.join(_WORDS)})\b",
    re.IGNORECASE,
)


class StepVerdict(StrEnum):
    """What the checker makes of one step. Of several statements in one step the first verdict of this order counts."""

    FALSE = "false"
    """It states something untrue. Costs."""
    RIGHT = "right"
    """True, and computed from what is at hand. Earns."""
    REPEAT = "repeat"
    """True, but stated before, and not about other numbers of the same size that are at hand. Earns nothing."""
    UNGROUNDED = "ungrounded"
    """True, but about numbers from nowhere, or already used up. Earns nothing."""
    NONE = "none"
    """No arithmetic statement. Earns nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedStep:
    """A step's verdict and its score."""

    verdict: StepVerdict
    score: float
    """Operations of right statements minus operations of false ones, over the operations that the problem takes."""


def check_steps(problem: Problem, steps: Sequence[str], *, reuse_numbers: bool = False) -> list[CheckedStep]:
    """Judge the steps of one chain of thought, in order.

    A full direct chain scores 1 in total. Gains of a chain never sum to more than 1, nor costs to less than -1.

    Args:
        steps: the text of each step.
        reuse_numbers: let a number be an operand more than once. Gains stay bounded by the cap alone.
    """
    checker = _Checker(problem, reuse_numbers)
    return [checker.check(step) for step in steps]


def step_scores(problem: Problem, steps: Sequence[str], *, reuse_numbers: bool = False) -> list[float]:
    """Only the scores of `check_steps`."""
    return [step.score for step in check_steps(problem, steps, reuse_numbers=reuse_numbers)]


def given_numbers(question: str) -> list[frozenset[Fraction]]:
    """What a question gives to compute with, in order, each with the values it may be used as.

    Numbers in digits (unsigned: a minus is an operation), `one` to `ninety-nine` in words, `dozen`, `half`, `third`,
    `quarter`, `twice`, `double`, `triple`. A percentage may be used as 20 or as 0.2, and brings a 100 with it.
    """
    return list(_given(question))


def _given(question: str) -> Iterator[_Alternatives]:
    for found in _GIVEN.finditer(question):
        if found["number"]:
            value = Fraction(found["number"].replace(",", ""))
            if found["percent"]:
                yield frozenset({value, value / 100})
                yield frozenset({Fraction(100)})
            else:
                yield frozenset({value})
        elif found["tens"]:
            yield frozenset({sum((*_WORDS[found["tens"].lower()], *_WORDS[found["ones"].lower()]), Fraction(0))})
        else:
            yield _WORDS[found["word"].lower()]


class _Checker:
    """What is at hand after the steps so far, and what may still be gained and lost."""

    def __init__(self, problem: Problem, reuse_numbers: bool) -> None:
        self._at_hand = given_numbers(problem.question)
        # Where the level is unknown: n numbers are brought together by n - 1 operations.
        self._operations = problem.level or max(1, len(self._at_hand) - 1)
        self._reuse = reuse_numbers
        self._seen: set[tuple[tuple[Fraction, ...], Fraction]] = set()
        self._gain_left = Fraction(1)
        self._loss_left = Fraction(1)

    def check(self, step: str) -> CheckedStep:
        verdicts, score = {StepVerdict.NONE}, Fraction(0)
        for statement in find_statements(step):
            verdict = self._judge(statement)
            verdicts.add(verdict)
            score += self._settle(verdict, Fraction(statement.operations, self._operations))
        return CheckedStep(verdict=next(verdict for verdict in StepVerdict if verdict in verdicts), score=float(score))

    def _judge(self, statement: Statement) -> StepVerdict:
        if not statement.true:
            return StepVerdict.FALSE
        # Whichever way round: 7 + 9 = 16 repeats 9 + 7 = 16.
        key = (tuple(sorted(statement.operands)), statement.value)
        if self._reuse and key in self._seen:
            return StepVerdict.REPEAT
        # Without reuse, what is at hand again is there a second time: 5 - 2 + 2 - 2 takes "5 - 2 = 3" twice.
        if self._use(statement):
            self._seen.add(key)
            return StepVerdict.RIGHT
        return StepVerdict.REPEAT if key in self._seen else StepVerdict.UNGROUNDED

    def _use(self, statement: Statement) -> bool:
        """Take the operands from what is at hand and put the result there; change nothing if one is missing."""
        left = list(self._at_hand)
        for operand in statement.operands:
            # -5 may be a given 5 that is subtracted. What has one meaning goes first: "half" may still be needed.
            matching = [item for item in left if operand in item] or [
                item for item in left if -operand in item and operand < 0
            ]
            if not matching:
                return False
            if not self._reuse:
                left.remove(min(matching, key=len))
        self._at_hand = [*left, frozenset({statement.value})]
        return True

    def _settle(self, verdict: StepVerdict, share: Fraction) -> Fraction:
        """Pay out of what may still be gained, or charge what may still be lost."""
        if verdict is StepVerdict.RIGHT:
            gain = min(share, self._gain_left)
            self._gain_left -= gain
            return gain
        if verdict is StepVerdict.FALSE:
            loss = min(share, self._loss_left)
            self._loss_left -= loss
            return -loss
        return Fraction(0)
