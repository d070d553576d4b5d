from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.reasoning.arithmetic import Statement, find_statements


def one(text: str) -> Statement:
    (statement,) = find_statements(text)
    return statement


@pytest.mark.parametrize(
    ("text", "operands", "value"),
    [
        ("9 + 7 = 16", (9, 7), 16),
        ("1. 9 + 7 = 16", (9, 7), 16),
        ("Step 1: 9+7=16.", (9, 7), 16),
        ("1) 9 + 7 = 16", (9, 7), 16),
        ("- 9 + 7 = 16", (9, 7), 16),
        ("* 9 + 7 = 16", (9, 7), 16),
        ("**9 + 7 = 16**", (9, 7), 16),
        ("$3 + $4 = $7", (3, 4), 7),
        (r"\(3 \times 4 = 12\)", (3, 4), 12),
        ("5 apples + 3 apples = 8 apples", (5, 3), 8),
        ("so she has 9 + 7 = 16 eggs", (9, 7), 16),
        ("Eggs left = 16 - 5 = 11", (16, 5), 11),
        ("(9 + 7 = 16)", (9, 7), 16),
        ("(so 9 + 7 = 16)", (9, 7), 16),
        ("3 x 4 = 12", (3, 4), 12),
        ("3x4=12", (3, 4), 12),
        ("3 × 4 = 12", (3, 4), 12),
        ("12 ÷ 4 = 3", (12, 4), 3),
        ("1,200 / 3 = 400", (1200, 3), 400),
        ("-3 + 5 = 2", (-3, 5), 2),
        ("5 − 8 = −3", (5, 8), -3),
        ("3 + -9 = -6", (3, -9), -6),
        ("9 -5 = 4", (9, 5), 4),
        ("9 + 7 - 5 = 11", (9, 7, 5), 11),
        ("9 + 7 - 5 = 16 - 5 = 11", (9, 7, 5), 11),
        ("2 + 3 * 4 = 14", (2, 3, 4), 14),
        ("(2 + 3) * 4 = 20", (2, 3, 4), 20),
        ("2(3 + 4) = 14", (2, 3, 4), 14),
        ("-(2 + 3) * 4 = -20", (2, 3, 4), -20),
        ("8 - 4 - 2 = 2", (8, 4, 2), 2),
        ("8 / 4 / 2 = 1", (8, 4, 2), 1),
        ("20% * 50 = 10", (Fraction(1, 5), 50), 10),
        ("6 / 4 = 1.5", (6, 4), Fraction(3, 2)),
        ("10 / 3 = 3.33", (10, 3), Fraction(333, 100)),
        ("10 / 3 = 10 / 3", (10, 3), Fraction(10, 3)),
    ],
)
def test_true_statements_are_read_with_their_operands(
    text: str, operands: tuple[Fraction, ...], value: Fraction
) -> None:
    statement = one(text)
    assert (statement.operands, statement.operations, statement.value, statement.true) == (
        operands,
        len(operands) - 1,
        value,
        True,
    )


@pytest.mark.parametrize(
    "text",
    [
        "9 + 7 = 17",
        "9 + 7 = 16 - 5 = 11",
        "9 + 7 = 16 = 17",
        "10 / 3 = 3.3",
        "10 / 3 = 3.34",
        "4 / 0 = 4",
        "4 / (2 - 2) = 0",
    ],
)
def test_false_statements_are_false(text: str) -> None:
    assert not one(text).true


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no numbers at all",
        "16",
        "16 = 16",
        "x = 5",
        "2x - 3 = 7",
        "2n + 3 = 7",
        "9 + 7 =",
        "= 16",
        "9 + = 16",
        "9 + 7",
        "2**3 = 8",
        "2^3 = 8",
        "9 eggs, and 7 = 7",
        "((9 + 7 = 16",
        "1 + 1" + " + 1" * 40 + " = 42",
        "1" * 30 + " + 1 = 2",
        "(" * 5000,
    ],
)
def test_what_is_no_complete_statement_is_nothing(text: str) -> None:
    assert find_statements(text) == []


@pytest.mark.parametrize("between", [", ", ". ", "; ", "\n", "\n2. ", " so ", " eggs and then "])
def test_a_line_may_hold_several_statements(between: str) -> None:
    assert [statement.value for statement in find_statements(f"9 + 7 = 16{between}16 - 5 = 11")] == [16, 11]


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> tuple[str, Fraction]:
    """A random expression, in full brackets, and its value."""
    if depth == 0 or draw(st.booleans()):
        number = draw(st.integers(0, 99))
        return str(number), Fraction(number)
    (left, a), (right, b) = draw(expressions(depth - 1)), draw(expressions(depth - 1))
    symbol = draw(st.sampled_from("+-*/" if b else "+-*"))
    value = {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b}[symbol]()
    return f"({left} {symbol} {right})", value


@given(expressions().filter(lambda drawn: any(symbol in drawn[0] for symbol in "+-*/")), st.sampled_from([0, 1, -1]))
def test_an_expression_equals_its_value_and_no_other(drawn: tuple[str, Fraction], error: int) -> None:
    text, value = drawn
    claimed = value + error
    right_side = str(claimed.numerator) if claimed.denominator == 1 else f"{claimed.numerator} / {claimed.denominator}"
    assert one(f"{text} = {right_side}").true is (error == 0)


@given(st.text(alphabet="0123456789 +-*/=().,x$%\nab", max_size=80))
def test_any_text_at_all_is_read_without_error(text: str) -> None:
    for statement in find_statements(text):
        assert statement.operations >= 1
