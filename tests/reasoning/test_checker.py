from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.reasoning.checker import StepVerdict, check_steps, given_numbers, step_scores
from r1ray.types import Problem
from tests.reasoning.helpers import make_problem

RIGHT, FALSE, REPEAT, UNGROUNDED, NONE = (
    StepVerdict.RIGHT,
    StepVerdict.FALSE,
    StepVerdict.REPEAT,
    StepVerdict.UNGROUNDED,
    StepVerdict.NONE,
)


def verdicts(problem: Problem, *steps: str, reuse_numbers: bool = False) -> list[StepVerdict]:
    return [step.verdict for step in check_steps(problem, steps, reuse_numbers=reuse_numbers)]


def total(problem: Problem, steps: list[str], reuse_numbers: bool = False) -> float:
    return sum(step_scores(problem, steps, reuse_numbers=reuse_numbers))


def test_a_full_right_chain_earns_one_in_equal_parts() -> None:
    # Mia has 9, gets 7, loses 5: two operations, so each is worth 1/2.
    assert step_scores(make_problem(), ["1. 9 + 7 = 16", "2. 16 - 5 = 11"]) == [0.5, 0.5]


def test_right_in_one_line_is_worth_the_same() -> None:
    assert step_scores(make_problem(), ["9 + 7 - 5 = 11"]) == [1.0]
    assert step_scores(make_problem(), ["9 + 7 = 16, then 16 - 5 = 11"]) == [1.0]


def test_a_false_statement_costs_and_its_result_is_not_at_hand() -> None:
    steps = ["9 + 7 = 17", "17 - 5 = 12"]
    assert verdicts(make_problem(), *steps) == [FALSE, UNGROUNDED]
    assert step_scores(make_problem(), steps) == [-0.5, 0.0]


def test_a_false_statement_beside_a_right_one_makes_the_step_false_and_cancels_it() -> None:
    (step,) = check_steps(make_problem(), ["9 + 7 = 16 and 16 - 5 = 12"])
    assert (step.verdict, step.score) == (FALSE, 0.0)


@pytest.mark.parametrize("trick", ["2 * 2 = 4", "9 + 1 = 10", "9 + 0 = 9", "1 + 1 = 2", "9 * 9 = 81", "9 - 9 = 0"])
def test_true_but_from_nowhere_earns_nothing(trick: str) -> None:
    assert verdicts(make_problem(), trick) == [UNGROUNDED]
    assert step_scores(make_problem(), [trick]) == [0.0]


def test_each_given_number_is_used_once() -> None:
    assert verdicts(make_problem(), "9 + 7 = 16", "9 + 5 = 14") == [RIGHT, UNGROUNDED]
    assert verdicts(make_problem(), "9 + 7 = 16", "9 + 5 = 14", reuse_numbers=True) == [RIGHT, RIGHT]


def test_a_number_given_twice_may_be_used_twice() -> None:
    problem = make_problem("Compute 3 + 9 - 9.", "3")
    assert verdicts(problem, "3 + 9 = 12", "12 - 9 = 3") == [RIGHT, RIGHT]


def test_a_result_is_used_once_too() -> None:
    problem = make_problem("Compute 3 + 9 - 9.", "3")
    assert verdicts(problem, "3 + 9 = 12", "12 + 12 = 24") == [RIGHT, UNGROUNDED]


@pytest.mark.parametrize("reuse_numbers", [False, True])
@pytest.mark.parametrize("again", ["9 + 7 = 16", "7 + 9 = 16", "2. so 9 eggs + 7 eggs = 16 eggs"])
def test_a_repeat_earns_nothing_whichever_way_round(again: str, reuse_numbers: bool) -> None:
    assert verdicts(make_problem(), "9 + 7 = 16", again, reuse_numbers=reuse_numbers) == [RIGHT, REPEAT]


def test_the_same_statement_about_other_numbers_is_no_repeat() -> None:
    problem = make_problem("Compute 5 - 2 + 2 - 2.", "3", level=3)
    assert step_scores(problem, ["5 - 2 = 3", "3 + 2 = 5", "5 - 2 = 3"]) == pytest.approx([1 / 3, 1 / 3, 1 / 3])


def test_lines_without_arithmetic_earn_nothing() -> None:
    assert verdicts(make_problem(), "Let me think.", "Mia has 9 eggs", "9 + 7 =", "") == [NONE] * 4


