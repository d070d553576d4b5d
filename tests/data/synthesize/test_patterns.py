"""The taxonomy: which cell a problem belongs to, and what coverage says."""

import pytest

from r1ray.data.synthesize.patterns import CELLS, as_form_of, coverage, pattern_of, topics_of


@pytest.mark.parametrize(
    ("question", "solution", "pattern"),
    [
        ("Compute 3 + 4.", "3 + 4 = 7", "forward/additive/1"),
        ("Cost?", "48/2 = <<48/2=24>>24\n48+24 = <<48+24=72>>72", "forward/mixed/2"),
        ("Cost?", "6 x 7 = 42", "forward/multiplicative/1"),
        ("If the answer is 7, what is x?", "7 - 4 = 3", "inverse/additive/1"),
        ("Is the claim true or false?", "It is so.", "claim/none/1"),
        ("Compute.", "1 + 2 + 3 + 4 + 5 = 15", "forward/additive/4+"),
    ],
)
def test_a_pattern_is_form_kind_and_steps(question: str, solution: str, pattern: str) -> None:
    assert pattern_of(question, solution) == pattern
    assert pattern in CELLS


def test_another_form_keeps_the_arithmetic() -> None:
    assert as_form_of("What is x?", "forward/mixed/3") == "inverse/mixed/3"


def test_topics_are_found_by_their_words() -> None:
    assert topics_of("She pays $3 in 2 hours.") == ["money", "time"]
    assert topics_of("Ann has 3 eggs.") == ["other"]


def test_coverage_counts_cells_and_how_evenly_they_are_filled() -> None:
    one = coverage([("a", CELLS[0])] * 5)
    assert (one["problems"], one["covered"], one["evenness"]) == (5, pytest.approx(1 / len(CELLS)), 0.0)
    every = coverage([("a", cell) for cell in CELLS])
    assert (every["covered"], every["evenness"], every["empty"]) == (1.0, pytest.approx(1.0), [])
    assert coverage([])["problems"] == 0
