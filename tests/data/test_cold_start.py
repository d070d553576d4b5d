from collections import Counter

import pytest

from r1ray.config.problems import ColdStartConfig, ProblemsConfig
from r1ray.data.cold_start import worked_examples
from r1ray.data.problem_set import build_problem_set
from r1ray.errors import DataError

EASY = ("chain:1-3/plain", "story:1-2/plain")


def test_examples_have_solutions_and_mixed_lengths():
    examples = worked_examples(ColdStartConfig(examples=60, families=EASY), seed=0)
    assert Counter((p.family, p.level) for p in examples) == {
        ("chain", 1): 10,
        ("chain", 2): 10,
        ("chain", 3): 10,
        ("story", 1): 15,
        ("story", 2): 15,
    }
    assert all(p.solution.endswith(f"Answer: {p.answer}") for p in examples)
    # Mixed in order too: a batch of 16 has several lengths.
    assert len({p.level for p in examples[:16]}) == 3


def test_no_example_is_a_training_or_held_out_problem():
    """One easy family with few questions on both sides: without the exclusion they would meet."""
    config = ProblemsConfig(families=("chain:1-2/plain",), count=150, max_number=9, heldout=50)
    problems = build_problem_set(config, seed=0)
    taken = {p.id for p in problems.train + problems.heldout}
    cold_start = ColdStartConfig(examples=40, families=("chain:1-2/plain",))
    assert taken & {p.id for p in worked_examples(cold_start, seed=0)}
    assert not taken & {p.id for p in worked_examples(cold_start, seed=0, exclude_ids=taken)}


def test_reinforcement_meets_words_that_the_cold_start_never_showed():
    def words(problems):
        return {word for p in problems for word in p.question.rstrip("?").split()}

    shown = words(worked_examples(ColdStartConfig(families=EASY), seed=0))
    config = ProblemsConfig(families=("chain:3-4", "story:3-3"), count=600, heldout=100)
    trained = build_problem_set(config, seed=0)
    assert {"finds", "sells", "stolen.", "marbles", "Ravi", "Work", "Find"} <= words(trained.train) - shown


def test_the_default_reinforces_longer_problems_than_the_cold_start_shows():
    shown = worked_examples(ColdStartConfig(), seed=0)
    trained = build_problem_set(ProblemsConfig(count=600, heldout=100), seed=0).train
    assert max(p.level for p in shown) < min(p.level for p in trained)
    assert {p.question.split()[0] for p in shown} < {p.question.split()[0] for p in trained}


def test_the_seed_decides():
    config = ColdStartConfig(examples=20)
    assert worked_examples(config, seed=3) == worked_examples(config, seed=3) != worked_examples(config, seed=4)


def test_families_without_solutions_are_refused():
    with pytest.raises(DataError, match="without worked solutions"):
        worked_examples(ColdStartConfig(families=("reasoning-gym/leg_counting",)), seed=0)
