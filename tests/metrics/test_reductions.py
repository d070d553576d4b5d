"""Reductions merge right, however the workers are grouped."""

import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.errors import DataError
from r1ray.metrics import Last, Max, Mean, Metric, Min, Sum, merge_all, reduce_all

finite = st.floats(-1e6, 1e6)
weights = st.floats(0.0, 1e3)


def test_a_mean_over_ranks_is_weighted_by_what_each_rank_saw() -> None:
    # (0.5 * 10 + 1.0 * 30) / 40 = 35 / 40
    assert reduce_all([{"reward/outcome": Mean(0.5, 10)}, {"reward/outcome": Mean(1.0, 30)}]) == {
        "reward/outcome": 0.875
    }


def test_each_kind_reduces_in_its_own_way() -> None:
    one: dict[str, Metric] = {"a/sum": Sum(2), "a/max": Max(2), "a/min": Min(2), "a/last": Last(2)}
    two: dict[str, Metric] = {"a/sum": Sum(3), "a/max": Max(3), "a/min": Min(3), "a/last": Last(3)}
    assert reduce_all([one, two]) == {"a/sum": 5, "a/max": 3, "a/min": 2, "a/last": 3}


def test_a_key_that_only_some_workers_report_keeps_their_value() -> None:
    assert reduce_all([{"a/x": Sum(1)}, {"a/y": Mean(4.0, 2)}]) == {"a/x": 1, "a/y": 4.0}


@settings(deadline=None)
@given(st.lists(st.tuples(finite, weights), min_size=1, max_size=8), st.integers(0, 8))
def test_means_do_not_depend_on_how_workers_are_grouped(parts: list[tuple[float, float]], cut: int) -> None:
    metrics = [{"a/mean": Mean(value, weight)} for value, weight in parts]
    flat = reduce_all(metrics)["a/mean"]
    grouped = reduce_all([merge_all(metrics[:cut]), merge_all(metrics[cut:])])["a/mean"]
    total = math.fsum(weight for _, weight in parts)
    if total > 1e-3:
        expected = math.fsum(value * weight for value, weight in parts) / total
        assert flat == pytest.approx(expected, rel=1e-6, abs=1e-6)
        assert grouped == pytest.approx(expected, rel=1e-6, abs=1e-6)


@settings(deadline=None)
@given(finite, st.floats(0.1, 1e3))
def test_a_mean_over_nothing_is_neutral(value: float, weight: float) -> None:
    nothing, something = Mean.of([]), Mean(value, weight)
    assert nothing.merge(something) == something == something.merge(nothing)
    assert math.isnan(nothing.value)


def test_mean_of_numbers_carries_their_count() -> None:
    assert Mean.of([1.0, 2.0, 6.0]) == Mean(3.0, 3)


@pytest.mark.parametrize("kind", [Max, Min])
def test_not_a_number_on_any_rank_is_seen(kind: type[Max] | type[Min]) -> None:
    for order in ([kind(1.0), kind(math.nan)], [kind(math.nan), kind(1.0)]):
        assert math.isnan(reduce_all([{"a/x": metric} for metric in order])["a/x"])


def test_metrics_cross_processes() -> None:
    metrics = {"a/mean": Mean(1.5, 2), "a/max": Max(3), "a/sum": Sum(1), "a/min": Min(0), "a/last": Last(7)}
    assert pickle.loads(pickle.dumps(metrics)) == metrics


@pytest.mark.parametrize("key", ["reward", "/reward", "reward/"])
def test_a_key_without_a_group_is_an_error(key: str) -> None:
    with pytest.raises(DataError, match="group/name"):
        reduce_all([{key: Sum(1)}])


def test_one_key_with_two_kinds_is_an_error_that_names_both() -> None:
    with pytest.raises(DataError, match=r"a/x came as Sum and as Mean"):
        reduce_all([{"a/x": Sum(1)}, {"a/x": Mean(1)}])