def test_where_the_level_is_unknown_numbers_given_less_one_are_expected() -> None:
    # 9, 7 and 5 take two operations to bring together.
    assert step_scores(make_problem(level=0), ["9 + 7 = 16"]) == [0.5]
    assert step_scores(make_problem("What is 9 + 7?", level=0), ["9 + 7 = 16"]) == [1.0]
    assert step_scores(make_problem("What?", level=0), ["9 + 7 = 17"]) == [-1.0]


def test_gains_and_losses_are_bounded() -> None:
    problem = make_problem(level=1)
    assert step_scores(problem, ["9 + 7 = 16", "16 - 5 = 11"]) == [1.0, 0.0]
    assert step_scores(problem, ["9 + 7 = 17", "9 + 7 = 18"]) == [-1.0, 0.0]


def test_a_given_number_may_be_subtracted_by_adding_its_negative() -> None:
    assert verdicts(make_problem(), "9 + 7 = 16", "-5 + 16 = 11") == [RIGHT, RIGHT]


@pytest.mark.parametrize(
    ("question", "numbers"),
    [
        ("Mia has 9 eggs and 1,200 hens, 3.5 each.", [{9}, {1200}, {Fraction(7, 2)}]),
        ("Compute 3 + 9 - 9.", [{3}, {9}, {9}]),
        ("Compute -3 + 5", [{3}, {5}]),
        ("Seven hens, twenty-five eggs, Thirty two.", [{7}, {25}, {32}]),
        ("A dozen; half; twice as many; a quarter.", [{12}, {2, Fraction(1, 2)}, {2}, {4, Fraction(1, 4)}]),
        ("20% of 50", [{20, Fraction(1, 5)}, {100}, {50}]),
        ("20 percent of 50", [{20, Fraction(1, 5)}, {100}, {50}]),
        ("Room B12 on someone's bone", []),
    ],
)
def test_what_a_question_gives(question: str, numbers: list[set[Fraction]]) -> None:
    assert [set(item) for item in given_numbers(question)] == numbers


def test_half_may_be_a_factor_or_a_divisor_but_not_both() -> None:
    problem = make_problem("Mia has 8 eggs and eats half of them, then 3 more.", "1")
    assert verdicts(problem, "8 / 2 = 4", "4 - 3 = 1") == [RIGHT, RIGHT]
    assert verdicts(problem, "8 * 0.5 = 4", "4 / 2 = 2") == [RIGHT, UNGROUNDED]


def test_what_has_one_meaning_goes_before_what_has_two() -> None:
    # "half" can stand for 2, but the given 2 is used first, so half is still there to be 1/2.
    problem = make_problem("Half of the 8 eggs, and 2 more.", level=2)
    assert verdicts(problem, "8 + 2 = 10", "10 * 0.5 = 5") == [RIGHT, RIGHT]


def test_percent_brings_its_hundred() -> None:
    problem = make_problem("Take 20% of 50.", "10")
    assert verdicts(problem, "20 / 100 = 0.2", "0.2 * 50 = 10") == [RIGHT, RIGHT]
    assert verdicts(problem, "20% * 50 = 10") == [RIGHT]
    assert verdicts(make_problem("Take 20 of 50."), "20 / 100 = 0.2") == [UNGROUNDED]


# Chains over distinct given numbers, as text: what may happen to them must never raise the return.
NUMBERS = st.lists(st.integers(1, 60), min_size=2, max_size=6, unique=True)
SYMBOLS = st.sampled_from("+-*")


def apply(symbol: str, left: int, right: int) -> int:
    return {"+": left + right, "-": left - right, "*": left * right}[symbol]


@st.composite
def chains(
    draw: st.DrawFn, numbers_from: st.SearchStrategy[list[int]] = NUMBERS, symbols: str = "+-*"
) -> tuple[Problem, list[str]]:
    """A problem and a chain that goes through its numbers in some order, with errors and remarks strewn in."""
    numbers = draw(numbers_from)
    value, *others = draw(st.permutations(numbers))
    steps = []
    for other in others:
        symbol = draw(st.sampled_from(symbols))
        result = apply(symbol, value, other)
        claimed = result + draw(st.sampled_from([0, 0, 0, 1]))
        steps.append(f"{value} {symbol} {other} = {claimed}")
        steps.extend(draw(st.lists(st.sampled_from(["so", f"2 + {other} = {other + 2}", "9 + 9 = 18"]), max_size=1)))
        value = claimed
    question = "Given " + ", ".join(map(str, numbers)) + "."
    return make_problem(question, level=draw(st.sampled_from([0, len(numbers) - 1, 2]))), steps


