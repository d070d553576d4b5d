"""Error rates of a test that is looked at after every observation, by simulation."""

import random

import pytest

from r1ray.serve.canary.betting import MeanTest, TwoSided

RUNS, LENGTH = 600, 400


def rejections(draw_one, null: float, alpha: float) -> float:
    """Share of runs in which the test rejects at any time."""
    rng = random.Random(7)
    rejected = 0
    for _ in range(RUNS):
        test = MeanTest(null, alpha)
        for _ in range(LENGTH):
            test.add(draw_one(rng))
        rejected += test.rejects
    return rejected / RUNS


@pytest.mark.parametrize("alpha", [0.05, 0.2])
@pytest.mark.parametrize(
    "draw_one",
    [
        lambda rng: float(rng.random() < 0.5),
        lambda rng: rng.random(),
        lambda rng: float(rng.random() < 0.05) * 10 - 9.5,
    ],
    ids=["coin", "uniform", "cut"],
)
def test_a_true_hypothesis_is_rejected_no_more_often_than_stated(draw_one, alpha):
    # three standard deviations of the simulation above the stated rate
    assert rejections(draw_one, 0.5, alpha) <= alpha + 3 * (alpha * (1 - alpha) / RUNS) ** 0.5


def test_at_the_edge_of_the_hypothesis_a_fixed_test_at_every_look_would_err_far_more_often():
    rng, erred = random.Random(7), 0
    for _ in range(RUNS):
        total, looked = 0, False
        for count in range(1, LENGTH + 1):
            total += rng.random() < 0.5
            looked = looked or (count >= 30 and total / count - 0.5 > 1.645 * 0.5 / count**0.5)
        erred += looked
    assert erred / RUNS > 0.15


def test_a_false_hypothesis_is_found_out():
    assert rejections(lambda rng: float(rng.random() < 0.65), 0.5, 0.05) > 0.9


def test_both_sides_of_a_question():
    good, bad = (TwoSided(-1, 1, good=-0.02, bad=0.0, alpha=0.05, beta=0.05) for _ in range(2))
    rng = random.Random(0)
    for _ in range(600):
        good.add(0.0)
        bad.add(float(rng.random() < 0.6) - float(rng.random() < 0.9))
    assert (good.promotes, good.condemns) == (True, False)
    assert (bad.promotes, bad.condemns) == (False, True)
