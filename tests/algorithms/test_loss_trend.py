"""A falling loss keeps its rate, a flat one loses it, and a resumed counter decides as an undisturbed one."""

import json
import random

import pytest

from r1ray.algorithms.loss_trend import EarlyStopping, LossTrend, slope_and_error


def noisy(slope: float, steps: int, seed: int = 0) -> list[float]:
    rng = random.Random(seed)
    return [3 + slope * step + rng.gauss(0, 0.1) for step in range(steps)]


def test_a_falling_loss_keeps_its_rate() -> None:
    trend = LossTrend(window=20)
    assert {trend.update(loss) for loss in noisy(-0.02, 100)} == {1.0}


def test_a_flat_loss_is_cut_once_a_window_down_to_the_floor() -> None:
    trend = LossTrend(window=5, cut=0.5, floor=0.2)
    factors = [trend.update(2.0) for _ in range(20)]
    assert factors == [1.0] * 4 + [0.5] * 5 + [0.25] * 5 + [0.2] * 6


def test_a_loss_that_is_not_finite_is_passed_over() -> None:
    trend = LossTrend(window=3)
    assert [trend.update(loss) for loss in (float("nan"), 3.0, float("inf"), 2.0)] == [1.0] * 4


def test_the_slope_of_a_line_is_exact() -> None:
    assert slope_and_error([5.0, 3.0, 1.0, -1.0]) == pytest.approx((-2.0, 0.0))


def test_the_slope_and_its_error_by_hand() -> None:
    # Values 0, 1, 0 at steps −1, 0, 1: slope 0; residuals −1/3, 2/3, −1/3, squares sum to 2/3; 2/3 / (3 − 2) / 2 = 1/3.
    assert slope_and_error([0.0, 1.0, 0.0]) == pytest.approx((0.0, (1 / 3) ** 0.5))


@pytest.mark.parametrize("cut", [1, 7, 23])
def test_a_resumed_trend_decides_as_an_undisturbed_one(cut: int) -> None:
    losses = noisy(-0.001, 60, seed=3)
    whole, first, second = (LossTrend(window=8) for _ in range(3))
    expected = [whole.update(loss) for loss in losses]
    begun = [first.update(loss) for loss in losses[:cut]]
    second.factor = 0.1  # what is loaded must not depend on what was there
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert begun + [second.update(loss) for loss in losses[cut:]] == expected


def test_patience_counts_validations_since_the_best() -> None:
    stopping = EarlyStopping(patience=2)
    seen = [(stopping.update(loss), stopping.stop) for loss in (3.0, 2.0, 2.5, 1.9, 1.9, float("nan"))]
    assert seen == [(True, False), (True, False), (False, False), (True, False), (False, False), (False, True)]


def test_a_small_improvement_does_not_count() -> None:
    stopping = EarlyStopping(patience=1, min_improvement=0.1)
    assert stopping.update(2.0)
    assert not stopping.update(1.95)
    assert stopping.stop


def test_without_patience_it_never_stops() -> None:
    stopping = EarlyStopping(patience=0)
    for _ in range(50):
        stopping.update(1.0)
    assert not stopping.stop


def test_early_stopping_survives_a_checkpoint() -> None:
    stopping, resumed = EarlyStopping(patience=3), EarlyStopping(patience=3)
    for loss in (2.0, 2.1, 2.2):
        stopping.update(loss)
    resumed.load_state_dict(stopping.state_dict())
    assert (resumed.best, resumed.waited) == (2.0, 2)
