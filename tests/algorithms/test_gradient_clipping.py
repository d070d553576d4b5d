"""Clipping by history: spikes come down, ordinary norms stay, and a spike does not raise the bar."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.algorithms.gradient_clipping import NormHistory


def test_a_spike_comes_down_to_the_reciprocal_of_its_height() -> None:
    history = NormHistory(threshold=2.0, warmup=2, fallback=0.0)
    for norm in (1.0, 3.0):  # mean 2, standard deviation 1
        history.target(norm)
    # z = (12 − 2) / 1 = 10 > 2: 2 + 2² / 10 · 1
    assert history.target(12.0) == pytest.approx(2.4)


def test_the_higher_the_spike_the_closer_to_the_mean() -> None:
    targets = []
    for spike in (5.0, 10.0, 100.0):
        history = NormHistory(threshold=2.0, warmup=2, fallback=0.0)
        for norm in (1.0, 3.0):
            history.target(norm)
        targets.append(history.target(spike))
    assert targets == sorted(targets, reverse=True)
    assert all(2 < target <= 2 + 2 * 1 for target in targets)


def test_the_warm_up_is_clipped_at_the_fixed_bound() -> None:
    history = NormHistory(warmup=3, fallback=1.0)
    assert [history.target(norm) for norm in (0.5, 7.0, 0.9)] == [0.5, 1.0, 0.9]
    assert history.mean == pytest.approx(0.8)


def test_repeated_spikes_do_not_become_the_norm() -> None:
    rng = random.Random(0)
    history = NormHistory(warmup=25, fallback=0.0)
    for _ in range(100):
        history.target(rng.gauss(1, 0.1))
    spikes = [history.target(1000.0) for _ in range(10)]
    assert max(spikes) < 1.5


def test_equal_norms_have_no_deviation_and_come_down_to_their_mean() -> None:
    history = NormHistory(warmup=2, fallback=0.0)
    history.target(1.0)
    history.target(1.0)
    assert history.target(1.0) == 1.0
    assert history.target(5.0) == 1.0


@pytest.mark.parametrize("norm", [float("inf"), float("nan")])
def test_a_norm_that_is_not_finite_teaches_nothing(norm: float) -> None:
    history = NormHistory(warmup=2)
    before = history.state_dict()
    assert not history.target(norm) < float("inf")
    assert history.state_dict() == before


@given(st.lists(st.floats(0, 1e6), max_size=40))
def test_no_gradient_is_ever_enlarged(norms: list[float]) -> None:
    history = NormHistory(warmup=3)
    assert all(0 <= history.target(norm) <= norm * (1 + 1e-12) for norm in norms)


@pytest.mark.parametrize("cut", [1, 4, 9])
def test_a_resumed_history_clips_as_an_undisturbed_one(cut: int) -> None:
    norms = [1.0, 2.0, 1.5, 9.0, 1.0, 1.2, 30.0, 1.1, 1.0, 2.0, 8.0]
    whole, first, second = (NormHistory(warmup=4, fallback=0.0) for _ in range(3))
    expected = [whole.target(norm) for norm in norms]
    begun = [first.target(norm) for norm in norms[:cut]]
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert begun + [second.target(norm) for norm in norms[cut:]] == expected
