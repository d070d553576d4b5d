import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.data.files import RawRow
from r1ray.data.generators.generate import generate
from r1ray.data.ids import problem_id
from r1ray.data.quarantine import QuarantinedRow
from r1ray.data.sources import normalise_row, parse_gsm8k, problem_row
from r1ray.types import Problem

NATALIA = {
    "question": "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Natalia sell altogether in April and May?",
    "answer": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nNatalia sold 48+24 = <<48+24=72>>72 clips "
    "altogether in April and May.\n#### 72",
}


def read(fields: dict, file: str = "data/some.jsonl") -> Problem | QuarantinedRow:
    return normalise_row(RawRow(file=file, line=7, fields=fields))


def test_a_gsm8k_row_gives_answer_worked_solution_and_number_of_steps():
    assert read(NATALIA, "gsm8k/gsm8k-train-00000-of-00001.parquet") == Problem(
        id=problem_id(NATALIA["question"]),
        question=NATALIA["question"],
        answer="72",
        family="gsm8k",
        level=2,
        solution="Natalia sold 48/2 = 24 clips in May.\nNatalia sold 48+24 = 72 clips altogether in April and May.",
    )


@pytest.mark.parametrize(
    ("text", "answer"),
    [("So.\n#### 1,234,567", "1234567"), ("#### 5", "5"), ("a #### b\n####  -3 ", "-3"), ("x\n#### 10,5", "10,5")],
)
def test_the_answer_is_what_follows_the_last_mark_without_thousands_commas(text, answer):
    assert parse_gsm8k(text)[1] == answer


@pytest.mark.parametrize(
    ("fields", "answer", "solution"),
    [
        ({"question": "What is 1 + 1?", "answer": "2"}, "2", ""),
        ({"question": "What is 1 + 1?", "answer": 2}, "2", ""),
        ({"question": "What is 1 + 1?", "answer": 2.0}, "2", ""),
        ({"question": "What is 1 / 2?", "answer": 0.5}, "0.5", ""),
        ({"problem": "What is 1 + 1?", "answer": " 2 ", "solution": "1 + 1 = 2"}, "2", "1 + 1 = 2"),
        (
            {"problem": "Halve 3.", "solution": r"It is \boxed{\frac{3}{2}}."},
            r"\frac{3}{2}",
            r"It is \boxed{\frac{3}{2}}.",
        ),
    ],
)
def test_plain_rows_and_their_other_names_are_understood(fields, answer, solution):
    problem = read(fields)
    assert isinstance(problem, Problem)
    assert (problem.answer, problem.solution, problem.family) == (answer, solution, "some")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "no question"),
        ({"text": "What?", "answer": "2"}, "no question"),
        ({"question": "  ", "answer": "2"}, "no question"),
        ({"question": "?!", "answer": "2"}, "no question"),
        ({"question": "What is 1?"}, "no answer"),
        ({"question": "What is 1?", "answer": None}, "no answer"),
        ({"question": "What is 1?", "answer": ""}, "no answer"),
        ({"question": "What is 1?", "answer": "I think so.\n####"}, "no answer"),
        ({"question": "What is 1?", "solution": "no box here"}, "no answer"),
        ({"question": "What is 1?", "answer": ["1"]}, "answer is neither text nor a number"),
        ({"question": "What is 1?", "answer": True}, "answer is neither text nor a number"),
        ({"question": "What is 1?", "answer": float("nan")}, "answer is neither text nor a number"),
        ({"question": {"text": "What?"}, "answer": "1"}, "question is neither text nor a number"),
        ({"question": "What is \ud83d?", "answer": "1"}, "not UTF-8"),
        ({"question": "What is 1?", "answer": "1", "metadata": "{broken"}, "metadata is not JSON"),
    ],
)
def test_a_row_that_cannot_be_used_says_where_it_was_and_why(fields, reason):
    row = read(fields)
    assert isinstance(row, QuarantinedRow)
    assert (row.file, row.line, row.reason) == ("data/some.jsonl", 7, reason)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["question", "problem", "answer", "solution", "level", "family", "metadata", "other"])


@given(st.dictionaries(names, json_values, max_size=8))
def test_whatever_a_row_holds_it_is_a_problem_or_quarantined(fields):
    row = read(fields)
    if isinstance(row, Problem):
        assert row.answer and row.id == problem_id(row.question)
        json.dumps(problem_row(row)).encode()
    else:
        assert row.reason


@pytest.mark.parametrize("spec", ["story:2-3", "reasoning-gym/countdown"])
def test_a_written_problem_is_read_as_the_same_problem(spec):
    for problem in generate((spec,), count=5, max_number=9, seed=0):
        assert read(json.loads(json.dumps(problem_row(problem)))) == problem


def test_a_verifier_may_do_without_a_reference_answer():
    fields = {"question": "Colour it.", "answer": "", "metadata": {"reasoning_gym_entry": "{}"}}
    assert isinstance(read(fields), Problem)
