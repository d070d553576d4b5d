import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.data.ids import problem_id
from r1ray.data.split import deduplicate, split, split_by_file
from r1ray.errors import DataError
from r1ray.types import Problem


def make(question: str, answer: str = "1") -> Problem:
    return Problem(id=problem_id(question), question=question, answer=answer)


# Few different questions, in several spellings: duplicates are likely.
questions = st.builds(
    lambda number, style: style.format(number),
    st.integers(0, 30),
    st.sampled_from(["What is {}?", "what is  {}", "WHAT IS {}."]),
)
rows = st.lists(st.builds(make, questions, st.sampled_from(["1", "2"])), min_size=2, max_size=60)


@given(rows, st.data(), st.integers(0, 5))
def test_held_out_count_is_exact_and_no_question_is_on_both_sides(problems, data, seed):
    distinct = len({problem.id for problem in problems})
    heldout = data.draw(st.integers(0, distinct - 1))
    parts = split(problems, heldout, seed)
    train_ids, heldout_ids = {p.id for p in parts.train}, {p.id for p in parts.heldout}
    assert len(parts.heldout) == heldout
    assert not train_ids & heldout_ids
    assert len(train_ids | heldout_ids) == distinct == len(parts.train) + len(parts.heldout)
    assert parts.duplicates == len(problems) - distinct


@given(rows, st.randoms(), st.integers(0, 5))
def test_the_order_of_the_rows_changes_nothing(problems, rng, seed):
    shuffled = list(problems)
    rng.shuffle(shuffled)
    heldout = len({problem.id for problem in problems}) // 2
    assert split(shuffled, heldout, seed) == split(problems, heldout, seed)


def test_another_seed_holds_out_others():
    problems = [make(f"What is {number}?") for number in range(100)]
    assert {p.id for p in split(problems, 20, 0).heldout} != {p.id for p in split(problems, 20, 1).heldout}


def test_more_problems_move_none_from_held_out_to_training_unless_displaced():
    """The smallest hashes are held out: of the 20 held out of 100, those among the 20 smallest of 120 stay."""
    few = [make(f"What is {number}?") for number in range(100)]
    more = few + [make(f"What is {number}?") for number in range(100, 120)]
    before, after = ({p.id for p in split(problems, 20, 0).heldout} for problems in (few, more))
    assert after <= before | {problem.id for problem in more[100:]}


def test_too_few_problems_are_refused_with_the_numbers():
    problems = [make("What is 1?"), make("what is 1"), make("What is 2?")]
    with pytest.raises(DataError, match=r"needs 3 distinct problems; there are 2 \(3 rows, 1 duplicates\)"):
        split(problems, 2, 0)


@given(rows, rows, st.integers(0, 5))
def test_training_rows_that_are_held_out_by_a_file_are_dropped_and_counted(train, heldout, seed):
    held_ids = {problem.id for problem in heldout}
    leaked = sum(problem.id in held_ids for problem in train)
    if leaked == len(train):
        with pytest.raises(DataError, match="No training problem is left"):
            split_by_file(train, heldout, seed)
        return
    parts = split_by_file(train, heldout, seed)
    assert parts.leaked == leaked
    assert not {p.id for p in parts.train} & held_ids
    kept = len(parts.train) + len(parts.heldout)
    assert kept + parts.duplicates + parts.leaked == len(train) + len(heldout)


@given(rows)
def test_of_duplicates_exactly_one_stays(problems):
    kept, dropped = deduplicate(problems)
    assert {p.id for p in kept} == {p.id for p in problems}
    assert len(kept) + dropped == len(problems)
    assert all(problem in problems for problem in kept)
