import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.config.corpus import DecontaminateConfig
from r1ray.data.decontaminate import find_leaks, index_problems

QUESTION = (
    "Mia walks to the market with 14 coins in her purse and buys three red apples for 2 coins each before she meets "
    "her brother Tom who has 5 coins. How many coins do they have together?"
)
OTHER = (
    "A farmer plants 12 rows of corn with 30 plants in each row and loses a quarter of all plants to a storm in May."
)
IDENTITY = "(a + b)^2 = a^2 + 2 a b + b^2 for all real numbers a and b"


def leaks(texts, problems, **settings):
    index = index_problems(problems, [f"test:{n}" for n in range(len(problems))], DecontaminateConfig(**settings))
    return [None if drop is None else drop.detail for drop in find_leaks(texts, index)]


def test_a_problem_is_found_inside_a_longer_row_whatever_its_case_and_punctuation():
    row = "Solve this. " + QUESTION.upper().replace(".", " –") + " They have 13."
    assert leaks([row], [OTHER, QUESTION]) == ["test:1 1.00"]


def test_a_dropped_row_says_which_stage_and_why():
    index = index_problems([QUESTION], ["gsm8k/7"], DecontaminateConfig())
    (drop,) = find_leaks([QUESTION], index)
    assert drop is not None
    assert (drop.stage, drop.reason, drop.detail) == ("decontaminate", "evaluation problem", "gsm8k/7 1.00")


def test_one_shared_phrase_is_no_leak():
    row = "Mia walks to the market with 14 coins in her purse. " + OTHER  # 11 words = 4 of the problem's 30 8-grams
    assert leaks([row], [QUESTION]) == [None]


def test_half_of_a_problem_is_a_leak_and_less_is_not():
    # 37 words are 30 8-grams: half of them, 15, are 22 words
    words = QUESTION.split()
    assert leaks([" ".join(words[:22]), " ".join(words[:21])], [QUESTION]) == ["test:0 0.50", None]


def test_a_shared_identity_is_no_leak():
    row = f"We know that {IDENTITY}. So 21^2 = 441."
    problem = f"Use that {IDENTITY} to find the last two digits of the number {QUESTION}"
    assert leaks([row], [problem]) == [None]


def template(number):
    return f"Read the next question with care, think step by step and give one number as answer: what is {number} + 8?"


def test_the_wording_of_a_template_counts_for_nothing():
    problems = [template(number) for number in range(10, 20)]
    assert leaks([template(77)], problems) == [None]
    assert leaks([template(12)], problems) == ["test:2 1.00"]


def test_without_that_rule_the_template_would_fire():
    problems = [template(number) for number in range(10, 20)]
    assert leaks([template(77)], problems, max_shared=1000) != [None]


def test_a_short_problem_is_found_only_where_all_of_it_is_there():
    assert leaks(
        ["Compute 3 + 4", "compute 3+4?", "Compute 3 + 5", "First compute 3 + 4, then rest"], ["Compute 3 + 4."]
    ) == [
        "test:0 1.00",
        "test:0 1.00",
        None,
        None,
    ]


def test_other_numbers_in_the_same_words_are_no_leak():
    row = QUESTION.replace("14", "41").replace("three", "seven").replace(" 2 ", " 9 ").replace(" 5 ", " 6 ")
    assert leaks([row], [QUESTION]) == [None]


@pytest.mark.parametrize("problems", [[], [""], ["..."]])
def test_nothing_leaks_from_nothing(problems):
    assert leaks([QUESTION, "", "?"], problems) == [None] * 3


@settings(max_examples=25)
@given(st.lists(st.sampled_from([QUESTION, OTHER, IDENTITY, "", template(3), "x"]), max_size=6))
def test_a_verdict_is_the_same_alone_and_in_any_batch(texts):
    assert leaks(texts, [QUESTION, OTHER]) == [leaks([text], [QUESTION, OTHER])[0] for text in texts]
