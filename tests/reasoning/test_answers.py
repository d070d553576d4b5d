from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.reasoning.answers import extract_answer, normalise, parse_number, settle


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1. 9 + 7 = 16\nAnswer: 16", "16"),
        ("answer : x^2 + 1 \nmore", "x^2 + 1"),
        ("**Answer:** 16", "16"),
        ("**Answer**: 16", "16"),
        ("Natalia sold 48/2 = 24.\n#### 72", "72"),
        ("<answer>\n 3/4 </answer>", "3/4"),
        ("<answer>Answer: 5</answer>", "5"),
        (r"so \boxed{\frac{3}{4}} it is", r"\frac{3}{4}"),
        (r"Answer: $\boxed{16}$", "16"),
        (r"<answer>\boxed{16}</answer>", "16"),
        (r"\boxed {7}", "7"),
        ("<think>Answer: 3</think>\nAnswer: 4", "4"),
    ],
)
def test_every_form_of_answer_is_found(text: str, answer: str) -> None:
    assert extract_answer(text) == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the result is 16",
        "Answer:",
        "Answer:\n16",
        "####",
        r"\boxed{16",
        r"\boxed{}",
        "<answer>16",
        "<think>Answer: 3",
    ],
)
def test_what_is_not_stated_as_an_answer_is_none(text: str) -> None:
    assert extract_answer(text) is None


def test_the_last_answer_wins_whatever_its_form() -> None:
    assert extract_answer("Answer: 1\nAnswer: 2\nAnswer: 3") == "3"
    assert extract_answer(r"\boxed{1} and <answer>2</answer> and #### 3") == "3"
    assert extract_answer("#### 3\nAnswer: 4\n" + r"\boxed{5}") == "5"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16", Fraction(16)),
        ("16.", Fraction(16)),
        ("-3.5", Fraction(-7, 2)),
        ("−4", Fraction(-4)),
        (".5", Fraction(1, 2)),
        ("3/4", Fraction(3, 4)),
        (r"\dfrac{3}{4}", Fraction(3, 4)),
        (r"-\frac{3}{4}", Fraction(-3, 4)),
        ("1 1/2", Fraction(3, 2)),
        ("-1 1/2", Fraction(-3, 2)),
        ("$1,234.50", Fraction(2469, 2)),
        ("1{,}200", Fraction(1200)),
        ("16 eggs", Fraction(16)),
        (r"16\text{ eggs}", Fraction(16)),
        ("60 km/h", Fraction(60)),
        ("9 cm^2", Fraction(9)),
        (r"50\%", Fraction(50)),
        (r"\(7\)", Fraction(7)),
        ("**7**", Fraction(7)),
    ],
)
def test_plain_numbers_are_exact_with_or_without_a_unit(text: str, value: Fraction) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text", ["", "x", "3x", "9 + 7", "2^4", "1/0", "3 pi", "3 or 4", "(1, 2)", "5 million", "1e9", "1" * 101]
)
def test_anything_else_is_no_plain_number(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("reference", "answer", "verdict"),
    [
        ("16", "16", True),
        ("16", "16.0", True),
        ("1,200", "$1200.", True),
        ("3/4", "0.75", True),
        ("3/4", "6/8", True),
        ("16", "17", False),
        ("16", "15.5", False),
        ("16", "", False),
        ("Paris", "paris", True),
        ("Paris", "sPari", False),
        ("1/3", "0.3333333", None),  # rounded: closer than 1/100000, so computer algebra decides
        ("1/3", "0.33", False),
        ("0.5", "50%", None),
        ("x^2", "x*x", None),
        ("16", r"\sqrt{256}", None),
        ("16", "9 + 7", False),
        ("16", r"4 \times 4", False),
        ("8", "48/6", False),
        ("8", r"\frac{48}{6}", False),
        ("48/6", "8", True),
        ("60", "60 km/h", True),
    ],
)
def test_plain_numbers_are_settled_and_the_rest_is_left_to_computer_algebra(
    reference: str, answer: str, verdict: bool | None
) -> None:
    assert settle(reference, answer) is verdict


FRACTIONS = st.fractions(max_denominator=1000, min_value=-(10**6), max_value=10**6)


@given(FRACTIONS, FRACTIONS)
def test_two_fractions_are_the_same_answer_exactly_when_they_are_equal(left: Fraction, right: Fraction) -> None:
    verdict = settle(str(left), str(right))
    assert settle(str(left), str(left)) is True
    if left == right:
        assert verdict is True
    else:
        assert verdict is (None if abs(left - right) <= Fraction(1, 100_000) else False)


@given(st.integers(-(10**9), 10**9))
def test_how_a_whole_number_is_written_does_not_change_it(value: int) -> None:
    for written in (
        f"{value}",
        f"{value:,}",
        f"${value}$",
        f" {value}. ",
        f"{value}.00",
        f"{value} eggs",
        rf"\text{{{value}}}",
    ):
        assert settle(str(value), written) is True


@given(st.text(max_size=60))
def test_any_text_at_all_is_read_without_error(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text) or "\\" in text or "**" in text or "{,}" in text
    settle(text, text)
    settle("16", text)
    answer = extract_answer(text)
    assert answer is None or answer.strip()