@settings(max_examples=50)
@given(chains(), st.booleans())
def test_the_return_lies_within_one(drawn: tuple[Problem, list[str]], reuse_numbers: bool) -> None:
    problem, steps = drawn
    scores = step_scores(problem, steps, reuse_numbers=reuse_numbers)
    assert len(scores) == len(steps)
    assert -1 - 1e-9 <= sum(scores) <= 1 + 1e-9
    assert sum(score for score in scores if score > 0) <= 1 + 1e-9


@settings(max_examples=50)
@given(chains(), st.booleans(), st.data())
def test_how_statements_are_divided_into_steps_does_not_change_the_return(
    drawn: tuple[Problem, list[str]], reuse_numbers: bool, data: st.DataObject
) -> None:
    problem, statements = drawn
    merged = [statements[0]]
    for statement in statements[1:]:
        if data.draw(st.booleans()):
            merged[-1] += f"; {statement}"
        else:
            merged.append(statement)
    assert total(problem, merged, reuse_numbers) == pytest.approx(total(problem, statements, reuse_numbers), abs=1e-9)


@given(NUMBERS, st.data())
def test_splitting_one_compound_step_into_single_operations_does_not_raise_the_return(
    numbers: list[int], data: st.DataObject
) -> None:
    problem = make_problem("Given " + ", ".join(map(str, numbers)) + ".", level=data.draw(st.integers(0, 6)))
    value, expression, single = numbers[0], str(numbers[0]), []
    for number in numbers[1:]:
        symbol = data.draw(SYMBOLS)
        result = apply(symbol, value, number)
        single.append(f"{value} {symbol} {number} = {result}")
        expression, value = f"({expression} {symbol} {number})", result
    assert total(problem, single) <= total(problem, [f"{expression} = {value}"]) + 1e-9


# 2·3^k, added and subtracted: no two different selections come to the same number, so that a statement seen again is
# about the same numbers again; and a wrong result is odd, so that it is none of them.
SEPARATE_NUMBERS = st.lists(st.sampled_from([2 * 3**k for k in range(1, 9)]), min_size=2, max_size=6, unique=True)


@settings(max_examples=50)
@given(chains(SEPARATE_NUMBERS, "+-"), st.booleans(), st.data())
def test_repeating_what_was_right_does_not_raise_the_return(
    drawn: tuple[Problem, list[str]], reuse_numbers: bool, data: st.DataObject
) -> None:
    problem, steps = drawn
    right = [
        step
        for step, verdict in zip(steps, verdicts(problem, *steps, reuse_numbers=reuse_numbers), strict=True)
        if verdict is RIGHT
    ]
    again = data.draw(st.lists(st.sampled_from(right or ["so"]), max_size=4))
    assert total(problem, steps + again, reuse_numbers) <= total(problem, steps, reuse_numbers) + 1e-9


@given(
    chains(), st.booleans(), st.lists(st.tuples(st.integers(10**6, 10**7), st.integers(1, 99)), max_size=4), st.data()
)
def test_true_but_irrelevant_statements_do_not_raise_the_return_wherever_they_stand(
    drawn: tuple[Problem, list[str]], reuse_numbers: bool, pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    problem, steps = drawn
    padded = list(steps)
    for far, near in pairs:  # no chain of these numbers gets to a ten-millionth and a half
        padded.insert(data.draw(st.integers(0, len(padded))), f"{far}.5 + {near} = {far + near}.5")
    assert total(problem, padded, reuse_numbers) == pytest.approx(total(problem, steps, reuse_numbers), abs=1e-9)


@settings(max_examples=50)
@given(chains())
def test_no_chain_has_more_right_operations_than_it_takes_to_bring_the_numbers_together(
    drawn: tuple[Problem, list[str]],
) -> None:
    problem, steps = drawn
    right = [step for step in check_steps(problem, steps * 3) if step.verdict is RIGHT]
    assert len(right) <= len(given_numbers(problem.question)) - 1
