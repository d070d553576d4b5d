"""Figures of a process reward model by hand: a perfect judge, a blind one, and what counts towards calibration."""

import math

import pytest

from r1ray.config.reward_model import ProcessConfig
from r1ray.errors import DataError
from r1ray.train.process_evaluation import (
    Judged,
    candidate_groups,
    choose_threshold,
    examine,
    judge_attempts,
    judged_steps,
)
from tests.train.test_attempts import FALSE, OTHER_WAY, RIGHT, attempt

PERFECT = [
    Judged(scores=[0.9, 0.8], first_error=-1),
    Judged(scores=[0.9, 0.1, 0.7], first_error=1),
    Judged(scores=[0.2, 0.9], first_error=0),
    Judged(scores=[0.9], first_error=-1),
]


def test_a_perfect_judge_and_its_baselines() -> None:
    result = examine(PERFECT, 0.5, bins=10, undecided=3)
    assert result.model.f1 == result.model.accuracy == 1.0
    assert result.majority.f1 == 0.0 and result.majority.accuracy == 0.5
    assert 0 < result.baseline < 1 and result.baseline == result.random.f1
    assert result.figures()["undecided"] == 3


def test_a_blind_judge_is_no_better_than_the_majority() -> None:
    blind = [Judged(scores=[0.5] * len(one.scores), first_error=one.first_error) for one in PERFECT]
    result = examine(blind, 0.5, bins=10)
    assert result.model.f1 == 0.0
    assert result.model.accuracy == result.majority.accuracy


def test_steps_after_the_first_error_count_for_nothing() -> None:
    probabilities, outcomes = judged_steps(PERFECT)
    assert probabilities == [0.9, 0.8, 0.9, 0.1, 0.2, 0.9]
    assert outcomes == [True, True, True, False, False, True]
    changed = [Judged(scores=[0.9, 0.1, 0.0], first_error=1) if len(one.scores) == 3 else one for one in PERFECT]
    assert examine(changed, 0.5, bins=10).calibration_error == examine(PERFECT, 0.5, bins=10).calibration_error


def test_the_threshold_is_the_configured_one_or_the_best_or_one_half() -> None:
    assert choose_threshold(PERFECT, ProcessConfig(threshold=0.3)) == 0.3
    assert 0.2 < choose_threshold(PERFECT, ProcessConfig()) < 0.8
    assert choose_threshold(PERFECT[:1], ProcessConfig()) == 0.5


def test_best_of_n_takes_the_solution_that_scores_best_and_its_first_samples_alone() -> None:
    attempts = [attempt(FALSE), attempt(RIGHT), attempt(OTHER_WAY)]
    scores = [[0.9, 0.2], [0.9, 0.8], [1.0, 1.0]]
    [group] = candidate_groups(attempts, scores, 2, "min")
    assert [(one.answer, one.correct, one.score) for one in group] == [("12", False, 0.2), ("11", True, 0.8)]
    result = examine(PERFECT, 0.5, bins=10, groups=[group])
    assert result.best_of is not None and result.best_of.chosen == 1.0 and result.best_of.first == 0.5
    assert candidate_groups(attempts, scores, 0, "min") == []


def test_attempts_without_a_known_error_are_counted_and_left_out() -> None:
    judged, undecided = judge_attempts([attempt(FALSE), attempt(OTHER_WAY)], [[0.9, 0.2], [1.0, 1.0]])
    assert (judged, undecided) == ([Judged(scores=[0.9, 0.2], first_error=1)], 1)


def test_nothing_to_judge_is_an_error() -> None:
    with pytest.raises(DataError, match="3 have steps"):
        examine([], 0.5, bins=10, undecided=3)


def test_without_a_correct_solution_there_is_no_f1() -> None:
    assert math.isnan(examine(PERFECT[1:3], 0.5, bins=10).model.f1)
