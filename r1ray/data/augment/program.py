"""The program behind a worked solution: its equations as expression trees over named numbers, executed again at will.

    "Weng earns 12/60 = $<<12/60=0.2>>0.2 per minute. ... 0.2 x 50 = $<<0.2*50=10>>10"
    12/60 -> 0.2,  0.2*50 -> 10          with 12 -> 18:  18/60 -> 0.3,  0.3*50 -> 15

A number is known by its value, so a program can only be executed with other givens where every value that changes
stands for one thing; where 24 is both a given and a result, nobody can tell which of the two a step means.
"""

import ast
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from r1ray.data.augment.linear import Linear
from r1ray.data.augment.numbers import Number, find_numbers
from r1ray.data.augment.variant import Inapplicable
from r1ray.data.augment.worked import Worked
from r1ray.reasoning.answers import parse_number
from r1ray.reasoning.checker import given_numbers

Value = TypeVar("Value", Fraction, Linear)

_TAG = re.compile(r"<<(?P<expression>[^<>=]+)=(?P<result>[^<>=]+)>>")
_PLAIN = re.compile(
    r"(?P<expression>[(\s$]*[0-9.][0-9.,%$()+\-*/x×÷− \t]*[0-9)%])[ \t]*=[ \t]*(?P<result>[-−]?\$?[0-9.,]*[0-9])"
)
_UNITS = re.compile(r"(?<=[0-9)])(?:[ ](?!x\b)[A-Za-z]+){1,3}(?=[ ]*[-+*/x×÷=])")
_BULLET = re.compile(r"^[ \t]*[0-9]+[.)](?=\s)", re.MULTILINE)
_SAME_LENGTH = str.maketrans({"x": "*", "×": "*", "÷": "/", "−": "-", "$": " ", "\t": " ", "\n": " "})
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_CONVERSIONS: dict[int, str] = {
    7: r"weeks?|days?|daily",
    10: r"dimes?|decades?",
    12: r"dozens?|months?|years?|inch(?:es)?|feet|foot|noon",
    24: r"hours?|days?",
    25: r"quarters?",
    30: r"months?",
    52: r"weeks?|years?",
    60: r"hours?|minutes?|seconds?",
    100: r"percent|cents?|meters?|centimeters?|cm|discount|century",
    365: r"days?|years?",
    1000: r"kilograms?|kilometers?|kg|km|grams?|meters?|liters?|ml",
}
_YEARS = range(1800, 2101)
_COUNTS = (1, 2, 3, 4)
_MIXED = re.compile(r"\band an? (?:half|third|quarter)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Equation:
    """One step of a program."""

    tree: ast.expr
    source: str
    """Text that the tree's offsets point into."""
    operands: tuple[Fraction, ...]
    result: Fraction


@dataclass(frozen=True, slots=True)
class Program:
    """Equations in order; the last one's result is the answer."""

    equations: tuple[Equation, ...]
    givens: tuple[Number, ...]
    """Numbers of the question that stand for one thing each, and that the program computes with."""
    fixed: frozenset[Fraction]
    """Values that occur in the question and must not be taken for results."""

    @property
    def answer(self) -> Fraction:
        """Result of the last equation."""
        return self.equations[-1].result


def read_program(worked: Worked) -> Program:
    """The program of a worked problem.

    Raises:
        Inapplicable: there are no equations, one is untrue as it stands or uses a number from nowhere, the last one
            does not give the answer, or the question has a number that no equation uses (it may hang together with
            the others in ways unseen).
    """
    equations = equations_of(worked.solution)
    if not equations:
        raise Inapplicable("no equations")
    for equation in equations:
        if evaluate(equation, lambda value: value) != equation.result:
            raise Inapplicable("an equation does not hold exactly")
    if parse_number(worked.answer) != equations[-1].result:
        raise Inapplicable("the last equation does not give the answer")
    used = {value for equation in equations for value in equation.operands}
    numbers = find_numbers(worked.question)
    for number in numbers:
        if not used & {number.value, number.value / 100}:
            raise Inapplicable("the question has a number that is not used")
    fixed = frozenset(number.value for number in numbers) | in_words(worked.question)
    text = f"{worked.question}\n{worked.solution}"
    _check_grounds(equations, fixed | {number.value / 100 for number in numbers if not number.plain}, text)
    givens = tuple(number for number in numbers if _stands_alone(number, numbers, worked) and _free(number, text))
    return Program(tuple(equations), givens, fixed)


def execute(program: Program, givens: Mapping[Fraction, Value]) -> dict[Fraction, Value]:
    """Every value that changes when these givens change, old to new; the givens are among them.

    Raises:
        Inapplicable: a value that changes stands for two things, or a step divides by zero or is not linear.
    """
    values = dict(givens)
    seen: set[Fraction] = set()
    for equation in program.equations:
        seen.update(equation.operands)
        try:
            new = evaluate(equation, lambda value: values.get(value, value))
        except ZeroDivisionError:
            raise Inapplicable("a step divides by zero") from None
        old = equation.result
        if values.get(old, old) == new:
            continue
        if old in seen or old in program.fixed or old in values:
            raise Inapplicable("a value stands for two things")
        values[old] = new  # type: ignore[assignment]  # a Fraction among Linear values is a constant
    return values


def evaluate(equation: Equation, value_of: Callable[[Fraction], Fraction | Value]) -> Fraction | Value:
    """The equation's left side, with other values in place of its numbers."""

    def walk(node: ast.expr) -> Fraction | Value:
        match node:
            case ast.Constant():
                return value_of(_constant(node, equation.source))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -walk(operand)
            case ast.BinOp(left=left, op=op, right=right):
                first, second = walk(left), walk(right)
                match op:
                    case ast.Add():
                        return first + second
                    case ast.Sub():
                        return first - second
                    case ast.Mult():
                        return first * second
                    case ast.Div():
                        return first / second
        raise Inapplicable("an equation is more than arithmetic")

    return walk(equation.tree)


def equations_of(solution: str) -> list[Equation]:
    """Every equation of a solution or a step: those of the annotations where there are any, else those in prose."""
    text = _BULLET.sub(lambda bullet: " " * len(bullet[0]), solution)
    pattern = _TAG
    if "<<" not in solution:
        pattern = _PLAIN
        text = _UNITS.sub(lambda units: " " * len(units[0]), text)  # `15 years + 7 years`
    found = (read_equation(match["expression"], match["result"]) for match in pattern.finditer(text))
    return [equation for equation in found if equation is not None]


def read_equation(expression: str, result: str) -> Equation | None:
    """One equation, or nothing. Python's grammar reads it; only numbers and the four operations are ever evaluated."""
    value = parse_number(result.translate(_SAME_LENGTH))
    source = "(" + _THOUSANDS.sub("_", expression.translate(_SAME_LENGTH)) + ")"
    try:
        tree = ast.parse(source.replace("%", " "), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    arithmetic = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
    if value is None or len(constants) < 2 or not all(isinstance(node, arithmetic) for node in ast.walk(tree)):
        return None
    return Equation(tree, source, tuple(_constant(node, source) for node in constants), value)


def _constant(node: ast.Constant, source: str) -> Fraction:
    """As written, never by way of a float; `20 %` is 0.2."""
    end = node.end_col_offset or node.col_offset
    try:
        value = Fraction(source[node.col_offset : end].replace("_", ""))
    except ValueError:
        raise Inapplicable("an equation is more than arithmetic") from None
    return value / 100 if source[end:].lstrip().startswith("%") else value


def _check_grounds(equations: Sequence[Equation], given: Collection[Fraction], text: str) -> None:
    """Every operand is given, a result before it, a small count or a conversion: else a step was left out, and what it
    gave would keep its old value."""
    known = {*given, *map(Fraction, _COUNTS), *in_words(text)}
    known.update(Fraction(value) for value, words in _CONVERSIONS.items() if _speaks_of(words, text))
    for equation in equations:
        if not known.issuperset(equation.operands):
            raise Inapplicable("an equation uses a number from nowhere")
        known.add(equation.result)


def _stands_alone(number: Number, numbers: list[Number], worked: Worked) -> bool:
    """An amount whose value is nothing else in the question, and no percentage or ordinal in the solution."""
    text = f"{worked.question}\n{worked.solution}"
    if number.value in in_words(text) or (number.places and _MIXED.search(text)):
        return False
    others = [other for other in numbers if other.value == number.value]
    in_solution = [other for other in find_numbers(worked.solution) if other.value == number.value]
    odd = any(re.match(r"\s?%|th\b|st\b|nd\b|rd\b", worked.solution[other.end :]) for other in in_solution)
    return number.plain and len(others) == 1 and bool(in_solution) and not odd


def _free(number: Number, text: str) -> bool:
    """Whether the value is not one that the world fixes: 1, a year, minutes in an hour where hours are spoken of."""
    value = number.value
    if value <= 1 or (value.denominator == 1 and int(value) in _YEARS and "," not in number.text):
        return False
    words = _CONVERSIONS.get(int(value)) if value.denominator == 1 else None
    return words is None or not _speaks_of(words, text)


def _speaks_of(words: str, text: str) -> bool:
    return re.search(rf"\b(?:{words})\b|%", text, re.IGNORECASE) is not None


def in_words(text: str) -> frozenset[Fraction]:
    """Values that the text gives in words: `half` is 2 and 1/2."""
    without_digits = re.sub(r"[0-9]", " ", text)
    return frozenset(value for alternatives in given_numbers(without_digits) for value in alternatives)
