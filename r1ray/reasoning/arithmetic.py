"""Arithmetic statements in prose, evaluated exactly: `so she has $9 + $7 = $16 left` holds 9 + 7 = 16.

A small tokenizer and a recursive-descent parser over `Fraction`; nothing is ever handed to `eval`. Currency signs and
up to three words after a number (its unit) are looked through; every other word or mark ends a statement.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9])|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    r"(?:[ ]?(?P<percent>%))?)"
    r"|(?<=[0-9) \t])(?P<times>[xX])(?=\s*[0-9($.])"
    r"|(?P<word>[A-Za-z][A-Za-z'’]*)"
    r"|(?P<sign>(?<![0-9A-Za-z)])-(?=[0-9(.$€£]))"
    r"|(?P<symbol>[-+*/=()])"
    r"|(?P<blank>[ \t$€£]+)"
    r"|(?P<other>.|\n)"
)
_SAME = str.maketrans({"−": "-", "–": "-", "×": "*", "·": "*", "÷": "/", "∗": "*"})
_LATEX = ((r"\times", "*"), (r"\cdot", "*"), (r"\div", "/"), (r"\$", " "), ("**", " "))
_BULLET = re.compile(r"^[ \t]*[-*•][ \t]+", re.MULTILINE)
_UNIT_WORDS = 3
_VARIABLES = frozenset("abcknxyzABCKNXYZ")
_LONGEST_STATEMENT = 64
_LONGEST_NUMBER = 24
_BREAK = "break"


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """`9 + 7 - 5 = 11`: operands (9, 7, 5), operations 2, value 11, true.

    Of several sides (`9 + 7 - 5 = 16 - 5 = 11`) the first with an operator is the work, and all must agree.
    """

    operands: tuple[Fraction, ...]
    """Numbers of the side that does the work, as written, in order."""
    operations: int
    """Its binary operators, at least one."""
    value: Fraction
    """What the last side comes to."""
    true: bool
    """Whether every side agrees with the work. A lone decimal of two or more places may be rounded; 1/0 never does."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """`number`, one of `+-*/=()`, `sign` (a minus that may begin a statement) or `break`."""
    start: int
    end: int
    value: Fraction = Fraction(0)
    places: int = 0
    """Decimal places as written."""


class _Malformed(Exception):
    """No arithmetic after all."""


def find_statements(text: str) -> list[Statement]:
    """Every arithmetic statement of a text, in order."""
    for latex, plain in _LATEX:
        text = text.replace(latex, plain)
    text = _BULLET.sub("", text.translate(_SAME))
    found = (_statement(run) for run in _runs(_tokens(text)))
    return [statement for statement in found if statement is not None]


def _tokens(text: str) -> Iterator[_Token]:
    """Numbers and operators, with units dropped and breaks where prose comes between."""
    words_left = 0
    for match in _TOKEN.finditer(text):
        kind, span = match.lastgroup, match.span()
        if kind == "blank":
            continue
        if match["number"]:
            yield _number(match)
            words_left = _UNIT_WORDS
        elif kind == "word" and words_left and match[0] not in _VARIABLES:
            words_left -= 1
        elif kind == "times":
            yield _Token("*", *span)
        elif kind == "sign":
            yield _Token("sign", *span)
        else:
            yield _Token(match["symbol"] or _BREAK, *span)
            words_left = _UNIT_WORDS if match[0] == ")" else 0


def _number(match: re.Match[str]) -> _Token:
    written = match["number"].rstrip(" %").replace(",", "")
    if len(written) > _LONGEST_NUMBER:
        return _Token(_BREAK, *match.span())
    places = len(written.partition(".")[2])
    if match["percent"]:
        return _Token("number", *match.span(), Fraction(written) / 100, places + 2)
    return _Token("number", *match.span(), Fraction(written), places)


def _runs(tokens: Iterable[_Token]) -> Iterator[list[_Token]]:
    """Stretches without a break; two numbers side by side belong to different statements."""
    for is_break, group in groupby(tokens, key=lambda token: token.kind == _BREAK):
        if is_break:
            continue
        run: list[_Token] = []
        for token in group:
            if run and run[-1].kind in ("number", ")") and token.kind in ("number", "("):
                if token.kind == "(" and run[-1].end == token.start:  # 2(3 + 4)
                    run.append(_Token("*", token.start, token.start))
                else:
                    yield run
                    run = []
            run.append(token)
        yield run


def _statement(run: list[_Token]) -> Statement | None:
    """Read `a op b = c`, or nothing. A bracket around the statement, or half of one, is looked through."""
    if not 5 <= len(run) <= _LONGEST_STATEMENT:
        return None
    low, high = int(run[0].kind == "("), len(run) - int(run[-1].kind == ")")
    for candidate in (run, run[low:], run[:high], run[low:high]):
        try:
            return _read(candidate)
        except _Malformed:
            continue
        except ZeroDivisionError:
            return Statement(operands=(), operations=1, value=Fraction(0), true=False)
    return None


def _read(run: list[_Token]) -> Statement:
    sides = [list(group) for is_equals, group in groupby(run, key=lambda token: token.kind == "=") if not is_equals]
    starts_with_operator = not run or run[0].kind in "+-*/"
    if len(sides) < 2 or run[-1].kind == "=" or starts_with_operator:
        raise _Malformed
    read = [_Side(side) for side in sides]
    work = next((side for side in read if side.operations), None)
    if work is None:
        raise _Malformed
    return Statement(
        operands=tuple(work.operands),
        operations=work.operations,
        value=read[-1].value,
        true=all(side.agrees_with(work.value) for side in read),
    )


class _Side:
    """One side of a statement, evaluated by recursive descent: sum of products of signed numbers and brackets."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.operands: list[Fraction] = []
        self.operations = 0
        self._tokens = tokens
        self._next = 0
        self.value = self._sum()
        if self._next < len(tokens):
            raise _Malformed

    def agrees_with(self, value: Fraction) -> bool:
        """Equal, or equal when rounded to the places of a lone decimal."""
        if self.value == value:
            return True
        places = self._tokens[-1].places
        return not self.operations and places >= 2 and abs(self.value - value) <= Fraction(1, 2 * 10**places)

    def _peek(self) -> str:
        return self._tokens[self._next].kind if self._next < len(self._tokens) else ""

    def _take(self) -> _Token:
        if self._next == len(self._tokens):
            raise _Malformed
        self._next += 1
        return self._tokens[self._next - 1]

    def _sum(self) -> Fraction:
        value = self._product()
        while self._peek() in ("+", "-", "sign"):
            added = self._take().kind == "+"
            self.operations += 1
            term = self._product()
            value = value + term if added else value - term
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while self._peek() in ("*", "/"):
            multiplied = self._take().kind == "*"
            self.operations += 1
            factor = self._signed()
            value = value * factor if multiplied else value / factor
        return value

    def _signed(self) -> Fraction:
        token = self._take()
        if token.kind == "number":
            self.operands.append(token.value)
            return token.value
        if token.kind == "(":
            value = self._sum()
            if self._take().kind != ")":
                raise _Malformed
            return value
        if token.kind in ("-", "sign"):
            if self._peek() == "number":
                self.operands.append(-self._tokens[self._next].value)
                return -self._take().value
            return -self._signed()
        raise _Malformed
